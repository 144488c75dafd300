"""When SO_REUSEADDR lets a server start again: the old one must have had it, too.

Needs: Linux
"""

import select
import socket
import sys


def server(address: tuple[str, int], *, reuse: bool) -> socket.socket:
    """Return a listening socket, with SO_REUSEADDR or without it."""
    sock = socket.socket()
    try:
        if reuse:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    sock.settimeout(5)
    return sock


def serve_one(first: str, *, reuse: bool) -> tuple[str, int]:
    """Serve one client and stop; `first` says which side closes before the other."""
    with server(("127.0.0.1", 0), reuse=reuse) as listener:
        address: tuple[str, int] = listener.getsockname()
        client = socket.create_connection(address, timeout=5)
        connection, _ = listener.accept()
        ends = [connection, client] if first == "server" else [client, connection]
        for closing, other in (ends, ends[::-1]):
            closing.close()
            if other.fileno() >= 0:
                select.select([other], [], [], 5)  # returns when the FIN is there
    return address


def attempt(first: str, *, old: bool, new: bool) -> None:
    """Print whether a new server can have the address of an old one."""
    address = serve_one(first, reuse=old)
    try:
        server(address, reuse=new).close()
    except OSError as error:
        outcome = str(error)
    else:
        outcome = "it listens"
    print(f"{first:6}    {old!s:5}  {new!s:5}  {outcome}")


def main() -> None:
    """Try all four, and what happens if the client closes first."""
    print("closed              SO_REUSEADDR of")
    print("first     old    new")
    for old, new in ((False, False), (False, True), (True, False), (True, True)):
        attempt("server", old=old, new=new)
    attempt("client", old=False, new=False)


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; others ask for the new one's only.")
