"""What TIME-WAIT is for: the last ACK is lost, and the peer's FIN comes once more.

The server's socket gets a filter that drops whatever comes, so it misses the ACK of
its FIN. When the filter is gone, TIME-WAIT answers the FIN that is sent again.

Needs: Linux, socket filters
"""

import ctypes
import socket
import struct
import sys
import time
from pathlib import Path

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_ALL = struct.pack("HP", 1, ctypes.addressof(DROP))  # a struct sock_fprog
NAMES = {"05": "FIN-WAIT-2", "06": "TIME-WAIT", "08": "CLOSE-WAIT", "09": "LAST-ACK"}


def set_filter(sock: socket.socket, option: int) -> None:
    """Attach the filter to a socket, or take it away (socket(7)).

    Raises:
        OSError: the kernel does not take the filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    size = len(DROP_ALL)
    if libc.setsockopt(sock.fileno(), socket.SOL_SOCKET, option, DROP_ALL, size):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


def wait_for(port: int, peer: int, expected: str) -> str:
    """Return the state of the socket with these two ports, once it is as expected."""
    found, deadline = "", time.monotonic() + 3
    while found != expected and time.monotonic() < deadline:
        found = "gone"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, here, there, state, *_ = line.split()
            if here.endswith(f":{port:04X}") and there.endswith(f":{peer:04X}"):
                found = NAMES.get(state, state)
    return found


def main() -> None:
    """Close both ends, and lose the last acknowledgement on the way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(5)
        near, far = client.getsockname()[1], server.getsockname()[1]
        client.close()
        end = server.recv(1)
        set_filter(server, SO_ATTACH_FILTER)
        print("client: close(); server: recv() ->", end)
        server.shutdown(socket.SHUT_WR)
        print("server: its FIN was sent, the ACK is lost")
        print("  client:", wait_for(near, far, "TIME-WAIT"))
        print("  server:", wait_for(far, near, "LAST-ACK"))
        set_filter(server, SO_DETACH_FILTER)
        print("server: hears again, and its kernel repeats the FIN")
        print("  server:", wait_for(far, near, "gone"))
        error = server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        print("  server: SO_ERROR", error)  # a reset would have left one here
        print("  client:", wait_for(near, far, "TIME-WAIT"))


if sys.platform == "linux":
    try:
        main()
    except PermissionError:
        print(
            "This program needs CAP_NET_ADMIN, as root has it, for its socket filter."
        )
else:
    print("This program needs Linux: it uses a socket filter and /proc/net.")
