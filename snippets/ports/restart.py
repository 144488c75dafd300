"""A server that was stopped a moment ago cannot start again: TIME-WAIT.

It closed its connection first, so its kernel keeps the connection's address for a
minute. It is meant to fail here; four_restarts.py shows the cure.

Needs: Linux
"""

import socket
import sys
import time
from pathlib import Path


def wait_for_time_wait(port: int) -> str:
    """Return the kernel's row with this local port once it is in TIME-WAIT."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, peer, state, *_ = line.split()
            if local.endswith(f":{port:04X}") and state == "06":
                return f"port {port}, peer's port {int(peer.split(':')[1], 16)}"
    raise TimeoutError("it did not come to TIME-WAIT")


def main() -> None:
    """Serve one client, stop, and start again."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(5)
        address = server.getsockname()
        with socket.create_connection(address, timeout=5) as client:
            connection, _ = server.accept()
            connection.close()
            print("server: close(), client: recv() ->", client.recv(1))
    print("both have closed, and the server has stopped")
    print("TIME-WAIT:", wait_for_time_wait(address[1]))

    with socket.socket() as again:
        try:
            again.bind(address)
        except OSError as error:
            print("started again: bind() ->", error)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/tcp.")
