"""Where bytes wait: first in the receiver's kernel, then in the sender's, then send().

Both buffers are made small, so that a few sends fill them.

Needs: Linux
"""

import fcntl
import socket
import struct
import sys
import termios
import time

SMALL = 10_000  # bytes for each buffer; the kernel doubles it, for its own needs
PIECE = b"x" * 5000
UNSENT, UNREAD = 0x894B, termios.FIONREAD  # SIOCOUTQNSD of linux/sockios.h; tcp(7)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two ends with small buffers, the sender's first."""
    with socket.socket() as listener:
        listener.settimeout(5)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sender = socket.create_connection(listener.getsockname(), timeout=5)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        receiver, _ = listener.accept()
    receiver.settimeout(5)
    return sender, receiver


def waiting(sock: socket.socket, request: int) -> int:
    """Return how many bytes wait in a socket, unsent or unread."""
    return int(struct.unpack("i", fcntl.ioctl(sock, request, bytes(4)))[0])


def show(what: str, sender: socket.socket, receiver: socket.socket) -> None:
    """Print what was done, and where the bytes wait now."""
    here, there = waiting(sender, UNSENT), waiting(receiver, UNREAD)
    print(f"{what:18}  {here:8}  {there:8}")


def main() -> None:
    """Send to somebody who does not read, until nothing more is taken."""
    sender, receiver = pair()
    with sender, receiver:
        sender.settimeout(0.2)  # seconds that send() may wait for room
        print(f"{'':18}    unsent    unread")
        try:
            while True:
                show(f"send() -> {sender.send(PIECE)}", sender, receiver)
        except TimeoutError as error:
            show(f"send() -> {error}", sender, receiver)
        taken = len(receiver.recv(65536))
        deadline = time.monotonic() + 5
        while waiting(sender, UNSENT) and time.monotonic() < deadline:
            pass  # the sender's kernel sends by itself what now has room
        show(f"recv() -> {taken}", sender, receiver)
        show(f"send() -> {sender.send(PIECE)}", sender, receiver)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it asks its kernel how many bytes wait.")
