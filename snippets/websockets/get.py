"""HTTP/1.1 by hand: a request and its answer are lines of text on a TCP connection."""

import socket
import threading
from typing import BinaryIO

LIMIT = 65_536  # bytes of one line, as in http.server


def read_head(stream: BinaryIO) -> list[str]:
    """Return the lines up to the empty one; no line at all if the stream has ended."""
    lines = []
    while line := stream.readline(LIMIT).rstrip(b"\r\n"):
        lines.append(line.decode("latin-1"))
    return lines


def answer_one(listener: socket.socket) -> None:
    """Accept one client, read its request, and answer."""
    connection, _ = listener.accept()
    connection.settimeout(5)
    with connection, connection.makefile("rb") as stream:
        print("the server reads:", *read_head(stream), sep="\n    ")
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n"
        connection.sendall(head + b"\r\n" + b"hello\n")


def main() -> None:
    """Ask for one page."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = threading.Thread(target=answer_one, args=[listener], name="server")
        server.start()
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            client.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            server.join()
            with client.makefile("rb") as stream:
                head = read_head(stream)
                print("the client reads:", *head, sep="\n    ")
                named = (field.partition(":") for field in head[1:])
                fields = {name.lower(): value.strip() for name, _, value in named}
                length = int(fields["content-length"])
                print("and", length, "bytes of content:", stream.read(length))


if __name__ == "__main__":
    main()
