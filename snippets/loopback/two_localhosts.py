"""One name, two addresses: a server on 127.0.0.1 refuses ::1, and the other way round.

It makes a network of its own, so that both addresses are there on any machine.

Needs: Linux, root
"""

import ctypes
import fcntl
import itertools
import select
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)
client_ports = itertools.count(2001)  # in a network of its own nobody else has them


def own_network() -> bool:
    """Move into a new network with loopback; False where that is not allowed."""
    if ctypes.CDLL(None).unshare(CLONE_NEWNET):
        return False
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    return True


def dial(host: str, server: socket.socket) -> None:
    """Dial the server's port at an address; print what both sides see."""
    address = (host, server.getsockname()[1])
    try:
        own = ("", next(client_ports))
        # port: nobody else is in this network
        with socket.create_connection(address, 5, source_address=own) as client:
            select.select([server], [], [], 5)  # until it is in the queue
            connection, peer = server.accept()
            connection.close()
            print(f"  {client.getpeername()[0]}: connected, the client is", peer[0])
    except OSError as error:
        print(f"  {host}: {error}")


def main() -> None:
    """Dial both addresses at servers on one of them, and on all."""
    four, six = socket.AF_INET, socket.AF_INET6
    for told, host, family, both in (
        ("127.0.0.1", "127.0.0.1", four, False),
        ("::1", "::1", six, False),
        (":: for IPv6 alone", "::", six, False),
        (":: for both", "::", six, True),
    ):
        print("a server on", told)
        server = socket.create_server((host, 0), family=family, dualstack_ipv6=both)
        with server:
            server.settimeout(5)
            for dialled in ("127.0.0.1", "::1"):
                dial(dialled, server)


if sys.platform != "linux" or not own_network():
    print("This program needs Linux and root: it makes a network of its own.")
elif not Path("/proc/net/if_inet6").exists():
    print("This kernel has no IPv6, so localhost has one address only.")
else:
    main()
