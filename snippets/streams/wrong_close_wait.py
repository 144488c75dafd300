"""Wrong on purpose: a server sees its clients leave, and never closes their sockets.

Needs: Linux
"""

import socket
import sys
import time
from pathlib import Path

members: list[socket.socket] = []


def serve(connection: socket.socket) -> None:
    """Take what a client sends, until it has ended its stream."""
    members.append(connection)  # so that everybody can be told the news
    while connection.recv(1024):
        pass  # the bug: after this loop nobody closes the connection


def in_close_wait(port: int) -> int:
    """Return how many sockets with this local port are in CLOSE-WAIT (proc(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "08" for row in rows)


def main() -> None:
    """Serve three clients that leave; then close what was forgotten."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = listener.getsockname()
        for number in (1, 2, 3):
            with socket.create_connection(address, timeout=5) as client:
                connection, _ = listener.accept()
                connection.settimeout(5)
                client.sendall(b"hello")
            serve(connection)
            print(f"{number} gone, {in_close_wait(address[1])} in CLOSE-WAIT")
    for connection in members:
        connection.close()
    deadline = time.monotonic() + 5
    while in_close_wait(address[1]) and time.monotonic() < deadline:
        pass
    print(f"all closed, {in_close_wait(address[1])} in CLOSE-WAIT")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/tcp.")
