"""What happens without listen(), and without bind().

Needs: Linux
"""

import socket
import sys


def main() -> None:
    """Leave out listen(), then leave out bind()."""
    with socket.socket() as bound, socket.socket() as client:
        bound.bind(("127.0.0.1", 0))
        print("bound, not listening:", bound.getsockname())
        client.settimeout(5)
        try:
            client.connect(bound.getsockname())
        except ConnectionRefusedError as error:
            print("  client: connect() ->", error)
        bound.settimeout(5)
        try:
            bound.accept()
        except OSError as error:
            print("  server: accept()  ->", error)

    with socket.socket() as unbound:
        print("a new socket:", unbound.getsockname())
        unbound.listen()
        print("  after listen() without bind():", unbound.getsockname())


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
