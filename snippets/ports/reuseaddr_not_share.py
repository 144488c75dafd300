"""SO_REUSEADDR is no way to share a port: two may bind it, and one may listen.

Needs: Linux
"""

import socket
import sys
from collections.abc import Callable


def attempt(name: str, call: Callable[[], object]) -> None:
    """Make a call and print how it went."""
    try:
        call()
    except OSError as error:
        print(f"{name:18} {error}")
    else:
        print(f"{name:18} done")


def main() -> None:
    """Bind twice, listen twice, and bind once more."""
    with socket.socket() as one, socket.socket() as two, socket.socket() as three:
        for sock in (one, two, three):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        address = one.getsockname()
        attempt("two: bind()", lambda: two.bind(address))
        attempt("one: listen()", one.listen)
        attempt("two: listen()", two.listen)
        attempt("three: bind()", lambda: three.bind(address))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
