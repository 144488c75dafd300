"""A name that is no path: Linux's abstract UNIX sockets leave nothing behind.

Needs: Linux
Varies: handbook-{int>=1}
"""

import os
import socket
import sys

NAME = f"\0handbook-{os.getpid()}"  # the zero byte makes it abstract


def main() -> None:
    """Listen at a name, dial it, close, and dial again."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(NAME)
        listener.listen()
        print("listening at", listener.getsockname())
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(NAME)
            print("connected")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        try:
            client.connect(NAME)
        except ConnectionRefusedError as error:
            print("after close():", error)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: no other system has abstract names.")
