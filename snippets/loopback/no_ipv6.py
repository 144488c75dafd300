"""Errno 99 on a machine without ::1: for a server, and for a client by mistake.

In a network of its own it takes ::1 away, as a system with IPv6 disabled does.

Needs: Linux, root
"""

import ctypes
import fcntl
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, SIOCDIFADDR, IFF_UP = 0x8914, 0x8936, 1  # netdevice(7)


def own_network() -> bool:
    """Move into a new network with loopback; False where that is not allowed."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return False
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return True


def main() -> None:
    """Take ::1 away; start a server there; dial a name that has both addresses."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        address = socket.inet_pton(socket.AF_INET6, "::1")
        interface = socket.if_nametoindex("lo")
        fcntl.ioctl(control, SIOCDIFADDR, address + struct.pack("=Ii", 128, interface))
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        print("server:", error)

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # holds a port on which nobody listens
        port = unused.getsockname()[1]
        found = socket.getaddrinfo(None, port, type=socket.SOCK_STREAM)
        print("the addresses, in order:", [address[0] for *_, address in found])
        try:
            socket.create_connection((None, port), timeout=5)
        except OSError as error:
            print("client:", error)
        try:
            socket.create_connection((None, port), timeout=5, all_errors=True)
        except ExceptionGroup as group:
            print("all errors:", *group.exceptions, sep="\n  ")


if sys.platform != "linux" or not own_network():
    print("This program needs Linux and root: it makes a network of its own.")
elif not Path("/proc/net/if_inet6").exists():
    print("This kernel has no IPv6 at all; the errors differ.")
else:
    main()
