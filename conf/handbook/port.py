"""See whether a port of 127.0.0.1 is free: `make live` asks before its long set-up.

Any Python runs this, and it needs no package.
"""

from __future__ import annotations

import os
import socket
import sys

from handbook.problem import Problem


def look(number: str) -> None:
    """Return if a server could listen there now; Problem says why not."""
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= 65535):
        raise Problem(
            f"PORT={number}", "not a port from 1 to 65535", "make live PORT=8001"
        )
    try:
        with socket.create_server(("127.0.0.1", int(number))):
            return
    except OSError as error:
        raise Problem(
            f"PORT={number}",
            f"cannot listen on 127.0.0.1: {os.strerror(error.errno or 0)}",
            "end the program that has the port, or take another: make live PORT=8001",
        ) from error


def main(arguments: list[str]) -> int:
    """Look at one port; the exit status is 0 if it is free."""
    try:
        look(*arguments)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
