"""A TCP socket dials its own address, and is connected: to itself.

Needs: Linux
"""

import socket
import sys


def main() -> None:
    """Bind, dial the same address, and talk."""
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.bind(("127.0.0.1", 0))
        print("my address:", sock.getsockname(), "and nobody listens there")
        sock.connect(sock.getsockname())
        print("connect() -> connected to", sock.getpeername())
        sock.sendall(b"is anybody there?")
        print("recv() ->", sock.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; others may refuse.")
