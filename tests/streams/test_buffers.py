"""The claims of "Where bytes wait"."""

from __future__ import annotations

import asyncio
import fcntl
import http.client
import http.server
import runpy
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="asks Linux where bytes wait"
)

PROGRAMS = Path(__file__).resolve().parents[2] / "snippets/streams"
SIOCOUTQNSD = 0x894B  # linux/sockios.h
MUCH = 30_000_000  # bytes, more than the buffers of a connection take unread
LATE = 0.02  # seconds: a delayed ACK takes twice as long, an answer far less

NEVER_READS = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as end:
    end.sendall(b"ready")
    sys.stdin.read()
"""


def waiting(sock: socket.socket, request: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(sock, request, bytes(4)))[0])


def queues_of(sock: socket.socket) -> tuple[int, int]:
    """Return tx_queue and rx_queue of /proc/net/tcp for a connected socket."""

    def cell(address: tuple[str, int]) -> str:
        host = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
        return f"{host:08X}:{address[1]:04X}"

    wanted = [cell(sock.getsockname()), cell(sock.getpeername())]
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
        row = line.split()
        if row[1:3] == wanted:
            sent, _, unread = row[4].partition(":")
            return int(sent, 16), int(unread, 16)
    raise AssertionError("the kernel has no such connection")


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


def fill(sock: socket.socket) -> int:
    """Send until the kernel takes no more; return how many bytes it took."""
    sock.settimeout(0)
    total = 0
    while True:
        select.select([], [sock], [], 0.2)
        try:
            total += sock.send(bytes(1_000_000))
        except BlockingIOError:
            sock.settimeout(PATIENCE)
            return total


def read_to_end(sock: socket.socket) -> int:
    """Return how many bytes come before the end of the stream."""
    total = 0
    while data := sock.recv(1_000_000):
        total += len(data)
    return total


@claim(
    "where-bytes-wait",
    "tcp(7) Ioctls",
    "proc(5) /proc/net/tcp",
    "ss(8)",
)
def test_the_kernel_says_how_many_wait(ends: Ends) -> None:
    """Bytes wait in two places: in the sender's kernel and in the receiver's.

    Send-Q of ss is what has no acknowledgement yet, Recv-Q what has not been read.
    """
    client, connection = ends
    total = fill(client)
    wait_until(
        lambda: waiting(client, SIOCOUTQNSD) == waiting(client, termios.TIOCOUTQ)
    )
    here, there = (
        waiting(client, termios.TIOCOUTQ),
        waiting(connection, termios.FIONREAD),
    )
    assert here + there == total
    assert queues_of(client) == (here, 0)
    assert queues_of(connection) == (0, there)
    assert here > 0
    assert there > 0


@claim(
    "outq-counts-what-was-sent-too",
    "Linux include/uapi/linux/sockios.h",
    "Linux net/ipv4/tcp.c, tcp_ioctl",
    often_said="SIOCOUTQ tells how many bytes are not sent yet.",
)
def test_the_queue_holds_what_is_on_its_way(ends: Ends) -> None:
    """SIOCOUTQ counts the bytes without an acknowledgement, sent or not.

    What is not sent yet is SIOCOUTQNSD. The manual tcp(7) says "unsent" of the first.
    """
    client, connection = ends
    seen = set()
    deadline = time.monotonic() + PATIENCE
    while (True, 0) not in seen and time.monotonic() < deadline:
        # After the first few segments the other kernel keeps its ACK back for a while.
        client.sendall(b"a few bytes")
        queued = waiting(client, termios.TIOCOUTQ)
        seen.add((queued > 0, waiting(client, SIOCOUTQNSD)))
        assert connection.recv(1024)
    assert (True, 0) in seen


@claim(
    "send-waits-when-both-are-full",
    "send(2)",
    "RFC 9293 section 3.8.6",
)
def test_reading_lets_the_sender_go_on(ends: Ends) -> None:
    """send() waits when the receiver's buffer and the sender's are full.

    It goes on when the receiver has read. How many bytes both take differs.
    """
    client, connection = ends
    total = fill(client)
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.sendall(bytes(1000))
    started = threading.Event()

    def send_more() -> None:
        started.set()
        client.sendall(bytes(MUCH))

    client.settimeout(PATIENCE)
    sender = threading.Thread(target=send_more, name="sender")
    sender.start()
    assert started.wait(PATIENCE)
    received = 0
    while received < total + MUCH:
        received += len(connection.recv(1_000_000))
    sender.join(PATIENCE)
    assert received == total + MUCH


def check_nothing_is_lost(sender: socket.socket, receiver: socket.socket) -> None:
    """Fail if a reader that is late misses any of what the sender's kernel took."""
    sender.settimeout(0)
    total = 0
    for _ in range(4000):
        try:
            total += sender.send(bytes(10_000))
        except BlockingIOError:
            break
    receiver.settimeout(0.5)
    received = 0
    while received < total:
        try:
            received += len(receiver.recv(65_536))
        except TimeoutError as error:
            raise AssertionError(f"{total - received} bytes are lost") from error


