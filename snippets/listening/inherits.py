"""What a socket from accept() has of the listening one, and what it has not.

Needs: Linux
"""

import socket
import struct
import sys

LINGER = struct.pack("ii", 1, 5)  # on, and 5 seconds: struct linger of socket(7)
OPTIONS = {
    "SO_KEEPALIVE": (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    "TCP_NODELAY": (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    "SO_RCVBUF": (socket.SOL_SOCKET, socket.SO_RCVBUF, 8192),
}


def settings(sock: socket.socket) -> dict[str, object]:
    """Return what the kernel and Python say about one socket."""
    told: dict[str, object] = {
        name: sock.getsockopt(level, option)
        for name, (level, option, _) in OPTIONS.items()
    }
    size = struct.calcsize("ii")
    linger = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, size)
    told["SO_LINGER"] = struct.unpack("ii", linger)
    told["time-out"] = sock.gettimeout()
    told["inheritable"] = sock.get_inheritable()
    return told


def main() -> None:
    """Set everything on a listening socket, accept, and compare."""
    with socket.socket() as listener:
        for level, option, value in OPTIONS.values():
            listener.setsockopt(level, option, value)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        listener.settimeout(5)
        listener.set_inheritable(True)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname(), timeout=5):
            connection, _ = listener.accept()
            with connection:
                accepted = settings(connection)
        print(f"{'':14}{'listener':12}accepted")
        for name, setting in settings(listener).items():
            print(f"{name:14}{setting!s:12}{accepted[name]}")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: elsewhere accept() copies other things.")
