"""Which two TCP servers can have one port number: each pair of addresses, tried.

The first listens; the second binds the same number and listens, too. Neither sets
SO_REUSEADDR or SO_REUSEPORT. "::" takes IPv4 as well, "::6" is :: with IPV6_V6ONLY.

Needs: Linux, IPv6
"""

import errno
import socket
import sys
from collections.abc import Iterable

NAMES = ("0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::6", "::1")


def server(name: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: with EADDRINUSE if it cannot have the port beside another socket.
    """
    sock = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET)
    try:
        if sock.family == socket.AF_INET6:
            only = name != "::"
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind((name.removesuffix("6"), port))
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def beside(first: str, second: str, port: int) -> str:
    """Try two servers on one number, and say how the second one fared."""
    with server(first, port):
        try:
            server(second, port).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return "in use"
    return "OK"


def row(name: str, cells: Iterable[str]) -> str:
    """Put cells under each other."""
    return f"{name:12}{''.join(f'{cell:11}' for cell in cells)}".rstrip()


def main() -> None:
    """Print a row for each first server, a column for each second one."""
    try:
        server("::1", 0).close()
    except OSError as error:
        print("This program needs IPv6, and this machine has none:", error)
        return
    with server("::", 0) as probe:  # a number that is free on every address
        port = probe.getsockname()[1]
    print(row("the first:", ["the second:"]))
    print(row("", NAMES))
    for first in NAMES:
        print(row(first, (beside(first, second, port) for second in NAMES)))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems have other rules.")
