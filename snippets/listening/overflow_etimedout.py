"""Two texts of one trouble: "timed out" and "[Errno 110] Connection timed out".

The first is Python's: your time-out was over. The second is the kernel's: it has
sent its last SYN and given up. TCP_SYNCNT makes it do so after about 3 seconds
instead of two minutes (tcp(7)).

Needs: Linux
Varies: after {seconds>=0.3} seconds
Takes: 5 seconds
"""

import select
import socket
import sys
import time


def dial(client: socket.socket, address: tuple[str, int]) -> None:
    """Connect, and print what comes of it and when."""
    began = time.monotonic()
    try:
        client.connect(address)
    except OSError as error:
        waited = time.monotonic() - began
        print(f"  {type(error).__name__}: {error}")
        print(f"  errno {error.errno}, after {waited:.1f} seconds")


def main() -> None:
    """Fill a queue of one, and dial twice more."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        socket.create_connection(listener.getsockname(), timeout=5),
        socket.socket() as hasty,
        socket.socket() as patient,
    ):
        select.select([listener], [], [], 5)  # returns when one is in the queue
        print("a client with a time-out of 0.3 seconds:")
        hasty.settimeout(0.3)
        dial(hasty, listener.getsockname())

        print("a client that waits until the kernel gives up:")
        patient.settimeout(30)
        patient.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        dial(patient, listener.getsockname())


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems count differently.")
