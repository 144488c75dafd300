"""The states of both ends of a connection, from the kernel, after each step.

To see the states that pass in a moment, some FINs are made to wait: behind bytes
for which the other side has no room until it reads.

Needs: Linux
"""

import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

Address = tuple[str, int]
End = tuple[Address, Address, str]  # of one end: its address, its peer's, its state
Step = tuple[str, str, str]  # what was done, then the states it leads to
NAMES = (  # in the order of their numbers, from 1: include/net/tcp_states.h
    *("ESTABLISHED", "SYN-SENT", "SYN-RECEIVED", "FIN-WAIT-1", "FIN-WAIT-2"),
    *("TIME-WAIT", "CLOSED", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING"),
)
ROOM = 4096  # bytes that each end takes in while its program does not read
MUCH = bytes(6000)


def small(sock: socket.socket) -> socket.socket:
    """Give a socket a time-out and little room for what comes."""
    sock.settimeout(5)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    return sock


def pair(ended: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    client = small(ended.enter_context(socket.socket()))
    with small(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        server, _ = listener.accept()
    server.settimeout(5)
    return client, ended.enter_context(server)


def read_to_end(sock: socket.socket) -> None:
    """Read until the other side has ended its stream."""
    while sock.recv(ROOM):
        pass


# [paths]
def in_turn(client: socket.socket, server: socket.socket) -> Iterator[Step]:
    """The client closes; the server reads the end, and closes too."""
    client.close()
    yield "client: close()", "FIN-WAIT-2", "CLOSE-WAIT"
    read_to_end(server)
    server.close()
    yield "server: close()", "TIME-WAIT", "gone"


def slowly(client: socket.socket, server: socket.socket) -> Iterator[Step]:
    """The same, but each FIN has to wait until the other side has read."""
    client.sendall(MUCH)
    client.shutdown(socket.SHUT_WR)
    yield "client: sendall(), shutdown()", "FIN-WAIT-1", "ESTABLISHED"
    read_to_end(server)
    yield "server: reads to the end", "FIN-WAIT-2", "CLOSE-WAIT"
    server.sendall(MUCH)
    server.close()
    yield "server: sendall(), close()", "FIN-WAIT-2", "LAST-ACK"
    read_to_end(client)
    yield "client: reads to the end", "TIME-WAIT", "gone"


def at_once(client: socket.socket, server: socket.socket) -> Iterator[Step]:
    """Both close before either has seen the other's FIN."""
    client.sendall(MUCH)
    client.shutdown(socket.SHUT_WR)
    yield "client: sendall(), shutdown()", "FIN-WAIT-1", "ESTABLISHED"
    server.shutdown(socket.SHUT_WR)
    yield "server: shutdown()", "CLOSING", "FIN-WAIT-2"
    read_to_end(server)
    yield "server: reads to the end", "TIME-WAIT", "TIME-WAIT"


def reset(client: socket.socket, server: socket.socket) -> Iterator[Step]:
    """The client throws the connection away."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    select.select([server], [], [], 5)  # returns when the RST is there
    yield "client: SO_LINGER 0, close()", "gone", "gone"


# [/paths]


def state(local: Address, peer: Address, expected: str) -> str:
    """Return what /proc/net/tcp has for two addresses, once it is as expected."""

    def cell(address: Address) -> str:
        host = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
        return f"{host:08X}:{address[1]:04X}"

    found, deadline = "", time.monotonic() + 3
    while found != expected and time.monotonic() < deadline:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        numbers = {(row[1], row[2]): row[3] for row in rows[1:]}
        number = int(numbers.get((cell(local), cell(peer)), "0"), 16)
        found = NAMES[number - 1] if number else "gone"
    return found


def show(step: str, client: End, server: End) -> None:
    """Print what was done, and the states that the kernel has then."""
    print(f"  {step:30} {state(*client):12} {state(*server)}")


def follow(path: Callable[[socket.socket, socket.socket], Iterator[Step]]) -> None:
    """Go one way to the end, and print both states after each step."""
    with ExitStack() as ended:
        client, server = pair(ended)
        here, there = client.getsockname(), server.getsockname()
        print(f"{path.__name__:32} client       server")
        for step, wanted, other in path(client, server):
            show(step, (here, there, wanted), (there, here, other))


def opening() -> None:
    """Dial a server whose queue is full, and which then waits for the first byte."""
    print(f"{'opening':32} client       server")
    with ExitStack() as ended:
        listener = ended.enter_context(
            socket.create_server(("127.0.0.1", 0), backlog=0)
        )
        listener.settimeout(5)
        there = listener.getsockname()
        ended.enter_context(socket.create_connection(there, timeout=5))
        select.select([listener], [], [], 5)  # now the one place in the queue is taken
        client = ended.enter_context(socket.socket())
        client.settimeout(0)  # connect() sends the SYN and returns
        client.connect_ex(there)
        here = client.getsockname()
        waiting = there, ("0.0.0.0", 0), "LISTEN"
        show("client: connect(), queue full", (here, there, "SYN-SENT"), waiting)

        ended.enter_context(listener.accept()[0])
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        listener.listen()
        select.select([], [client], [], 5)  # returns when the SYN was sent again
        show(
            "a second later: SYN again",
            (here, there, "ESTABLISHED"),
            (there, here, "SYN-RECEIVED"),
        )
        client.send(b"data")
        show(
            "client: send()", (here, there, "ESTABLISHED"), (there, here, "ESTABLISHED")
        )


def main() -> None:
    """Open a connection, and end others in every way."""
    opening()
    for path in (in_turn, slowly, at_once, reset):
        follow(path)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/tcp.")
