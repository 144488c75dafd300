"""A client that met a full queue comes in a second late, though there is room.

Its first SYN was dropped. Room in the queue is no news to it: it has to wait
until its own kernel sends the SYN again.

Needs: Linux
Varies: connected after {seconds>=0.9} seconds
"""

import select
import socket
import struct
import sys
import time


def sent_again(client: socket.socket) -> int:
    """Return how many segments were retransmitted: tcpi_total_retrans of TCP_INFO."""
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 100)[0])


def main() -> None:
    """Dial a full queue, make room at once, and see when the client notices."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5),
        socket.socket() as late,
    ):
        listener.settimeout(5)
        select.select([listener], [], [], 5)  # returns when one is in the queue
        late.settimeout(0)  # connect() only sends the SYN and returns
        began = time.monotonic()
        late.connect_ex(listener.getsockname())
        print("client: SYN sent again:", sent_again(late))

        connection, _ = listener.accept()
        with connection:
            print("server: accept(), the queue is empty now")
            select.select([], [late], [], 5)
            waited = time.monotonic() - began
            print("client: connected to", late.getpeername())
            print(f"client: connected after {waited:.1f} seconds")
            print("client: SYN sent again:", sent_again(late))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it counts with TCP_INFO.")
