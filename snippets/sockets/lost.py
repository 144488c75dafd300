"""Datagrams are lost inside one machine, and neither side gets an error.

The receiver's buffer is made as small as it may be: it holds one of these.

Needs: Linux
"""

import socket
import sys
from pathlib import Path


def drops(sock: socket.socket) -> int:
    """Return how many datagrams for a socket the kernel has dropped (proc(5))."""
    port = f":{sock.getsockname()[1]:04X}"
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        cells = line.split()
        if cells[1].endswith(port):
            return int(cells[-1])
    raise LookupError(f"no UDP socket with the port {port}")


def main() -> None:
    """Send faster than anybody reads."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.3)
        sender.connect(receiver.getsockname())
        for number in range(1, 6):
            sent = sender.send(b"message %d" % number + bytes(20_000))
            print(f"sender: message {number}, send() -> {sent}")
        print("receiver: has", receiver.recv(30_000)[:9].decode())
        try:
            receiver.recv(30_000)
        except TimeoutError as error:
            print("receiver: the next recv() ->", error)
        sender.send(b"message 6")
        print("receiver: has", receiver.recv(30_000).decode())
        print("kernel: dropped", drops(receiver))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/udp.")
