"""socket() takes the lowest free number; close() frees it, and the next one gets it.

Needs: Linux
"""

import os
import socket
import sys


def main() -> None:
    """Keep a number longer than its socket, and write to a stranger."""
    with socket.socket() as first, socket.socket() as second:
        kept = first.fileno()  # a bare number, as a careless program keeps it
        print("first socket: ", first.fileno())
        print("second socket:", second.fileno())

        first.close()
        print("first after close():", first.fileno())
        try:
            os.write(kept, b"hello")
        except OSError as error:
            print(f"os.write({kept}):", error)

        left, right = socket.socketpair()  # two sockets, connected to each other
        with left, right:
            right.settimeout(5)
            print("a new pair:", left.fileno(), "and", right.fileno())
            os.write(kept, b"meant for the first socket")
            print("its other end gets:", right.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: elsewhere the numbers may be others.")
