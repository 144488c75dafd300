"""A client sends and resets before accept(): accept() succeeds all the same.

On Linux the dead connection stays in the queue. What the client sent can still be
read; then the error comes. Other systems may leave it out of the queue.

Needs: Linux
"""

import socket
import struct
import sys

NO_LINGER = struct.pack("ii", 1, 0)  # on, 0 seconds: close() resets (socket(7))


def main() -> None:
    """Connect, reset, accept, and find out."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            client.sendall(b"late")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        print("client: connect(), sendall(b'late'), then close() with a reset")

        connection, peer = listener.accept()
        print("server: accept() -> a socket that was connected to", peer)
        with connection:
            connection.settimeout(5)
            print("server: recv() ->", connection.recv(1024))
            for call in (lambda: connection.recv(1024), connection.getpeername):
                try:
                    call()
                except OSError as error:
                    print(f"server: {type(error).__name__}: {error}")


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
