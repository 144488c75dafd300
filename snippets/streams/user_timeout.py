"""TCP_USER_TIMEOUT: how long bytes that were sent may stay without an answer.

Filters drop all that comes for the clients, as if their cables were cut.

Needs: Linux, socket filters
"""

import contextlib
import ctypes
import select
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # asm-generic/socket.h
DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_ALL = struct.pack("HP", 1, ctypes.addressof(DROP))  # a struct sock_fprog
NO_LINGER = struct.pack("ii", 1, 0)
LIMIT = 1000  # milliseconds


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        return client, listener.accept()[0]


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
    # Nobody will answer its FIN: close() is not to leave one behind.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


def news(sock: socket.socket) -> str:
    """Return what recv() says at once."""
    sock.settimeout(0)
    try:
        return repr(sock.recv(1024))
    except BlockingIOError:
        return "nothing"
    except OSError as error:
        return str(error)


def main() -> None:
    """Cut three connections; send on two, and set the limit on two."""
    ends = [pair() for _ in range(3)]
    with contextlib.ExitStack() as stack:
        for client, server in ends:
            stack.enter_context(server)
            stack.enter_context(client)
        sent, limited, idle = (client for client, _ in ends)
        for client in (limited, idle):
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LIMIT)
        for client in (sent, limited, idle):
            cut_off(client)
        for client in (sent, limited):
            print("send() ->", client.send(b"an order"))

        select.select([sent, limited, idle], [], [], 5)  # until one has news
        print("sent, no limit:", news(sent))
        print("sent, limit:   ", news(limited))
        print("idle, limit:   ", news(idle))


if sys.platform == "linux":
    try:
        main()
    except PermissionError:
        print(
            "This program needs CAP_NET_ADMIN, as root has it, for its socket filter."
        )
else:
    print("This program needs Linux: it has TCP_USER_TIMEOUT and socket filters.")
