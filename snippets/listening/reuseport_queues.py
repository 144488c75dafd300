"""With SO_REUSEPORT each socket has a queue of its own, and takes it to the grave.

Needs: Linux
"""

import os
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

CLIENTS = 40


def queue_of(listener: socket.socket) -> int:
    """Return how many wait in the accept queue: tcpi_unacked of TCP_INFO."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("=I", info, 24)[0])


def dialler(
    address: tuple[str, int], clients: list[socket.socket], ended: ExitStack
) -> threading.Thread:
    """Return a thread that connects the clients; they are closed with `ended`."""

    def dial() -> None:
        for _ in range(CLIENTS):
            client = socket.create_connection(address, timeout=5)
            clients.append(ended.enter_context(client))

    return threading.Thread(target=dial, name="clients")


def wait_until(happened: Callable[[], bool]) -> None:
    """Return as soon as it has happened; give up after 5 seconds."""
    deadline = time.monotonic() + 5
    while not happened():
        if time.monotonic() > deadline:
            raise TimeoutError("it has not happened")


def errors_of(clients: list[socket.socket]) -> list[str]:
    """Return the errors that connections have met (SO_ERROR of socket(7))."""
    found = [
        client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for client in clients
    ]
    return [os.strerror(number) for number in found if number]


def main() -> None:
    """Dial one port with two listening sockets 40 times; then close one of them."""
    with ExitStack() as ended:
        one = ended.enter_context(socket.socket())
        other = ended.enter_context(socket.socket())
        for listener in (one, other):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(("127.0.0.1", 0))
        address = one.getsockname()
        other.bind(address)
        one.listen()
        other.listen()

        clients: list[socket.socket] = []
        dial = dialler(address, clients, ended)
        dial.start()
        dial.join(10)
        wait_until(lambda: queue_of(one) + queue_of(other) == CLIENTS)
        waiting = queue_of(one)
        print("in both queues together:", waiting + queue_of(other))
        print("each has some:", 0 < waiting < CLIENTS)

        one.close()
        poller = select.poll()
        for client in clients:
            poller.register(client, 0)  # that is, for errors only
        wait_until(lambda: len(poller.poll(0)) == waiting)
        lost = errors_of(clients)
        print("one closes: its clients are lost:", len(lost) == waiting)
        print("what they get:", *set(lost))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it counts with TCP_INFO.")
