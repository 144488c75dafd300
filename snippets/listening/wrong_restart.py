"""Restart a server the usual way: close, start anew. Clients meet a closed door.

Needs: Linux
"""

import socket
import sys


def dial(address: tuple[str, int], number: int) -> int:
    """Dial so many times; return how many were refused."""
    refused = 0
    for _ in range(number):
        try:
            socket.create_connection(address, timeout=5).close()
        except ConnectionRefusedError as error:
            refused += 1
            print("client:", error)
    return refused


def main() -> None:
    """Close a listening socket, and make another one at its address."""
    with socket.create_server(("127.0.0.1", 0)) as old:
        address = old.getsockname()
        print("refused while the old one listens:", dial(address, 2))
    print("refused in between:", dial(address, 2))
    with socket.create_server(address):
        print("refused while the new one listens:", dial(address, 2))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it takes back a port that was just used.")
