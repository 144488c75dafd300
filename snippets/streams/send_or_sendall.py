"""send() may take a part of the bytes and leave the rest to you; sendall() does not.

Each way gets 64 MB to send, more than the buffers of both kernels, while the
other side reads all the time.
"""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor as Threads

DATA = bytes(64_000_000)
Send = Callable[[bytes], int | None]


def attempt(name: str, timeout: float | None) -> None:
    """Send DATA with the method called name; print what the receiver got."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as sender,
    ):
        listener.settimeout(5)
        connection, _ = listener.accept()
        connection.settimeout(5)
        sender.settimeout(timeout)
        send: Send = getattr(sender, name)
        with connection, connection.makefile("rb") as stream, Threads() as threads:
            arriving = threads.submit(stream.read)  # until the end
            result = threads.submit(send, DATA).result(timeout=5)
            threads.submit(sender.shutdown, socket.SHUT_WR)  # no more will come
            arrived = len(arriving.result(timeout=5))
    told = "-> None" if result is None else f"took all: {result == len(DATA)}"
    print(f"{name}(), time-out {timeout}: {told}, all arrived: {arrived == len(DATA)}")


attempt("send", None)
attempt("send", 5)
attempt("sendall", 5)
