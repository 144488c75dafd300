"""Errors that a program gets when it asks a socket for something it has not.

Needs: Linux
"""

import os
import socket
import sys
from collections.abc import Callable


def attempt(told: str, call: Callable[[], object]) -> None:
    """Print the error that a call raises; that it raises none is one, too."""
    try:
        print(f"{told}: {call()!r}, and no error")
    except OSError as error:
        print(f"{told}: {type(error).__name__}: {error}")


def main() -> None:
    """Ask for families, protocols and options that are not there, and do not wait."""
    attempt("family 99", lambda: socket.socket(99))
    attempt("protocol 99", lambda: socket.socket(proto=99))
    with socket.socket() as listener, socket.socket() as client:
        option = (socket.SOL_SOCKET, 9999, 1)
        attempt("option 9999", lambda: listener.setsockopt(*option))
        listener.bind(("127.0.0.1", 0))
        attempt("bind() again", lambda: listener.bind(("127.0.0.1", 0)))
        listener.listen(0)
        listener.settimeout(0)
        attempt("accept(), nobody there", listener.accept)
        address = listener.getsockname()
        with socket.create_connection(address, timeout=5):  # now the queue is full
            client.settimeout(0)
            attempt("connect(), no answer yet", lambda: client.connect(address))
            attempt("connect() again", lambda: client.connect(address))
    read, write = os.pipe()
    attempt("a socket of a pipe's fd", lambda: socket.socket(fileno=read))
    os.close(read)
    os.close(write)


if sys.platform == "linux":
    main()
else:
    print("The errors shown are Linux's: nothing to show here.")
