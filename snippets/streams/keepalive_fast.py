"""Keep-alive: off unless you ask, slow unless you say how fast, and then it works.

A filter drops all that comes for the client, as if the cable were cut.

Needs: Linux, socket filters
Varies: after {seconds>=2} seconds
Takes: 5 seconds
"""

import ctypes
import socket
import struct
import sys
import time

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_ALL = struct.pack("HP", 1, ctypes.addressof(DROP))  # a struct sock_fprog


def watch(sock: socket.socket, idle: int, interval: int, count: int) -> None:
    """Let the kernel find out that a peer is gone; all times are in seconds.

    After `idle` without a segment it asks, and again after each `interval`. When
    `count` questions are unanswered, the connection ends with ETIMEDOUT.
    """
    on_macos = sys.platform == "darwin"
    keepidle = getattr(socket, "TCP_KEEPALIVE" if on_macos else "TCP_KEEPIDLE")
    sock.setsockopt(socket.IPPROTO_TCP, keepidle, idle)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def cut_off(sock: socket.socket) -> None:
    """Drop all that comes for a socket, as if its cable were cut.

    Raises:
        OSError: the kernel does not take the filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    size = len(DROP_ALL)
    if libc.setsockopt(
        sock.fileno(), socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_ALL, size
    ):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


def settings(sock: socket.socket) -> str:
    """Return whether keep-alive is on, and its three numbers."""
    tcp = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
    numbers = [str(sock.getsockopt(socket.IPPROTO_TCP, option)) for option in tcp]
    on = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    return ("on, " if on else "off, ") + " ".join(numbers)


def main() -> None:
    """Set keep-alive, cut the client off and wait for news."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        at_first = settings(client)
        watch(client, idle=1, interval=1, count=2)
        cut_off(client)
        print("as it is:   ", at_first)
        print("as you like:", settings(client))
        began = time.monotonic()
        try:
            print("recv() ->", client.recv(1024))
        except OSError as error:
            print(f"recv() -> {type(error).__name__}: {error}")
        print(f"after {time.monotonic() - began:.1f} seconds")


if sys.platform == "linux":
    try:
        main()
    except PermissionError:
        print(
            "This program needs CAP_NET_ADMIN, as root has it, for its socket filter."
        )
else:
    print("This program needs Linux: a socket filter cuts the connection.")
