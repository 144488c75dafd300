"""The accept queue fills, overflows, and is drained: the kernel's own numbers.

Needs: Linux
"""

import socket
import struct
import sys
import time
from pathlib import Path


def queue_of(listener: socket.socket) -> tuple[int, int]:
    """Return how many wait in the accept queue, and the limit that listen() set.

    For a listening socket these are tcpi_unacked and tcpi_sacked of TCP_INFO.
    """
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    waiting, limit = struct.unpack_from("=II", info, 24)
    return waiting, limit


def wait_for_queue(listener: socket.socket, length: int) -> str:
    """Return what the kernel says once that many wait; give up after 5 seconds."""
    deadline = time.monotonic() + 5
    while queue_of(listener)[0] != length:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the queue never had the length {length}")
    waiting, limit = queue_of(listener)
    return f"queue {waiting}, limit {limit}"


def counters() -> dict[str, int]:
    """Return the TcpExt counters of /proc/net/netstat, of all programs together."""
    names, values = Path("/proc/net/netstat").read_text().splitlines()[:2]
    return dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))


def main() -> None:
    """Fill a queue, dial once more, accept one, and dial again."""
    with (
        socket.socket() as listener,
        socket.socket() as first,
        socket.socket() as second,
        socket.socket() as third,
        socket.socket() as fourth,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        for sock in (listener, first, second, fourth):
            sock.settimeout(5)
        address = listener.getsockname()

        first.connect(address)
        print("first:", wait_for_queue(listener, 1))
        second.connect(address)
        print("second:", wait_for_queue(listener, 2))

        before = counters()
        third.settimeout(0.3)
        try:
            third.connect(address)
        except TimeoutError as error:
            print("third: connect() ->", error)
        for name in ("ListenOverflows", "ListenDrops"):
            print("kernel:", name, "has grown:", counters()[name] > before[name])

        connection, _ = listener.accept()
        with connection:
            print("server: accept(),", wait_for_queue(listener, 1))
            fourth.connect(address)
            print("fourth:", wait_for_queue(listener, 2))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads TCP_INFO and /proc/net/netstat.")
