"""In a new network loopback is down, and even 127.0.0.1 is unreachable.

Needs: Linux, root
"""

import ctypes
import fcntl
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000  # sched.h
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCGIFMTU, IFF_UP = 0x8913, 0x8914, 0x8921, 1
# netdevice(7): a struct ifreq is a name and then what the request is about.


def ask(request: int, flags: int = 0) -> int:
    """Ask or tell the kernel something of lo; return what the answer begins with."""
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        told = struct.pack("16si12x", b"lo", flags)
        return int(struct.unpack_from("=i", fcntl.ioctl(control, request, told), 16)[0])


def main() -> None:
    """Dial a server before lo is up, and after."""
    print("lo is", "up" if ask(SIOCGIFFLAGS) & IFF_UP else "down")
    with socket.create_server(("", 0)) as listener:
        address = ("127.0.0.1", listener.getsockname()[1])
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError as error:
            print(f"connect() -> {type(error).__name__}: {error}")

        ask(SIOCSIFFLAGS, IFF_UP)  # as "ip link set lo up" does
        print("lo is", "up" if ask(SIOCGIFFLAGS) & IFF_UP else "down")
        print("its MTU:", ask(SIOCGIFMTU), "bytes")
        with socket.create_connection(address, timeout=5) as client:
            print("connect() -> connected to", client.getpeername())


if sys.platform == "linux" and ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
    main()
else:
    print("This program needs Linux and root: it makes a network of its own.")
