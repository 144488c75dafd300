"""After fork() two processes hold one socket: the parent's close() ends nothing.

Needs: Linux
"""

import os
import socket
import sys


def client(address: tuple[str, int]) -> None:
    """Print what comes, up to the end of the stream."""
    with socket.create_connection(address, timeout=5) as sock:
        print("client: recv() ->", sock.recv(1024), flush=True)
        print("client: recv() ->", sock.recv(1024), flush=True)


def child(connection: socket.socket, parent_closed: int) -> None:
    """Send on the inherited descriptor, once the parent has closed its own."""
    os.read(parent_closed, 1)  # b"" as soon as the parent closes its end
    with connection:
        print("child:  sendall() on descriptor", connection.fileno(), flush=True)
        connection.sendall(b"from the child")


def main() -> None:
    """Accept a client, share the connection with a child, and close it here."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        if os.fork() == 0:
            client(listener.getsockname())
            os._exit(0)
        connection, _ = listener.accept()
        connection.settimeout(5)
        parent_closed, tell = os.pipe()
        if os.fork() == 0:
            os.close(tell)  # or the child would wait for itself if the parent died
            child(connection, parent_closed)
            os._exit(0)
        print("parent: close() of descriptor", connection.fileno(), flush=True)
        connection.close()
        os.close(tell)  # now the child goes on
        os.close(parent_closed)
        os.wait()
        os.wait()


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: its child processes are made by fork().")
