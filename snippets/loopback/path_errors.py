"""The errors of a UNIX socket's path, each provoked, and what a server does about one.

Needs: Linux
"""

import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path


def report(what: str, call: Callable[[], object]) -> None:
    """Make a call, and print what comes of it."""
    try:
        call()
        print(f"{what}: no error")
    except OSError as error:
        print(f"{what}: {type(error).__name__}: {error}")


def main() -> None:
    """Dial and bind paths that are missing, stale, taken, of another kind or long."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        report("missing", lambda: sock.connect(f"{folder}/none.sock"))

        stale = f"{folder}/stale.sock"
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(stale)
            old.listen()
        report("stale, connect()", lambda: sock.connect(stale))
        report("stale, bind()", lambda: sock.bind(stale))
        Path(stale).unlink()
        report("unlinked, bind()", lambda: sock.bind(stale))

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other_kind:
            other_kind.bind(f"{folder}/datagrams.sock")
            with socket.socket(socket.AF_UNIX) as stream:
                stream.settimeout(5)
                address = other_kind.getsockname()
                report("datagram socket", lambda: stream.connect(address))
                report("108 bytes", lambda: stream.bind("/" + 107 * "x"))


if sys.platform == "linux":
    main()
else:
    print("This program is for Linux: elsewhere the paths and errors differ.")
