"""How many clients get in while the server accepts none: one more than the backlog.

The next client is not refused. It gets no answer, and waits until its own
time-out is over.

Needs: Linux
"""

import socket
import sys
import time
from contextlib import ExitStack


def wait_until_queued(listener: socket.socket, number: int) -> None:
    """Return when that many are in the accept queue, or after 5 seconds.

    connect() returns with the SYN-ACK; the ACK may reach the other end a moment
    later. The length of the queue is tcpi_unacked of TCP_INFO.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        if int.from_bytes(info[24:28], sys.byteorder) == number:
            return


def clients_that_get_in(backlog: int) -> tuple[int, OSError]:
    """Dial until one fails; return how many did not, and the error of the one.

    Raises:
        AssertionError: none failed among five more than the backlog.
    """
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(backlog)
        for connected in range(backlog + 5):
            client = sockets.enter_context(socket.socket())
            client.settimeout(0.3)
            try:
                client.connect(listener.getsockname())
            except OSError as error:
                return connected, error
            wait_until_queued(listener, connected + 1)
    raise AssertionError("the queue is longer than expected")


def main() -> None:
    """Try four backlogs."""
    for backlog in (0, 1, 2, 5):
        connected, error = clients_that_get_in(backlog)
        print(f"listen({backlog}): {connected} connected, the next one:", repr(error))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems count differently.")
