"""The claims of "Is a UNIX socket faster than TCP on loopback?"."""

from __future__ import annotations

import errno
import mmap
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook import snippet
from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    OwnNetwork = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: UNIX sockets, fork and /proc"
)

# What the programs begin with that fork and count in shared memory.
IN_SHARED_MEMORY = """
import json, mmap, multiprocessing, os, sys

memory = mmap.mmap(-1, mmap.PAGESIZE)
number = memoryview(memory).cast("q")

def in_children(*work):
    children = []
    for each in work:
        child = os.fork()
        if child == 0:
            each()
            os._exit(0)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
"""

COUNT = """
EACH = 500_000 if sys.argv[1] == "no lock" else 20_000
lock = multiprocessing.get_context("fork").Lock()
together = multiprocessing.get_context("fork").Barrier(2)

def unlocked():
    together.wait(60)
    for _ in range(EACH):
        number[0] += 1

def locked():
    for _ in range(EACH):
        with lock:
            number[0] += 1

count = unlocked if sys.argv[1] == "no lock" else locked
in_children(count, count)
print(json.dumps([number[0], 2 * EACH]))
"""

# 20 MB through each way, and what the kernel has counted of IP and TCP meanwhile.
COUNTED = """
import json, mmap, os

def counters():
    now = {}
    for row in Path("/proc/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = row.partition(":")
        now[name.strip()] = int(numbers.split()[0])
    rows = [row.split() for row in Path("/proc/net/snmp").read_text().splitlines()]
    for names, values in zip(rows[::2], rows[1::2]):
        if names[0] in ("Ip:", "Tcp:", "Udp:"):
            now |= {names[0] + n: int(v) for n, v in zip(names[1:], values[1:])}
    return now

SIZE = 20_000_000

def memory():
    shared = mmap.mmap(-1, SIZE)
    child = os.fork()
    if child == 0:
        shared[:] = b"x" * SIZE
        os._exit(0)
    os.waitpid(child, 0)
    assert shared[-1:] == b"x"

def through(reader, writer):
    child = os.fork()
    if child == 0:
        reader.close()
        writer.sendall(b"x" * SIZE)
        os._exit(0)
    writer.close()
    reader.settimeout(60)
    left = SIZE
    while left:
        left -= len(reader.recv(1 << 20))
    os.waitpid(child, 0)

def unix():
    through(*socket.socketpair())

def tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 60)
        through(client, listener.accept()[0])

grown = {}
for way in (memory, unix, tcp):
    before = counters()
    way()
    now = counters()
    grown[way.__name__] = {
        name: now[name] - before[name] for name in now if now[name] != before[name]
    }
print(json.dumps(grown))
"""

# Two programs in turn: the first makes the segment, the second only looks into it.
LOOKER = """
import sys
from multiprocessing import resource_tracker, shared_memory
name, cured = sys.argv[1], sys.argv[2] == "cured"
options = {"track": False} if cured and sys.version_info >= (3, 13) else {}
segment = shared_memory.SharedMemory(name, **options)
if cured and not options:
    resource_tracker.unregister("/" + name, "shared_memory")
assert bytes(segment.buf[:5]) == b"hello"
segment.close()
"""


def run(program: str, *arguments: str) -> str:
    """Run a program to its end and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short path: that of a UNIX socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def door(sockets: ExitStack, folder: Path) -> socket.socket:
    """Listen on a UNIX socket."""
    listening = sockets.enter_context(socket.socket(socket.AF_UNIX))
    listening.bind(str(folder / "door"))
    listening.listen()
    listening.settimeout(PATIENCE)
    return listening


def error_of(call: Callable[[], object]) -> int | None:
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


@claim("unix-sockets-are-the-same-calls", "unix(7)", "socket(2)")
def test_the_same_calls_with_another_address(
    door: socket.socket, sockets: ExitStack
) -> None:
    """A UNIX stream socket takes the same calls as a TCP socket.

    Its address is a path, and a client has none unless it binds one.
    """
    client = sockets.enter_context(socket.socket(socket.AF_UNIX))
    client.settimeout(PATIENCE)
    client.connect(door.getsockname())
    connection, peer = door.accept()
    sockets.enter_context(connection)
    connection.settimeout(PATIENCE)
    client.sendall(b"hello")
    assert connection.recv(1024) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert connection.recv(1024) == b""
    assert (client.getpeername(), peer) == (door.getsockname(), "")


def check_path_must_be_removed(path: Path) -> None:
    """Fail unless a path that a server has left behind refuses and cannot be bound."""
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
        old.listen()
    assert stat.S_ISSOCK(path.stat().st_mode)
    with socket.socket(socket.AF_UNIX) as client:
        assert error_of(lambda: client.connect(str(path))) == errno.ECONNREFUSED
    with socket.socket(socket.AF_UNIX) as server:
        assert error_of(lambda: server.bind(str(path))) == errno.EADDRINUSE


@claim(
    "a-socket-path-outlives-its-socket",
    "unix(7) NOTES",
    "bind(2) EADDRINUSE",
    often_said="close() removes the file of a UNIX socket.",
)
def test_the_path_stays_when_the_socket_is_closed(folder: Path) -> None:
    """The path of a UNIX socket stays when the socket is closed.

    Until somebody removes it, connect() is refused there, and bind() says that the
    address is in use.
    """
    path = folder / "left"
    check_path_must_be_removed(path)
    path.unlink()
    check_path_must_be_removed(path)


@claim("a-socket-path-is-short", "unix(7) Address format", "Python docs: socket.bind()")
def test_how_long_a_path_may_be(folder: Path) -> None:
    """On Linux the path of a UNIX socket has at most 107 bytes in Python.

    With more it raises an OSError without an errno: AF_UNIX path too long.
    """
    room = 107 - len(str(folder)) - 1
    with socket.socket(socket.AF_UNIX) as sock:
        with pytest.raises(OSError, match=r"^AF_UNIX path too long$") as caught:
            sock.bind(str(folder / ("x" * (room + 1))))
        assert caught.value.errno is None
        sock.bind(str(folder / ("x" * room)))


@claim("a-unix-socket-has-one-type", "unix(7)", "connect(2) EPROTOTYPE")
def test_a_stream_socket_cannot_dial_a_datagram_socket(folder: Path) -> None:
    """A UNIX stream socket that dials a datagram socket's path gets EPROTOTYPE."""
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as stream,
    ):
        datagrams.bind(str(folder / "datagrams"))
        address = datagrams.getsockname()
        assert error_of(lambda: stream.connect(address)) == errno.EPROTOTYPE


