"""One conversation over loopback, counted by the kernel: lo, IP and TCP, no NIC.

It makes a network of its own, so that nothing but its own doing is counted. The
virtual Ethernet interface eth0 stands for the network card.

Needs: Linux, root
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, SIOCSIFADDR, IFF_UP = 0x8914, 0x8916, 1  # netdevice(7)
RTM_NEWLINK, ACKNOWLEDGED_CREATE = 16, 0x605  # rtnetlink(7), netlink(7)
IFLA_IFNAME, IFLA_LINKINFO, IFLA_INFO_KIND = 3, 18, 1
OF_ETH0 = "198.51.100.1"  # RFC 5737: for documentation, nobody's address


def attribute(kind: int, data: bytes) -> bytes:
    """Pack one attribute of rtnetlink(7); it is padded to a multiple of four."""
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def own_network() -> bool:
    """Move into a new network with lo and eth0; False where that is not allowed.

    Raises:
        OSError: the kernel has no virtual Ethernet (veth).
    """
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return False
    kind = attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"veth"))
    body = bytes(16) + attribute(IFLA_IFNAME, b"eth0\0") + kind
    head = struct.pack("=IHHQ", 16 + len(body), RTM_NEWLINK, ACKNOWLEDGED_CREATE, 1)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        kernel.settimeout(5)
        kernel.bind((1, 0))  # any number: nobody else is in this network
        kernel.sendall(head + body)
        (error,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if error:
        raise OSError(-error, os.strerror(-error))
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        own = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(OF_ETH0))
        fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16s16s", b"eth0", own))
        for name in (b"lo", b"eth0"):
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP))
    return True


def counters() -> list[int]:
    """Return what /proc/net counts as received: on eth0, on lo, by IP and by TCP."""
    interfaces = {}
    for row in Path("/proc/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = row.partition(":")
        interfaces[name.strip()] = [int(number) for number in numbers.split()]
    rows = [row.split() for row in Path("/proc/net/snmp").read_text().splitlines()]
    layers = {
        names[0]: dict(zip(names[1:], map(int, values[1:]), strict=True))
        for names, values in zip(rows[::2], rows[1::2], strict=True)
    }
    lo_bytes, lo_packets = interfaces["lo"][:2]
    received = [layers["Ip:"]["InReceives"], layers["Tcp:"]["InSegs"]]
    return [interfaces["eth0"][1], lo_packets, *received, lo_bytes]


def count(step: str, call: Callable[[], object], packets: int) -> None:
    """Print what one call adds, once TCP has received that many packets for it."""
    before = counters()
    call()
    deadline = time.monotonic() + 5
    while (now := counters())[3] < before[3] + packets:
        if time.monotonic() > deadline:
            raise TimeoutError(f"fewer than {packets} packets")
    grown = [after - earlier for after, earlier in zip(now, before, strict=True)]
    print(f"  {step:<16}" + "".join(f"{number:>6}" for number in grown))


def converse(host: str) -> None:
    """Connect, send five bytes and send five back."""
    print(f"{host:<18}  eth0    lo    IP   TCP  bytes on lo")
    with socket.create_server((host, 0)) as listener, socket.socket() as client:
        client.settimeout(5)
        listener.settimeout(5)
        address = listener.getsockname()
        # elsewhere: both addresses are of this network of its own
        count("connect()", lambda: client.connect(address), packets=3)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            count("send(b'hello')", lambda: client.send(b"hello"), packets=2)
            count("send(b'HELLO')", lambda: connection.send(b"HELLO"), packets=2)


if sys.platform == "linux" and own_network():
    converse("127.0.0.1")
    converse(OF_ETH0)
else:
    print("This program needs Linux and root: it makes a network of its own.")
