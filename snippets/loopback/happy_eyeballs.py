"""Happy Eyeballs in small: dial the next address while the first stays silent.

Needs: Linux
"""

import errno
import os
import select
import socket
import sys
import time
from typing import Any

DELAY = 0.25  # seconds that each address is ahead of the next (RFC 8305 section 5)


def first_to_answer(found: list[tuple[Any, ...]], seconds: float) -> socket.socket:
    """Dial what getaddrinfo() found; return the first connection that is made.

    Raises:
        OSError: every address failed, the last one with this error.
        TimeoutError: none has answered in that many seconds.
    """
    deadline = time.monotonic() + seconds
    left = list(found)
    waiting: list[socket.socket] = []
    error = 0
    try:
        while left or waiting:
            if left:
                family, kind, protocol, _, address = left.pop(0)
                sock = socket.socket(family, kind, protocol)
                sock.settimeout(0)  # connect_ex() only begins
                begun = sock.connect_ex(address)
                print("dialled", address[0])
                if begun not in (0, errno.EINPROGRESS):  # it has failed at once
                    error = begun
                    sock.close()
                    continue
                waiting.append(sock)
            patience = deadline - time.monotonic()
            if patience <= 0:
                raise TimeoutError("timed out")
            patience = min(patience, DELAY) if left else patience
            # waits: the delay before the next address is the subject
            for sock in select.select([], waiting, [], patience)[1]:
                waiting.remove(sock)
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error == 0:
                    sock.settimeout(seconds)
                    return sock
                sock.close()
        raise OSError(error, os.strerror(error))
    finally:
        for sock in waiting:  # the losers
            sock.close()


def main() -> None:
    """Dial a server whose queue is full, and one beside it, at the same port."""
    with (
        socket.create_server(("127.0.0.2", 0), backlog=0) as silent,
        socket.create_connection(silent.getsockname(), timeout=5),
        socket.create_server(("127.0.0.3", silent.getsockname()[1])) as other,
    ):
        select.select([silent], [], [], 5)  # one is in the queue, which is now full
        found = []
        for host, port in (silent.getsockname(), other.getsockname()):
            found += socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with first_to_answer(found, seconds=5) as client:
            print("connected to", client.getpeername())


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it lets a full queue drop a SYN.")
