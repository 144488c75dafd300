"""Address already in use, and nobody uses it: the path of a UNIX socket stays."""

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path


def attempt(name: str, call: Callable[[], object]) -> None:
    """Make a call and print how it went."""
    try:
        call()
    except OSError as error:
        print(f"{name:26} {error}")
    else:
        print(f"{name:26} done")


def main() -> None:
    """Stop a server without deleting its path, and start it again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "server.sock")
        with socket.socket(socket.AF_UNIX) as server:
            attempt("bind()", lambda: server.bind(str(path)))
            server.listen()
        print("the server has stopped")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            attempt("client: connect()", lambda: client.connect(str(path)))
        with socket.socket(socket.AF_UNIX) as again:
            attempt("bind()", lambda: again.bind(str(path)))
            path.unlink()
            attempt("bind() after unlink()", lambda: again.bind(str(path)))


if hasattr(socket, "AF_UNIX"):
    main()
else:
    print("Python has no UNIX sockets on this system.")
