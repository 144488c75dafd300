"""What a listening socket and a connected one refuse, with the exact error.

A listening socket takes connections, a connected one carries bytes, and each
refuses the other's calls. They are non-blocking here because of the error's text:
with a time-out, Python first waits for the socket, and says "timed out".
"""

import socket
from collections.abc import Callable


def attempt(what: str, call: Callable[[], object]) -> None:
    """Print what call() returns, or the error it raises."""
    try:
        print(what, "->", call())
    except OSError as error:
        print(what, "->", f"{type(error).__name__}: {error}")


with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as client,
):
    listener.settimeout(5)
    address = listener.getsockname()
    connected, _ = listener.accept()
    with connected:
        listener.settimeout(0)
        attempt("listener.recv(1024)     ", lambda: listener.recv(1024))
        attempt("listener.send(b'hello') ", lambda: listener.send(b"hello"))
        attempt("listener.connect(...)   ", lambda: listener.connect(address))
        attempt("listener.getpeername()  ", listener.getpeername)
        attempt("listener.getsockname()  ", listener.getsockname)

        connected.settimeout(0)
        attempt("connected.accept()      ", lambda: connected.accept()[0])
        attempt("connected.listen(5)     ", lambda: connected.listen(5))
        attempt("connected.connect(...)  ", lambda: connected.connect(address))
        attempt("connected.getpeername() ", connected.getpeername)
        attempt("connected.getsockname() ", connected.getsockname)
        attempt("connected.send(b'hello')", lambda: connected.send(b"hello"))
        attempt("client.recv(1024)       ", lambda: client.recv(1024))
