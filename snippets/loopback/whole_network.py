"""Not one address but a network: servers on 127.0.0.2 and 127.0.0.3, one port.

Needs: Linux
"""

import socket
import sys
import threading
from queue import Queue

socket.setdefaulttimeout(5)  # seconds: no call here may wait for ever


def serve(host: str, port: int, ready: Queue[int]) -> None:
    """Listen, say on which port, and tell one client which address this is."""
    with socket.create_server((host, port)) as listener:
        ready.put(listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"I am " + host.encode())


def dial(host: str, port: int) -> None:
    """Print what comes of dialling an address, and the client's own."""
    with socket.socket() as client:
        try:
            client.connect((host, port))
            here = client.getsockname()[0]
            print(f"from {here} to {host}: {client.recv(1024)!r}")
        except OSError as error:
            print(f"to {host}: {error}")


def main() -> None:
    """Listen on two addresses of loopback, and dial four."""
    ready: Queue[int] = Queue()
    port = 0  # the first server takes any free one, and the second takes the same
    for host in ("127.0.0.2", "127.0.0.3"):
        threading.Thread(target=serve, args=[host, port, ready], name=host).start()
        port = ready.get(timeout=5)
        print("listening on", (host, port))
    for host in ("127.0.0.2", "127.0.0.3", "127.9.9.9", "127.255.255.255"):
        dial(host, port)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: macOS and the BSDs give loopback one address.")
