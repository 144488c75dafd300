"""Which calls for files work on a socket, and what the others say.

Needs: Linux
"""

import os
import socket
import sys
from collections.abc import Callable


def attempt(name: str, call: Callable[[], object]) -> None:
    """Print what a call returns, or the error it raises."""
    try:
        print(f"{name:12}->", call())
    except OSError as error:
        print(f"{name:12}->", error)


def main() -> None:
    """Write to one socket of a pair, read from the other, then try the rest."""
    left, right = socket.socketpair()
    with left, right:
        number = right.fileno()
        attempt("os.write()", lambda: os.write(left.fileno(), b"a file, then?"))
        attempt("os.read()", lambda: os.read(number, 1024))
        attempt("os.lseek()", lambda: os.lseek(number, 0, os.SEEK_SET))
        attempt("os.pread()", lambda: os.pread(number, 1, 0))
        attempt("open()", lambda: os.open(f"/proc/self/fd/{number}", os.O_RDWR))
        right.close()
        attempt("os.read()", lambda: os.read(number, 1024))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it opens a socket's entry in /proc.")
