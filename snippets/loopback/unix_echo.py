"""The same conversation over TCP and over a UNIX socket: only the address differs.

Needs: Linux
"""

import socket
import sys
import tempfile
import threading
from pathlib import Path
from queue import Queue

Address = str | tuple[str, int]
socket.setdefaulttimeout(5)  # seconds: no call here may wait for ever


def serve(family: int, address: Address, ready: Queue[Address]) -> None:
    """Listen at an address, and send one client its message back in capitals."""
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        ready.put(listener.getsockname())
        connection, peer = listener.accept()
        with connection:
            message = connection.recv(1024)
            print("server: a client at", repr(peer), "says", message)
            connection.sendall(message.upper())


def talk(family: int, address: Address) -> None:
    """Start a server at an address, and send it a word."""
    ready: Queue[Address] = Queue()
    server = threading.Thread(target=serve, args=[family, address, ready])
    server.name = "server"
    server.start()
    with socket.socket(family) as client:
        client.connect(ready.get(timeout=5))
        client.sendall(b"hello")
        answer = client.recv(1024)  # comes after the server has printed its line
        print("client: connected to", client.getpeername(), "and got", answer)
    server.join(5)


def main() -> None:
    """Talk over both; look at the path that the UNIX socket leaves behind."""
    talk(socket.AF_INET, ("127.0.0.1", 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "echo.sock")
        talk(socket.AF_UNIX, str(path))
        print("all sockets are closed; the path is a socket:", path.is_socket())


if sys.platform == "linux":
    main()
else:
    print("This program is for Linux; Python has no UNIX sockets on Windows.")
