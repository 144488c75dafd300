"""Refuse a request so that the client can read why: shut down, drain, then close."""

import contextlib
import socket
import time
from collections.abc import Callable


def close_kindly(sock: socket.socket, seconds: float = 2.0) -> None:
    """Close a connection so that what was sent last can still be read.

    It says that no more will follow, throws away what still comes, and closes when
    the peer has ended as well. After `seconds` it closes in any case.
    """
    deadline = time.monotonic() + seconds
    with sock, contextlib.suppress(OSError):  # a reset or a time-out: then it is over
        sock.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            if not sock.recv(65536):
                break


def answer_read(client: socket.socket) -> str:
    """Return what comes until the end of the stream, or the error."""
    received = b""
    try:
        while data := client.recv(1024):
            received += data
    except OSError as error:
        return f"{received!r}, then {error}"
    return f"{received!r}, then the end"


def refuse_by(close: Callable[[socket.socket], None]) -> None:
    """Refuse an upload after its first line, and close."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(5)
        client.sendall(b"PUT film\n" + bytes(1000))
        client.shutdown(socket.SHUT_WR)
        server.recv(9)  # the line, and not the film
        server.sendall(b"too large")
        close(server)
        print(f"{close.__name__}(): {answer_read(client)}")


refuse_by(socket.socket.close)
refuse_by(close_kindly)
