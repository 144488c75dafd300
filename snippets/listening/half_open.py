"""A SYN flood in small: clients that never finish the handshake, and a real one.

Each deaf client has a socket filter that drops whatever comes, so it never sees
the SYN-ACK and never sends the ACK. The kernel's log gets a warning for it:
"Possible SYN flooding on port ...".

Needs: Linux, SYN cookies, socket filters
Varies: {int>=1} half-open
"""

import ctypes
import socket
import struct
import sys
import time
from contextlib import ExitStack
from pathlib import Path

COOKIES = Path("/proc/sys/net/ipv4/tcp_syncookies")  # tcp(7): 0 is off
SO_ATTACH_FILTER = 26  # asm-generic/socket.h; Python has no name for it
DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_ALL = struct.pack("HP", 1, ctypes.addressof(DROP))  # a struct sock_fprog


def deafen(client: socket.socket) -> None:
    """Make the kernel throw away all that comes for a socket (socket(7)).

    Raises:
        OSError: the kernel does not take the filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    option = socket.SOL_SOCKET, SO_ATTACH_FILTER, DROP_ALL, len(DROP_ALL)
    if libc.setsockopt(client.fileno(), *option):
        raise OSError(ctypes.get_errno(), "cannot attach the filter")


def cookies_sent() -> int:
    """Return SyncookiesSent of /proc/net/netstat, of all programs together."""
    names, values = Path("/proc/net/netstat").read_text().splitlines()[:2]
    return int(values.split()[names.split().index("SyncookiesSent")])


def in_kernel(listener: socket.socket) -> str:
    """Return how many are half-open and how many wait for accept()."""
    port = f":{listener.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    states = [row[3] for row in rows if row[1].endswith(port)]
    half_open, queued = states.count("03"), states.count("01")
    return f"{half_open} half-open (SYN-RECV), {queued} in the accept queue"


def main() -> None:
    """Flood a listening socket a little, then connect properly."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(2)
        before = cookies_sent()
        for _ in range(8):
            deaf = sockets.enter_context(socket.socket())
            deafen(deaf)
            deaf.settimeout(0)
            deaf.connect_ex(listener.getsockname())
        deadline = time.monotonic() + 5
        while cookies_sent() == before and time.monotonic() < deadline:
            pass
        print("8 deaf clients have dialled")
        print("kernel:", in_kernel(listener))
        print("kernel: has sent SYN cookies:", cookies_sent() > before)

        client = sockets.enter_context(socket.socket())
        client.settimeout(5)
        client.connect(listener.getsockname())
        listener.settimeout(5)
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        print("client: connect() from", client.getsockname())
        print("server: accept() -> a socket connected to", peer)


if sys.platform != "linux":
    print("This program needs Linux: it uses a socket filter and /proc/net.")
elif not COOKIES.exists() or COOKIES.read_text().strip() == "0":
    print("This program needs SYN cookies, and net.ipv4.tcp_syncookies is 0 here.")
else:
    try:
        main()
    except PermissionError:
        print(
            "This program needs CAP_NET_ADMIN, as root has it, for its socket filter."
        )
