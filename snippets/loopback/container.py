"""Two networks with one cable: whose localhost is it, and who reaches whom?

The first is called host and the second container. A server listens on the same
port in each.

Needs: Linux, root
"""

import ctypes
import fcntl
import itertools
import os
import select
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1  # netdevice(7)
RTM_NEWLINK, ACKNOWLEDGED_CREATE = 16, 0x605  # rtnetlink(7), netlink(7)
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
INFO_KIND, INFO_DATA, VETH_PEER = 1, 2, 1
ADDRESSES = {"host": "198.51.100.1", "container": "198.51.100.2"}  # RFC 5737
libc = ctypes.CDLL(None, use_errno=True)
networks: dict[str, int] = {}  # a descriptor of each
client_ports = itertools.count(2001)  # in networks of their own nobody else has them


def new_network(name: str) -> bool:
    """Move into a new network; False where that is not allowed."""
    if libc.unshare(CLONE_NEWNET):
        return False
    networks[name] = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    return True


def enter(name: str) -> None:
    """Move into a network: the sockets made from now on belong to it."""
    if libc.setns(networks[name], CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def attribute(kind: int, data: bytes) -> bytes:
    """Pack one attribute of rtnetlink(7); it is padded to a multiple of four."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def lay_cable() -> None:
    """Join both with a virtual Ethernet cable; each end is called eth0.

    Raises:
        OSError: the kernel has no virtual Ethernet (veth).
    """
    enter("container")
    here = bytes(16) + attribute(IFLA_IFNAME, b"eth0\0")
    there = here + attribute(IFLA_NET_NS_FD, struct.pack("=i", networks["host"]))
    cable = attribute(INFO_KIND, b"veth") + attribute(
        INFO_DATA, attribute(VETH_PEER, there)
    )
    body = here + attribute(IFLA_LINKINFO, cable)
    head = struct.pack("=IHHQ", 16 + len(body), RTM_NEWLINK, ACKNOWLEDGED_CREATE, 1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        kernel.settimeout(5)
        kernel.bind((1, 0))  # any number: nobody else is in this network
        kernel.sendall(head + body)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
    for network, address in ADDRESSES.items():
        enter(network)
        with socket.socket(type=socket.SOCK_DGRAM) as control:
            packed = struct.pack("=HH4s8x", 2, 0, socket.inet_aton(address))
            fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s", b"eth0", packed))
            for name in (b"lo", b"eth0"):
                fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP))


def listen_in(network: str, host: str, port: int) -> socket.socket:
    """Return a socket that listens in a network."""
    enter(network)
    server = socket.create_server((host, port))
    server.settimeout(5)
    return server


def dial_from(network: str, address: str, servers: dict[str, socket.socket]) -> str:
    """Dial from a network; return whose server got the connection, or the error."""
    enter(network)
    port = servers["host"].getsockname()[1]
    own = ("", next(client_ports))
    try:
        # port: nobody else is in these networks
        # elsewhere: the addresses are those of the cable between them
        with socket.create_connection((address, port), 5, source_address=own):
            reached = select.select([*servers.values()], [], [], 5)[0]
    except OSError as error:
        return str(error)
    connection, _ = reached[0].accept()
    connection.close()
    return "the server in the " + next(
        name for name, server in servers.items() if server in reached
    )


def main() -> None:
    """Dial from both sides, first servers on 127.0.0.1, then servers on 0.0.0.0."""
    for bound in ("127.0.0.1", "0.0.0.0"):
        with (
            listen_in("host", bound, 0) as first,
            listen_in("container", bound, first.getsockname()[1]) as second,
        ):
            print("both servers listen on", bound, "port", second.getsockname()[1])
            servers = {"host": first, "container": second}
            for network in networks:
                for address in ("127.0.0.1", *ADDRESSES.values()):
                    reached = dial_from(network, address, servers)
                    print(f"  from the {network:<9}  {address:<12} ->", reached)


if sys.platform == "linux" and new_network("host") and new_network("container"):
    try:
        lay_cable()
        main()
    finally:
        for descriptor in networks.values():
            os.close(descriptor)
else:
    print("This program needs Linux and root: it makes two networks of its own.")