@claim("unix-socket-tells-the-peer", "unix(7) SO_PEERCRED")
def test_the_kernel_names_the_peer(door: socket.socket) -> None:
    """The kernel says which process and user dialled a UNIX socket: SO_PEERCRED."""
    dial = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(60)
    client.connect(sys.argv[1])
    client.recv(1)
"""
    argv = [sys.executable, "-c", dial, door.getsockname()]
    with subprocess.Popen(argv) as process:
        try:
            door.settimeout(PATIENCE)
            connection, _ = door.accept()
            with connection:
                told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert struct.unpack("=iII", told) == (process.pid, os.getuid(), os.getgid())


@claim("file-rights-guard-a-unix-socket", "unix(7) Pathname socket ownership")
def test_who_may_not_write_the_path_may_not_connect(folder: Path) -> None:
    """On Linux who has no right to write a UNIX socket's path may not connect to it."""
    dial = """
import os, socket, sys
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as client:
        print(client.connect_ex(path))
"""
    with (
        socket.socket(socket.AF_UNIX) as shut,
        socket.socket(socket.AF_UNIX) as unlocked,
    ):
        for sock, name, mode in ((shut, "shut", 0o500), (unlocked, "open", 0o777)):
            sock.bind(str(folder / name))
            sock.listen()
            (folder / name).chmod(mode)
        folder.chmod(0o711)
        told = run(dial, str(folder / "shut"), str(folder / "open"))
    assert told.split() == [str(errno.EACCES), "0"]


@claim("abstract-names-vanish", "unix(7) Abstract sockets")
def test_an_abstract_name_is_gone_with_its_socket(
    sockets: ExitStack, in_own_network: OwnNetwork
) -> None:
    """An abstract name is no file. It is gone when the last socket with it is closed.

    It belongs to a network namespace, so a container does not see it.
    """
    name = f"\0handbook-test-{os.getpid()}"
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
            listener.listen()
            client = sockets.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(name)
            elsewhere = f"""
client = socket.socket(socket.AF_UNIX)
print(client.connect_ex({name!r}))
"""
            assert in_own_network(elsewhere) == errno.ECONNREFUSED
    client = sockets.enter_context(socket.socket(socket.AF_UNIX))
    assert error_of(lambda: client.connect(name)) == errno.ECONNREFUSED


@claim(
    "descriptors-can-be-passed", "unix(7) SCM_RIGHTS", "Python docs: socket.send_fds()"
)
def test_an_open_file_goes_through_a_unix_socket(
    sockets: ExitStack, folder: Path
) -> None:
    """A UNIX socket can carry open descriptors to another process.

    The receiver gets a descriptor of its own for the same open file.
    """
    here, there = socket.socketpair()
    sockets.enter_context(here)
    sockets.enter_context(there)
    path = folder / "file"
    path.write_bytes(b"contents")
    with path.open("rb") as file:
        path.unlink()
        socket.send_fds(here, [b"x"], [file.fileno()])
        sent = file.fileno()
        _, (received,), _, _ = socket.recv_fds(there, 1, maxfds=1)
    try:
        assert received != sent
        assert os.read(received, 1024) == b"contents"
    finally:
        os.close(received)


@claim(
    "process-must-open-a-socket-to-communicate",
    "pipe(7)",
    "shm_overview(7)",
    often_said="To communicate, a process must open a socket.",
)
def test_a_pipe_and_memory_need_no_socket() -> None:
    """Processes of one machine can exchange data without any socket.

    A pipe does it, or memory that both share. A socket is needed for TCP and UDP.
    """
    told = run(
        IN_SHARED_MEMORY
        + """
reader, writer = os.pipe()

def child():
    os.write(writer, b"by pipe")
    number[0] = 42

in_children(child)
descriptors = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
               if os.path.exists(f"/proc/self/fd/{fd}")]
sockets = [name for name in descriptors if name.startswith("socket:")]
print(os.read(reader, 1024).decode(), number[0], len(sockets))
"""
    )
    assert told.split() == ["by", "pipe", "42", "0"]


