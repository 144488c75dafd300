"""Where does an answer end? Five answers with the same five bytes of content."""

import http.client
import socket
import threading

ANSWERS = {
    "a length": b"Content-Length: 5\r\n\r\nhello",
    "chunks": b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "neither": b"\r\nhello",
    "a length, and cut off": b"Content-Length: 5\r\n\r\nhel",
    "neither, and cut off": b"\r\nhel",
}


def serve(listener: socket.socket) -> None:
    """Give each client one answer, and end the connection after it."""
    for answer in ANSWERS.values():
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + answer)


def ask(port: int) -> str:
    """Return the content of one answer, or the error that stands for it."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        client.request("GET", "/", headers={"Host": "localhost"})
        return f"read() -> {client.getresponse().read()!r}"
    except http.client.HTTPException as error:
        return f"{type(error).__name__}: {error}"
    finally:
        client.close()


def main() -> None:
    """Ask five times."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = threading.Thread(target=serve, args=[listener], name="server")
        server.start()
        for what in ANSWERS:
            print(f"{what:22} {ask(listener.getsockname()[1])}")
        server.join()


main()
