"""Four ways between two processes of one machine, measured: time and bytes.

Round trip: one byte there and one back. Throughput: 32 MB in pieces of 64 kB, read
by the other process. Each row gives the median of seven rounds, then the lowest and
the highest. The numbers are those of one machine at one moment.

Needs: Linux
Varies: {seconds>=0.1} us   {seconds>=0.1} to {seconds>=0.1}
Varies: {int>=1} MB/s   {int>=1} to {int>=1}
"""

import mmap
import multiprocessing
import os
import signal
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

ROUNDS, TRIPS, PIECE, PIECES = 7, 400, 65536, 512
LONGEST = 20  # seconds after which SIGALRM ends a process, whatever it waits for
MEMORY = "memory, semaphores"
Descriptors = tuple[int, int, int, int]  # to read and write, here and there
fork = multiprocessing.get_context("fork")


@contextmanager
def other_process(work: Callable[[], None]) -> Iterator[None]:
    """Run a function in a child process; wait for its end."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)
        try:
            work()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.waitpid(child, 0)


def of_sockets(here: socket.socket, there: socket.socket) -> Descriptors:
    """Return the descriptors of two sockets that are connected."""
    return here.fileno(), here.fileno(), there.fileno(), there.fileno()


def tcp(opened: ExitStack) -> Descriptors:
    """Connect two TCP sockets over 127.0.0.1."""
    listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
    listener.settimeout(5)
    here = socket.create_connection(listener.getsockname(), timeout=5)
    there, _ = listener.accept()
    for sock in (here, there):
        opened.enter_context(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(None)  # the descriptor blocks; LONGEST is the time-out
    return of_sockets(here, there)


def unix(opened: ExitStack) -> Descriptors:
    """Connect two UNIX stream sockets."""
    here, there = socket.socketpair()
    return of_sockets(opened.enter_context(here), opened.enter_context(there))


def pipes(opened: ExitStack) -> Descriptors:
    """Make two pipes, one for each direction."""
    ends = *os.pipe(), *os.pipe()
    for end in ends:
        opened.callback(os.close, end)
    return ends[0], ends[3], ends[2], ends[1]


def timed(trip: Callable[[], None]) -> float:
    """Return the microseconds of a round trip, once the other process is there."""
    trip()
    began = time.perf_counter()
    for _ in range(TRIPS):
        trip()
    return (time.perf_counter() - began) / TRIPS * 1e6


def fd_trip(ends: Descriptors) -> float:
    """Return the microseconds that a byte takes there and back."""
    read_here, write_here, read_there, write_there = ends

    def echo() -> None:
        for _ in range(TRIPS + 1):
            os.write(write_there, os.read(read_there, 1))

    def trip() -> None:
        os.write(write_here, b"x")
        os.read(read_here, 1)

    with other_process(echo):
        return timed(trip)


def fd_bulk(ends: Descriptors) -> float:
    """Return the megabytes that one process reads of another in a second."""
    read_here, _, _, write_there = ends

    def send() -> None:
        piece = memoryview(bytes(PIECE))
        for _ in range(PIECES):
            sent = 0
            while sent < PIECE:
                sent += os.write(write_there, piece[sent:])

    buffer = bytearray(PIECE)
    with other_process(send):
        left = PIECE * PIECES - os.readv(read_here, [buffer])
        measured = left
        began = time.perf_counter()
        while left:
            left -= os.readv(read_here, [buffer])
        return measured / (time.perf_counter() - began) / 1e6


def shared_trip() -> float:
    """Like fd_trip(), with a byte of shared memory and two semaphores."""
    asked, answered = fork.Semaphore(0), fork.Semaphore(0)
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:

        def echo() -> None:
            for _ in range(TRIPS + 1):
                asked.acquire()
                memory[1] = memory[0]
                answered.release()

        def trip() -> None:
            memory[0] = 120
            asked.release()
            answered.acquire()

        with other_process(echo):
            return timed(trip)


def shared_bulk() -> float:
    """Like fd_bulk(): copy in and out of four pieces of memory, by turns."""
    full, free = fork.Semaphore(0), fork.Semaphore(4)
    with mmap.mmap(-1, 4 * PIECE) as memory:

        def send() -> None:
            piece = bytes(PIECE)
            for turn in range(PIECES):
                free.acquire()
                start = turn % 4 * PIECE
                memory[start : start + PIECE] = piece
                full.release()

        buffer = memoryview(bytearray(PIECE))
        with other_process(send), memoryview(memory) as view:
            for turn in range(PIECES):
                full.acquire()
                if turn == 0:
                    began = time.perf_counter()
                start = turn % 4 * PIECE
                buffer[:] = view[start : start + PIECE]
                free.release()
            return PIECE * PIECES / (time.perf_counter() - began) / 1e6


def main() -> None:
    """Measure every way in every round, so that all see the same disturbance."""
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as opened:
        ways = {
            "loopback TCP": tcp(opened),
            "UNIX stream": unix(opened),
            "pipe": pipes(opened),
        }
        for _ in range(ROUNDS):
            for name, ends in ways.items():
                found.setdefault(("round trip", name), []).append(fd_trip(ends))
            found.setdefault(("round trip", MEMORY), []).append(shared_trip())
        for _ in range(ROUNDS):
            for name, ends in ways.items():
                found.setdefault(("throughput", name), []).append(fd_bulk(ends))
            found.setdefault(("throughput", MEMORY), []).append(shared_bulk())
    for (what, name), values in found.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        if what == "round trip":
            told = f"{middle:.1f} us   {low:.1f} to {high:.1f}"
        else:
            told = f"{middle:.0f} MB/s   {low:.0f} to {high:.0f}"
        print(f"{what}   {name:<18}   {told}")


if sys.platform == "linux":
    signal.alarm(LONGEST)
    main()
else:
    print("This program needs Linux: other systems fork or copy in other ways.")
