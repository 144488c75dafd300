"""create_connection() tries every address of a name; what it says if none answers.

The name is None, for which getaddrinfo() gives both addresses of loopback without
looking into any file. A network of its own makes sure that both are there.

Needs: Linux, root
"""

import ctypes
import fcntl
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)


def own_network() -> bool:
    """Move into a new network with loopback; False where that is not allowed."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return False
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return True


def main() -> None:
    """Dial a name of two addresses while one of them answers, and when none does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = socket.getaddrinfo(None, port, type=socket.SOCK_STREAM)
        print("the addresses, in order:", [address[0] for *_, address in found])
        with socket.create_connection((None, port), timeout=5) as client:
            print("connected to", client.getpeername())

    print("now nobody listens:")
    try:
        socket.create_connection((None, port), timeout=5)
    except OSError as error:
        print("  the error:", error)
    try:
        socket.create_connection((None, port), timeout=5, all_errors=True)
    except ExceptionGroup as group:
        print("  with all_errors:", *group.exceptions, sep="\n    ")


if sys.platform != "linux" or not own_network():
    print("This program needs Linux and root: it makes a network of its own.")
elif not Path("/proc/net/if_inet6").exists():
    print("This kernel has no IPv6, so no name has two addresses.")
else:
    main()
