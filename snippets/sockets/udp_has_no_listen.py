"""Calls of TCP that UDP does not have, and the address that it cannot do without.

They are non-blocking because of accept(): with a time-out Python would first wait
for a client, and then say "timed out".
"""

import socket
from collections.abc import Callable


def attempt(name: str, call: Callable[[], object]) -> None:
    """Print what a call returns, or the error it raises."""
    try:
        print(f"{name:11}->", call())
    except OSError as error:
        print(f"{name:11}->", error)


with (
    socket.socket(type=socket.SOCK_DGRAM) as receiver,
    socket.socket(type=socket.SOCK_DGRAM) as sender,
):
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(0)
    attempt("listen()", receiver.listen)
    attempt("accept()", receiver.accept)
    attempt("send()", lambda: sender.send(b"to whom?"))
    attempt("sendto()", lambda: sender.sendto(b"to you", receiver.getsockname()))
    receiver.settimeout(5)
    attempt("recvfrom()", lambda: receiver.recvfrom(1024))
