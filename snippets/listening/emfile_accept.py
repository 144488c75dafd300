"""accept() without a free descriptor: the error, and what stays in the queue.

Needs: Linux
"""

import os
import resource
import select
import socket
import struct
import sys
from pathlib import Path


def allow_no_more(sock: socket.socket) -> None:
    """Lower the limit of this process to the descriptors that it has open."""
    free = os.dup(sock.fileno())  # the lowest free number: all below are in use
    os.close(free)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))


def queue_of(listener: socket.socket) -> int:
    """Return how many wait in the accept queue: tcpi_unacked of TCP_INFO."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("=I", info, 24)[0])


def main() -> None:
    """Run out of descriptors, try to accept, and close something else."""
    with (
        Path(os.devnull).open("rb") as other,
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as client,
    ):
        listener.settimeout(5)
        allow_no_more(listener)
        for _ in range(2):
            readable, _, _ = select.select([listener], [], [], 5)
            print("select(): listener readable:", listener in readable)
            try:
                listener.accept()[0].close()
            except OSError as error:
                print("accept() ->", error)
        print("in the queue:", queue_of(listener), "- the client sees no error")
        client.sendall(b"hello?")

        other.close()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            print("a file closed: accept() works, recv() ->", connection.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads the queue with TCP_INFO.")