@claim(
    "a-slow-reader-loses-nothing",
    "RFC 9293 section 3.8.6",
    "RFC 9293 section 2.2",
    often_said="If the receiver does not read fast enough, bytes are lost.",
)
def test_a_late_reader_gets_all(ends: Ends) -> None:
    """A receiver that reads too slowly loses nothing over TCP: the sender is held up.

    The receiver's kernel says how much room it has, and the sender's sends no more.
    """
    check_nothing_is_lost(*ends)


def test_the_check_of_losses_can_fail(sockets: ExitStack) -> None:
    receiver = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    receiver.bind(("127.0.0.1", 0))
    sender = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    sender.connect(receiver.getsockname())
    with pytest.raises(AssertionError, match="bytes are lost"):
        check_nothing_is_lost(sender, receiver)


def check_both_get_through(ends: Ends, size: int) -> None:
    """Fail if two sides that send all before they read get stuck."""
    stuck = []

    def send_then_read(sock: socket.socket) -> None:
        try:
            sock.sendall(bytes(size))
            received = 0
            while received < size:
                received += len(sock.recv(1_000_000))
        except TimeoutError:
            stuck.append(sock)

    for sock in ends:
        sock.settimeout(0.5)
    both = [threading.Thread(target=send_then_read, args=[sock]) for sock in ends]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(PATIENCE)
    assert not stuck, "they wait for each other"


@claim(
    "both-sides-may-hang",
    "send(2)",
    "RFC 9293 section 3.8.6",
    often_said="Both programs may send all they have, and then read.",
)
def test_two_senders_hang(ends: Ends) -> None:
    """If both sides send before they read, both hang as soon as the buffers are full.

    With short messages they do not, so a test with short ones does not find it.
    """
    with pytest.raises(AssertionError, match="they wait for each other"):
        check_both_get_through(ends, MUCH)


def test_two_senders_of_little_get_through(ends: Ends) -> None:
    check_both_get_through(ends, 1000)


def test_the_cure_gets_through(ends: Ends) -> None:
    exchange = runpy.run_path(str(PROGRAMS / "deadlock_cured.py"))["exchange"]
    sizes = []

    def one_end(sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)  # without MSG_WAITALL's help it works as well
        sizes.append(len(exchange(sock, bytes(MUCH), MUCH)))

    both = [threading.Thread(target=one_end, args=[sock]) for sock in ends]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(PATIENCE)
    assert sizes == [MUCH, MUCH]


