"""Two services on one host: the port in the address says which one answers.

Each service is a thread, and the client the main thread: one process, four ports.
"""

import socket
import threading
from queue import Queue

socket.setdefaulttimeout(5)  # seconds: no call here may wait for ever


def serve(answer: bytes, told: Queue[tuple[str, int]]) -> None:
    """Listen on a free port, tell which, and give one client the answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told.put(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer)


addresses = []
for name, answer in (("bakery", b"bread"), ("library", b"books")):
    told: Queue[tuple[str, int]] = Queue()
    threading.Thread(target=serve, args=(answer, told), name=name).start()
    addresses.append(told.get(timeout=5))

for host, port in addresses:
    with socket.socket() as client:
        client.connect((host, port))
        answer = client.recv(1024)
        print(f"{host} port {port}: {answer!r} to my port {client.getsockname()[1]}")
