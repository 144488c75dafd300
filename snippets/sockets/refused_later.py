"""UDP: the error for one datagram comes out of the next call.

Needs: Linux
"""

import select
import socket
import sys
from collections.abc import Callable


def attempt(name: str, call: Callable[[], object]) -> None:
    """Print what a call returns, or the error it raises."""
    try:
        print(f"{name:10}->", call())
    except OSError as error:
        print(f"{name:10}->", error)


def main() -> None:
    """Send where nobody takes it: first connected, then not."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as holder,
        socket.socket(type=socket.SOCK_DGRAM) as connected,
        socket.socket(type=socket.SOCK_DGRAM) as unconnected,
    ):
        holder.bind(("127.0.0.1", 0))
        nobody = holder.getsockname()
        holder.connect(nobody)  # from now on it takes datagrams from itself alone

        connected.connect(nobody)
        connected.settimeout(0.3)
        print("connected to the address:")
        attempt("send()", lambda: connected.send(b"hello"))
        select.select([connected], [], [], 5)  # returns when the refusal is there
        attempt("send()", lambda: connected.send(b"hello?"))
        attempt("send()", lambda: connected.send(b"hello??"))
        select.select([connected], [], [], 5)
        attempt("recv()", lambda: connected.recv(1024))

        unconnected.settimeout(0.3)
        print("not connected:")
        attempt("sendto()", lambda: unconnected.sendto(b"hello", nobody))
        attempt("recv()", lambda: unconnected.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