def test_the_cure_tells_an_early_end(ends: Ends) -> None:
    exchange = runpy.run_path(str(PROGRAMS / "deadlock_cured.py"))["exchange"]
    client, connection = ends
    client.settimeout(None)  # then nothing but the program itself can end sendall()
    connection.shutdown(socket.SHUT_WR)
    told: list[str] = []

    def one_end() -> None:
        try:
            exchange(client, bytes(MUCH), 1000)
        except EOFError as error:
            told.append(str(error))

    thread = threading.Thread(target=one_end, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert told == ["the peer ended after 0 bytes"]


@claim(
    "acknowledged-is-not-read",
    "RFC 793 section 2.6",
    often_said="When TCP has acknowledged the bytes, the other program has them.",
)
def test_bytes_of_a_killed_reader_are_lost(listener: socket.socket) -> None:
    """An acknowledgement says that the other kernel has the bytes, not the program.

    If the program is killed before it reads, they are lost: nobody sends them again.
    """
    port = str(listener.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-c", NEVER_READS, port], stdin=subprocess.PIPE
    ) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(5) == b"ready"
                connection.sendall(b"an order")
                wait_until(lambda: waiting(connection, termios.TIOCOUTQ) == 0)
                process.send_signal(signal.SIGKILL)
                with pytest.raises(ConnectionResetError):
                    connection.recv(1024)
        finally:
            process.kill()


def seconds_of(ends: Ends, pieces: list[bytes]) -> list[float]:
    """Return how long each of nine requests takes, written in these pieces."""
    client, server = ends
    whole = len(b"".join(pieces))

    def answer() -> None:
        unread = 0
        while data := server.recv(1024):
            unread += len(data)
            if unread == whole:
                unread = 0
                server.sendall(b"ok")

    thread = threading.Thread(target=answer, name="server")
    thread.start()
    took = []
    for _ in range(10):
        began = time.perf_counter()
        for piece in pieces:
            client.sendall(piece)
        assert client.recv(1024) == b"ok"
        took.append(time.perf_counter() - began)
    client.shutdown(socket.SHUT_WR)
    thread.join(PATIENCE)
    return took[1:]  # a new connection acknowledges at once


@claim(
    "nagle-waits-for-a-delayed-ack",
    "RFC 9293 section 3.7.4",
    "RFC 9293 section 3.8.6.3",
    "tcp(7) TCP_NODELAY",
    often_said="Nagle's algorithm delays every small message.",
)
def test_only_the_second_small_write_waits(dial: Callable[[], Ends]) -> None:
    """Nagle holds back a small write only while an earlier one is unacknowledged.

    So write, write, read waits for the peer's delayed ACK, on Linux 40 ms or more. One
    write does not, nor do two with TCP_NODELAY.
    """
    assert statistics.median(seconds_of(dial(), [b"head", b"body"])) > LATE
    assert min(seconds_of(dial(), [b"headbody"])) < LATE
    ends = dial()
    ends[0].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert min(seconds_of(ends, [b"head", b"body"])) < LATE


@claim(
    "who-sets-tcp-nodelay",
    "Python docs: asyncio, Event Loop, create_connection",
    "CPython Lib/http/client.py",
    "Python docs: socket.create_connection",
)
def test_some_libraries_turn_nagle_off(
    listener: socket.socket, run_async: Callable[[Coroutine[Any, Any, Any]], Any]
) -> None:
    """A plain socket does not set TCP_NODELAY; asyncio and http.client set it."""

    def nodelay(sock: Any) -> bool:
        return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    host, port = address = listener.getsockname()
    with socket.create_connection(address, timeout=PATIENCE) as plain:
        assert not nodelay(plain)
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE)
    connection.connect()
    assert nodelay(connection.sock)
    connection.close()

    async def dial() -> bool:
        _, writer = await asyncio.open_connection(host, port)
        told = nodelay(writer.get_extra_info("socket"))
        writer.close()
        await writer.wait_closed()
        return told

    assert run_async(dial())


@contextmanager
def http_server(**attributes: object) -> Iterator[tuple[str, int]]:
    """Run Python's own HTTP server with keep-alive; yield its address."""

    class Hello(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for name, value in attributes.items():
        setattr(Hello, name, value)
    with http.server.HTTPServer(("127.0.0.1", 0), Hello) as server:
        server.timeout = PATIENCE
        thread = threading.Thread(target=server.handle_request, name="server")
        thread.start()
        yield ("127.0.0.1", server.server_port)
        thread.join(PATIENCE)


@claim(
    "stock-http-server-is-late",
    "Python docs: socketserver.StreamRequestHandler",
    "CPython Lib/socketserver.py, disable_nagle_algorithm",
)
@pytest.mark.parametrize("disabled", [False, True])
def test_headers_and_body_are_two_writes(disabled: bool) -> None:  # noqa: FBT001
    """With keep-alive, Python's http.server answers some 40 ms late.

    It writes headers and body apart. disable_nagle_algorithm = True ends that.
    """
    with http_server(disable_nagle_algorithm=disabled) as address:
        client = http.client.HTTPConnection(*address, timeout=PATIENCE)
        took = []
        for _ in range(9):
            began = time.perf_counter()
            client.request("GET", "/")
            assert client.getresponse().read() == b"hello"
            took.append(time.perf_counter() - began)
        client.close()
    if disabled:
        assert min(took) < LATE
    else:
        assert statistics.median(took) > LATE
