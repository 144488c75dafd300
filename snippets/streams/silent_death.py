"""A cable is cut and mended: recv() hears nothing of it, and send() works.

Loopback, in a network of its own, stands for the cable.

Needs: Linux, root
"""

import ctypes
import fcntl
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000  # sched.h
SIOCSIFFLAGS, IFF_UP, ESTABLISHED = 0x8914, 1, 1  # netdevice(7), tcp_states.h


def cable(flags: int) -> None:
    """Switch lo up or down, as "ip link set lo up" does."""
    with socket.socket(type=socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))


def outcome(sock: socket.socket) -> str:
    """Return what one recv() gives: bytes, or the words of the error."""
    try:
        return repr(sock.recv(1024))
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Wait for a peer and send to it, while nothing gets through."""
    cable(IFF_UP)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        cable(0)
        print("the cable is cut")
        client.settimeout(0.5)
        print("client: recv() ->", outcome(client))
        print("client: send() ->", client.send(b"hello?"))
        print("client: recv() ->", outcome(client))
        state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        print("its kernel:", "ESTABLISHED" if state == ESTABLISHED else state)

        cable(IFF_UP)
        print("the cable is mended")
        server.settimeout(5)
        print("server: recv() ->", outcome(server))


if sys.platform == "linux" and ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
    main()
else:
    print("This program needs Linux and root: it makes a network of its own.")
