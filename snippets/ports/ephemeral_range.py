"""From which ports this kernel draws the one of a client.

Needs: Linux
Varies: draws from {int>=1} to {int>=1}
"""

import socket
import sys
from contextlib import ExitStack
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")  # ip(7)


def main() -> None:
    """Connect ten times and compare the clients' ports with the range."""
    first, last = map(int, RANGE.read_text().split())
    print(f"this kernel draws from {first} to {last}")
    with ExitStack() as sockets:  # closes every socket at the end
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        ports = set()
        for _ in range(10):
            client = socket.create_connection(listener.getsockname(), timeout=5)
            ports.add(sockets.enter_context(client).getsockname()[1])
    inside = [port for port in ports if first <= port <= last]
    print(f"10 clients, {len(ports)} ports, {len(inside)} of them in that range")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/sys.")