@claim("shared-memory-is-ipc", "shm_overview(7)", "mmap(2) MAP_SHARED")
def test_what_one_writes_the_other_reads() -> None:
    """Two processes can share a piece of memory: what one writes, the other reads."""
    with mmap.mmap(-1, mmap.PAGESIZE) as memory:
        memory[:5] = b"hello"
        assert memory[:5] == b"hello"
    told = run(
        IN_SHARED_MEMORY
        + """
private = bytearray(b"before")

def child():
    memory[8:13] = b"hello"
    private[:] = b"after!"

in_children(child)
print(memory[8:13].decode(), private.decode())
"""
    )
    assert told.split() == ["hello", "before"]


@claim(
    "shared-memory-skips-tcpip",
    "shm_overview(7)",
    "unix(7)",
)
def test_memory_and_unix_sockets_do_not_touch_tcp_ip(
    in_own_network: OwnNetwork,
) -> None:
    """Shared memory and UNIX sockets do not go through TCP/IP, nor through lo."""
    grown = in_own_network(COUNTED)
    assert grown["memory"] == {}
    assert grown["unix"] == {}
    assert grown["tcp"]["lo"] > 20_000_000
    assert grown["tcp"]["Tcp:InSegs"] > 0


def check_nothing_is_lost(way: str) -> None:
    """Let two processes count in shared memory; fail if an addition is lost."""
    counted, expected = map(int, re.findall(r"\d+", run(IN_SHARED_MEMORY + COUNT, way)))
    assert counted == expected, "some are lost"


@claim(
    "shared-memory-needs-sync",
    "sem_overview(7)",
    "Python docs: multiprocessing.Lock",
    often_said="Shared memory needs no synchronisation: each process just reads it.",
)
def test_a_lock_makes_the_count_exact() -> None:
    """Processes that change shared memory have to take turns, for example by a lock.

    Without one, additions are lost.
    """
    check_nothing_is_lost("lock")


def test_without_a_lock_the_check_fails() -> None:
    with pytest.raises(AssertionError, match="some are lost"):
        check_nothing_is_lost("no lock")


def best_of_compare(best: dict[tuple[str, str], float]) -> None:
    """Run compare.py, and keep the best round of each way."""
    program = snippet.by_id("loopback/compare")
    row = re.compile(r"(\S.*?) {2,}(\S.*?) {2,}[\d.]+ \S+ {2,}([\d.]+) to ([\d.]+)")
    done = subprocess.run(
        [sys.executable, program.path],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    for line in done.stdout.splitlines():
        found = row.fullmatch(line)
        assert found is not None, line
        what, way, low, high = found.groups()
        fast = -float(low) if what == "round trip" else float(high)
        best[what, way] = max(fast, best.get((what, way), fast))
    assert len(best) == 8


@claim(
    "shared-memory-much-faster",
    "pipe(7)",
    "unix(7)",
    "futex(7)",
    often_said="Shared memory is much faster than a socket.",
)
def test_what_is_faster_on_one_machine() -> None:
    """How much faster shared memory is depends: on the amount, and on who has to wait.

    In bulk its best round beats the best of loopback TCP, and so does that of a UNIX
    socket. For one byte it has to wake the other process as all the others do.
    """
    best: dict[tuple[str, str], float] = {}
    for _ in range(3):
        best_of_compare(best)
        tcp = best["throughput", "loopback TCP"]
        memory = best["throughput", "memory, semaphores"]
        if memory > tcp and best["throughput", "UNIX stream"] > tcp:
            return
    assert memory > tcp
    assert best["throughput", "UNIX stream"] > tcp


@claim(
    "attached-memory-is-unlinked",
    "Python docs: multiprocessing.shared_memory.SharedMemory, track",
    often_said="A program that only attaches to shared memory leaves it as it is.",
)
def test_python_unlinks_what_another_program_made() -> None:
    """A program that attaches SharedMemory by name removes it when it ends.

    Python's resource tracker does that. From 3.13 on, track=False prevents it; before,
    resource_tracker.unregister() does.
    """
    make = f"""
import subprocess, sys
from multiprocessing import resource_tracker, shared_memory
LOOKER = {LOOKER!r}
segment = shared_memory.SharedMemory(create=True, size=64)
segment.buf[:5] = b"hello"
for how in ("cured", "plain"):
    argv = [sys.executable, "-c", LOOKER, segment.name, how]
    subprocess.run(argv, capture_output=True, timeout=20, check=True)
    try:
        shared_memory.SharedMemory(segment.name).close()
        print("there")
    except FileNotFoundError:
        print("gone")
segment.close()
resource_tracker.unregister("/" + segment.name, "shared_memory")
"""
    assert run(make).split() == ["there", "gone"]
