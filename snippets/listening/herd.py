"""How many workers one connection wakes up: all, or with EPOLLEXCLUSIVE one.

Needs: Linux
"""

import contextlib
import multiprocessing
import os
import select
import socket
import sys
import time
from pathlib import Path

WORKERS = 4
fork = multiprocessing.get_context("fork")


def work(
    listener: socket.socket, flags: int, number: int, woken: int, may_go_on: int
) -> None:
    """Wait with epoll; when woken, say so, and accept when told to."""
    with select.epoll() as epoll:
        epoll.register(listener, select.EPOLLIN | flags)
        while epoll.poll(timeout=5):
            os.write(woken, bytes([number]))
            if not os.read(may_go_on, 1):
                return
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()


def wait_until_asleep(process: int | None) -> None:
    """Return when a process sleeps (proc(5), /proc/PID/stat)."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "S":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process} does not come to rest")


def try_with(title: str, flags: int) -> None:
    """Dial three times, and print each time which workers it woke."""
    woken = os.pipe()
    gates = [os.pipe() for _ in range(WORKERS)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        workers = [
            fork.Process(target=work, args=(listener, flags, number, woken[1], gate[0]))
            for number, gate in enumerate(gates, 1)
        ]
        try:
            for worker in workers:
                worker.start()
                wait_until_asleep(worker.pid)
            for _ in range(3):
                with socket.create_connection(listener.getsockname(), timeout=5):
                    select.select([woken[0]], [], [], 5)
                    for worker in workers:
                        wait_until_asleep(worker.pid)
                    numbers = sorted(os.read(woken[0], WORKERS))
                    print(f"{title}: one connection wakes", *numbers)
                    for number in numbers:
                        os.write(gates[number - 1][1], b"!")
                        wait_until_asleep(workers[number - 1].pid)
        finally:
            for worker in workers:
                worker.kill()
                worker.join(5)
            for descriptor in (*woken, *(end for gate in gates for end in gate)):
                os.close(descriptor)


if sys.platform == "linux":
    try_with("epoll", 0)
    try_with("EPOLLEXCLUSIVE", select.EPOLLEXCLUSIVE)
else:
    print("This program needs Linux: it waits with epoll.")
