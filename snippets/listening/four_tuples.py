"""The kernel's table of TCP sockets, beside what Python says about each.

The inode in the last column of /proc/net/tcp is the one that fstat() gives for
the descriptor: so one can tell which line belongs to which Python object.

Needs: Linux
"""

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

STATES = {"01": "ESTABLISHED", "0A": "LISTEN"}


def address(text: str) -> str:
    """Return an address of /proc/net/tcp, such as 0100007F:1F90, as people write it."""
    host, port = text.split(":")
    packed = int(host, 16).to_bytes(4, sys.byteorder)
    return f"{socket.inet_ntoa(packed)}:{int(port, 16)}"


def kernel_line(sock: socket.socket) -> str:
    """Return local and remote address and state of the line with the socket's inode."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if rest[5] == inode:
            return f"{address(local)} {address(remote)} {STATES[state]}"
    raise LookupError(f"no line with inode {inode}")


def main() -> None:
    """Show a listening socket, two connections to it, and the clients' ends."""
    with ExitStack() as sockets:  # closes every socket at the end
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(5)
        print("listener:", listener.getsockname())
        print("  kernel:", kernel_line(listener))
        for number in (1, 2):
            client = socket.create_connection(listener.getsockname(), timeout=5)
            sockets.enter_context(client)
            connection, _ = listener.accept()
            sockets.enter_context(connection)
            print(f"connection {number}, the server's end")
            print("  Python:", connection.getsockname(), connection.getpeername())
            print("  kernel:", kernel_line(connection))
            print(f"connection {number}, the client's end")
            print("  Python:", client.getsockname(), client.getpeername())
            print("  kernel:", kernel_line(client))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/tcp.")
