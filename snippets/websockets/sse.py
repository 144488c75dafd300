"""Server-sent events: one request, and an answer that does not end.

Needs: get.py
"""

import socket
import threading

from get import read_head

HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
)


def serve(listener: socket.socket, taken: threading.Semaphore) -> None:
    """Answer one request with three events, the next when the last has been read."""
    connection, _ = listener.accept()
    connection.settimeout(5)
    with connection, connection.makefile("rb") as stream:
        print("the server reads", read_head(stream)[0])
        connection.sendall(HEAD.encode() + b"\r\n")
        for event in ("flour", "dough", "bread"):
            taken.acquire(timeout=5)
            connection.sendall(f"data: {event}\n\n".encode())


def follow(address: tuple[str, int], taken: threading.Semaphore) -> None:
    """Ask once, and read until there are no more events."""
    with socket.create_connection(address, timeout=5) as client:
        client.sendall(b"GET /oven HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with client.makefile("rb") as stream:
            print("the client reads", read_head(stream)[1])
            taken.release()
            for line in stream:
                if line.startswith(b"data: "):
                    print("the client reads", line.rstrip().decode())
                    taken.release()


def main() -> None:
    """Let one client follow the bread."""
    taken = threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        arguments = (listener.getsockname(), taken)
        client = threading.Thread(target=follow, args=arguments, name="client")
        client.start()
        serve(listener, taken)
        client.join()


main()
