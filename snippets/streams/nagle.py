"""A request in two small writes: what Nagle's algorithm and a delayed ACK cost.

Each row gives the median of nine requests, then the quickest and the slowest.

Needs: Linux
Varies: {seconds>=0.01} ms   {seconds>=0.01} to {seconds>=0.01}
"""

import os
import socket
import statistics
import struct
import sys
import threading
import time

REQUESTS = 9
SECONDS = struct.pack("ll", 5, 0)  # struct timeval: no call waits longer
HEAD, BODY = b"length: 4\n", b"body"


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends whose descriptors block for 5 seconds at most."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    for sock in (client, server):
        sock.settimeout(None)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, SECONDS)
    return client, server


def answer(server: socket.socket) -> None:
    """Read whole requests, and answer each, until there are no more."""
    waiting = b""
    with server:
        while data := os.read(server.fileno(), 1024):
            waiting += data
            if len(waiting) == len(HEAD + BODY):
                os.write(server.fileno(), b"ok")
                waiting = b""


def ask(client: int, writes: tuple[bytes, ...]) -> float:
    """Write a request in pieces, read the answer; return the milliseconds it took."""
    began = time.perf_counter()
    for piece in writes:
        os.write(client, piece)
    os.read(client, 1024)
    return (time.perf_counter() - began) * 1000


def measure(way: str, writes: tuple[bytes, ...], *, nodelay: bool) -> None:
    """Ask many times over one connection, and print how long it took."""
    client, server = pair()
    thread = threading.Thread(target=answer, args=[server], name="server")
    with client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
        thread.start()
        ask(client.fileno(), writes)  # a new connection acknowledges at once
        took = [ask(client.fileno(), writes) for _ in range(REQUESTS)]
        client.shutdown(socket.SHUT_WR)
        thread.join()
    middle = statistics.median(took)
    spread = f"{min(took):.2f} to {max(took):.2f}"
    print(f"request and answer   {way:23}   {middle:.2f} ms   {spread}")


def main() -> None:
    """Measure three ways to send the same bytes."""
    measure("two writes, Nagle", (HEAD, BODY), nodelay=False)
    measure("two writes, TCP_NODELAY", (HEAD, BODY), nodelay=True)
    measure("one write, Nagle", (HEAD + BODY,), nodelay=False)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: its numbers are those of Linux.")
