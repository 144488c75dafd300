"""A process hands an open file to another that could not open it: send_fds().

Needs: Linux
"""

import os
import socket
import sys
import tempfile
from pathlib import Path


def read_what_comes(parent: socket.socket) -> None:
    """Take a descriptor from the parent, and send back what it reads there."""
    message, descriptors, _, _ = socket.recv_fds(parent, 1024, maxfds=1)
    with os.fdopen(descriptors[0], "rb") as file:  # closes the descriptor, too
        answer = b"%s: I read %r" % (message, file.read())
    parent.sendall(answer)


def main() -> None:
    """Send an open file, close it, delete it; only then start the other process."""
    here, there = socket.socketpair()
    with here, there, tempfile.TemporaryDirectory() as folder:
        here.settimeout(5)
        there.settimeout(5)
        path = Path(folder, "secret.txt")
        path.write_bytes(b"nobody can open me")
        with path.open("rb") as file:
            socket.send_fds(here, [b"child"], [file.fileno()])
        path.unlink()
        print("closed here, and the name is gone:", not path.exists())
        child = os.fork()
        if child == 0:
            try:
                read_what_comes(there)
            finally:
                os._exit(0)
        try:
            print(here.recv(1024).decode())
        finally:
            os.waitpid(child, 0)


if sys.platform == "linux":
    main()
else:
    print("This program is for Linux; macOS passes descriptors, too, Windows not.")
