"""Two servers have one port number: which of them gets the client?

One is bound to every address and one to 127.0.0.1. SO_REUSEPORT, set on both, lets
them share the number.

Needs: Linux
"""

import socket
import sys
import threading
from queue import Queue

ports: Queue[int] = Queue()


def serve(host: str, port: int) -> None:
    """Take one client and tell it who answers; put the port into the queue before."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen()
        listener.settimeout(5)
        ports.put(listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            local = connection.getsockname()[0]
            connection.sendall(f"server of {host}, met at {local}".encode())


def dial(host: str, port: int) -> None:
    """Connect and print who answers."""
    with socket.create_connection((host, port), timeout=5) as client:
        print(f"dialled {host}:", client.recv(1024).decode())


def main() -> None:
    """Start both servers; dial the address of one, and an address of neither."""
    threading.Thread(target=serve, args=("0.0.0.0", 0), name="0.0.0.0").start()
    port = ports.get(timeout=5)
    threading.Thread(target=serve, args=("127.0.0.1", port), name="127.0.0.1").start()
    ports.get(timeout=5)
    dial("127.0.0.1", port)
    dial("127.0.0.9", port)


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
