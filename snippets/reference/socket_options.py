"""What each socket option is on a new TCP socket, and what accept() makes of it.

The listening socket gets a value that is not the default, before it listens.
Then a client connects, and the accepted socket is asked for its own value.

Needs: Linux
Varies: SO_RCVBUF         {int>=1}
Varies: SO_SNDBUF         {int>=1}
"""

import socket
import struct
import sys

SOL, TCP, IP = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP
SECONDS = struct.pack("@ll", 5, 0)  # struct timeval: seconds, microseconds
LINGER = struct.pack("@ii", 1, 5)  # struct linger: on, seconds
OPTIONS: list[tuple[str, int, int, int | bytes | None]] = [
    ("SO_ACCEPTCONN", SOL, socket.SO_ACCEPTCONN, None),  # None: it cannot be set
    ("SO_BROADCAST", SOL, socket.SO_BROADCAST, 1),
    ("SO_DOMAIN", SOL, socket.SO_DOMAIN, None),
    ("SO_ERROR", SOL, socket.SO_ERROR, None),
    ("SO_KEEPALIVE", SOL, socket.SO_KEEPALIVE, 1),
    ("SO_LINGER", SOL, socket.SO_LINGER, LINGER),
    ("SO_OOBINLINE", SOL, socket.SO_OOBINLINE, 1),
    ("SO_PRIORITY", SOL, socket.SO_PRIORITY, 5),
    ("SO_PROTOCOL", SOL, socket.SO_PROTOCOL, None),
    ("SO_RCVBUF", SOL, socket.SO_RCVBUF, 8192),
    ("SO_RCVLOWAT", SOL, socket.SO_RCVLOWAT, 4),
    ("SO_RCVTIMEO", SOL, socket.SO_RCVTIMEO, SECONDS),
    ("SO_REUSEADDR", SOL, socket.SO_REUSEADDR, 1),
    ("SO_REUSEPORT", SOL, socket.SO_REUSEPORT, 1),
    ("SO_SNDBUF", SOL, socket.SO_SNDBUF, 10000),
    ("SO_SNDTIMEO", SOL, socket.SO_SNDTIMEO, SECONDS),
    ("SO_TYPE", SOL, socket.SO_TYPE, None),
    ("TCP_CORK", TCP, socket.TCP_CORK, 1),
    ("TCP_DEFER_ACCEPT", TCP, socket.TCP_DEFER_ACCEPT, 1),
    ("TCP_FASTOPEN", TCP, socket.TCP_FASTOPEN, 5),
    ("TCP_KEEPCNT", TCP, socket.TCP_KEEPCNT, 3),
    ("TCP_KEEPIDLE", TCP, socket.TCP_KEEPIDLE, 60),
    ("TCP_KEEPINTVL", TCP, socket.TCP_KEEPINTVL, 10),
    ("TCP_LINGER2", TCP, socket.TCP_LINGER2, 10),
    ("TCP_MAXSEG", TCP, socket.TCP_MAXSEG, 1000),
    ("TCP_NODELAY", TCP, socket.TCP_NODELAY, 1),
    ("TCP_QUICKACK", TCP, socket.TCP_QUICKACK, 0),
    ("TCP_SYNCNT", TCP, socket.TCP_SYNCNT, 2),
    ("TCP_USER_TIMEOUT", TCP, socket.TCP_USER_TIMEOUT, 3000),
    ("IP_TOS", IP, socket.IP_TOS, 16),
    ("IP_TTL", IP, socket.IP_TTL, 32),
]


def value(
    sock: socket.socket, level: int, option: int, like: int | bytes | None
) -> str:
    """Ask for an option and say what it is: an int, or the numbers of a struct."""
    if not isinstance(like, bytes):
        return str(sock.getsockopt(level, option))
    size = len(like)
    form = "@ll" if like is SECONDS else "@ii"
    numbers = struct.unpack(form, sock.getsockopt(level, option, size))
    return " ".join(map(str, numbers))


def main() -> None:
    """Print for each option: the default, what was set, and what accept() gave."""
    for name, level, option, wanted in OPTIONS:
        with socket.socket() as listener, socket.socket() as client:
            default = value(listener, level, option, wanted)
            if wanted is not None:
                listener.setsockopt(level, option, wanted)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.settimeout(5)
            client.settimeout(5)
            here = value(listener, level, option, wanted)
            client.connect(listener.getsockname())
            client.send(b"for those who wait for data")
            connection, _ = listener.accept()
            with connection:
                accepted = value(connection, level, option, wanted)
            print(f"{name:<16}  {default:<8}  {here:<8}  {accepted}")


if sys.platform == "linux":
    main()
else:
    print("The options shown are Linux's: nothing to print here.")
