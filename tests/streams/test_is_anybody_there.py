"""The claims of "Is anybody there?"."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import http.client
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import cited, claim
from needing import require
from patience import BRIEF, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Ends = tuple[socket.socket, socket.socket]
    OwnNetwork = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="cuts connections with Linux's socket filters"
)

PROGRAMS = Path(__file__).resolve().parents[2] / "snippets/streams"
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET
KEEPALIVE_TIMER = "02"  # proc(5), the column tr of /proc/net/tcp

cited(
    "unanswered-bytes-take-a-quarter-of-an-hour",
    "By default Linux gives up bytes that nobody acknowledges after about a quarter of "
    "an hour or more: it sends them again 15 times, and waits longer each time.",
    "tcp(7) tcp_retries2",
    "Linux ip-sysctl.rst, tcp_retries2",
)

cited(
    "the-last-report-becomes-the-error",
    "When TCP gives up, the error is ETIMEDOUT, or the last error that the network has "
    "reported on this connection, such as EHOSTUNREACH.",
    "tcp(7) Error handling",
    "Linux net/ipv4/tcp_timer.c, tcp_write_err",
)

cited(
    "address-translators-forget-idle-connections",
    "A device that translates addresses may forget a connection that was idle; by the "
    "standard after 2 hours and 4 minutes at the earliest. Not all keep to it.",
    "RFC 5382 section 5, REQ-5",
    "tcp(7) tcp_keepalive_time",
)

# What the programs in a network of their own begin with.
TWO_ENDS = """
def pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=60)
        return client, listener.accept()[0]

def cut_off(client):
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(drop))
    client.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER

def news(client, seconds):
    client.settimeout(seconds)
    try:
        return repr(client.recv(1))
    except OSError as error:
        return error.errno or "nothing"
"""

DEFAULTS = """
client, server = pair()
tcp = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
numbers = [client.getsockopt(socket.IPPROTO_TCP, option) for option in tcp]
client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
port = f":{client.getsockname()[1]:04X}"
rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
(timer,) = (row[5] for row in rows if row[1].endswith(port))
print(json.dumps([numbers, timer]))
"""

WRITER_AND_READER = """
(writer, _one), (reader, _two) = pair(), pair()
cut_off(writer)
cut_off(reader)
writer.send(b"hello?")
print(json.dumps([news(writer, 10), news(reader, 0.1)]))
"""

ECHO = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as end:
    while data := end.recv(1024):
        end.sendall(data.replace(b"ping", b"pong"))
"""


def set_filter(sock: socket.socket, option: int) -> None:
    """Make the kernel drop all that comes for a socket, or no longer."""
    require("socket filters")
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    sock.setsockopt(SOL, option, struct.pack("HP", 1, ctypes.addressof(drop)))


def cut_off(sock: socket.socket) -> None:
    set_filter(sock, SO_ATTACH_FILTER)


def crash(ours: socket.socket, theirs: socket.socket) -> None:
    """Let the peer's end go without a word, as if its machine had lost its memory."""
    cut_off(ours)
    theirs.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    set_filter(ours, SO_DETACH_FILTER)


def keep_alive(sock: socket.socket, idle: int, interval: int, count: int) -> None:
    sock.setsockopt(TCP, socket.TCP_KEEPIDLE, idle)
    sock.setsockopt(TCP, socket.TCP_KEEPINTVL, interval)
    sock.setsockopt(TCP, socket.TCP_KEEPCNT, count)
    sock.setsockopt(SOL, socket.SO_KEEPALIVE, 1)


def timer_of(sock: socket.socket) -> str:
    """Return which timer runs for a socket, as /proc/net/tcp has it."""
    local, peer = (
        f":{address[1]:04X}" for address in (sock.getsockname(), sock.getpeername())
    )
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
        row = line.split()
        if row[1].endswith(local) and row[2].endswith(peer):
            return row[5].partition(":")[0]
    return "no row"


def segments(sock: socket.socket) -> tuple[int, int]:
    """Return how many segments a socket has sent and received."""
    info = sock.getsockopt(TCP, socket.TCP_INFO, 144)
    out, received = struct.unpack_from("=II", info, 136)
    return out, received


def check_nothing_is_sent(sock: socket.socket, seconds: float) -> None:
    """Fail if a segment leaves or reaches an idle socket."""
    before = segments(sock)
    assert not select.select([sock], [], [], seconds)[0]
    assert segments(sock) == before, "a segment was sent"


def check_recv_tells(sock: socket.socket, seconds: float) -> None:
    """Fail unless recv() says that the peer is gone, by an end or an error."""
    sock.settimeout(seconds)
    try:
        assert sock.recv(1) == b""
    except TimeoutError as error:
        if error.errno is None:
            raise AssertionError("recv() has heard nothing") from None
    except OSError:
        pass


@pytest.fixture
def program() -> Callable[[str], dict[str, Any]]:
    """Run one of the page's programs, and return its names."""
    return lambda name: runpy.run_path(str(PROGRAMS / f"{name}.py"))


@pytest.fixture
def stopped_peer(listener: socket.socket) -> Iterator[socket.socket]:
    """Return a connection to another process, which echoes, once it is stopped."""
    port = str(listener.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", ECHO, port]) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.sendall(b"ping\n")
                assert connection.recv(1024) == b"pong\n"
                os.kill(process.pid, signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
                yield connection
        finally:
            process.kill()


@claim(
    "no-news-is-no-end",
    "RFC 9293 section 2.2",
    "recv(2)",
    often_said="When the peer is gone, recv() returns b'' or raises an error.",
)
def test_recv_hears_nothing_of_a_peer_that_vanished(dial: Callable[[], Ends]) -> None:
    """Where nothing is sent, recv() hears of a lost peer only by a FIN or a reset.

    A cable that was cut, or a machine that has lost power, sends neither. (With
    keep-alive the kernel itself sends something.)
    """
    client, connection = dial()
    connection.close()
    check_recv_tells(client, 5)  # so the check can pass
    client, _connection = dial()
    cut_off(client)
    with pytest.raises(AssertionError, match="heard nothing"):
        check_recv_tells(client, 0.5)
    client, connection = dial()
    crash(client, connection)
    with pytest.raises(AssertionError, match="heard nothing"):
        check_recv_tells(client, 0.5)


@claim(
    "an-outage-ends-no-connection",
    "RFC 9293 section 3.8.3",
    "tcp(7) Error handling",
    often_said="When the network fails, the connection is closed.",
)
def test_a_connection_outlives_an_outage(ends: Ends) -> None:
    """An outage does not end a connection by itself.

    What was sent meanwhile arrives when the network is back, if TCP has not given up.
    """
    client, connection = ends
    cut_off(connection)
    client.sendall(b"sent into the void")
    check = select.select([connection], [], [], 0.3)[0]
    assert not check
    set_filter(connection, SO_DETACH_FILTER)
    assert connection.recv(1024) == b"sent into the void"


@claim(
    "keepalive-is-off-by-default",
    "RFC 9293 section 3.8.4",
    "socket(7) SO_KEEPALIVE",
    often_said="TCP notices by itself when the other side is gone.",
)
def test_no_timer_runs_for_an_idle_connection(ends: Ends) -> None:
    """Keep-alive is off unless a program sets SO_KEEPALIVE.

    Without it no timer runs for an idle connection, at either end.
    """
    for end in ends:
        assert end.getsockopt(SOL, socket.SO_KEEPALIVE) == 0
        assert timer_of(end) == "00"
        end.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
        assert timer_of(end) == KEEPALIVE_TIMER


@claim(
    "keepalive-takes-two-hours-by-default",
    "RFC 9293 section 3.8.4",
    "tcp(7) tcp_keepalive_time",
    often_said="With SO_KEEPALIVE set, a dead peer is noticed soon.",
)
def test_the_defaults_of_keep_alive(in_own_network: OwnNetwork) -> None:
    """With SO_KEEPALIVE alone, Linux asks for the first time after two hours.

    It gives up after 9 questions, 75 seconds apart: more than 11 minutes later.
    """
    numbers, timer = in_own_network(TWO_ENDS + DEFAULTS)
    assert numbers == [7200, 75, 9]
    kind, left = timer.split(":")
    assert kind == KEEPALIVE_TIMER
    assert int(left, 16) / os.sysconf("SC_CLK_TCK") == pytest.approx(7200, abs=60)


@claim("keepalive-ends-with-etimedout", "tcp(7) TCP_KEEPIDLE", "tcp(7) TCP_KEEPCNT")
def test_keep_alive_finds_a_dead_peer(dial: Callable[[], Ends]) -> None:
    """Keep-alive ends a connection whose peer does not answer: recv() gives ETIMEDOUT.

    A peer that has lost the connection answers with a reset: that is ECONNRESET.
    """
    silent, _one = dial()
    rebooted, two = dial()
    keep_alive(silent, idle=1, interval=1, count=2)
    keep_alive(rebooted, idle=1, interval=1, count=2 * PATIENCE)
    cut_off(silent)
    crash(rebooted, two)
    began = time.monotonic()
    with pytest.raises(ConnectionResetError):
        rebooted.recv(1)
    assert 0.9 < time.monotonic() - began < PATIENCE  # seconds: not the last question
    silent.settimeout(PATIENCE)
    with pytest.raises(TimeoutError, match=r"^\[Errno 110\] Connection timed out$"):
        silent.recv(1)
    assert time.monotonic() - began > 2.9  # idle + count * interval


@claim(
    "user-timeout-bounds-unacknowledged",
    "tcp(7) TCP_USER_TIMEOUT",
    "RFC 9293 section 3.8.3",
)
def test_user_timeout_is_about_bytes_on_their_way(dial: Callable[[], Ends]) -> None:
    """TCP_USER_TIMEOUT bounds how long sent bytes stay unacknowledged.

    It also bounds how long they wait for room at a peer that takes nothing. It does
    nothing for a connection on which nothing is sent.
    """
    slow, _reads_nothing = dial()
    slow.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 500)
    slow.settimeout(0)
    with contextlib.suppress(BlockingIOError):  # until there is no room
        while slow.send(bytes(1_000_000)):
            pass
    slow.settimeout(PATIENCE)
    with pytest.raises(TimeoutError) as caught:
        slow.recv(1)
    assert caught.value.errno == errno.ETIMEDOUT
    sender, _one = dial()
    idle, _two = dial()
    for client in (sender, idle):
        client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 500)
        cut_off(client)
    began = time.monotonic()
    sender.sendall(b"an order")
    with pytest.raises(TimeoutError) as caught:
        sender.recv(1)
    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - began > 0.4
    assert timer_of(idle) == "00"
    with pytest.raises(AssertionError, match="heard nothing"):
        check_recv_tells(idle, 0.1)


@claim("user-timeout-overrides-keepalive", "tcp(7) TCP_USER_TIMEOUT")
def test_user_timeout_decides_for_keep_alive_too(dial: Callable[[], Ends]) -> None:
    """Set together, TCP_USER_TIMEOUT decides when keep-alive gives up.

    The number of questions does not count then.
    """
    client, _ = dial()
    keep_alive(client, idle=1, interval=1, count=100)
    client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1500)
    cut_off(client)
    client.settimeout(PATIENCE)
    with pytest.raises(TimeoutError) as caught:
        client.recv(1)
    assert caught.value.errno == errno.ETIMEDOUT

    longer, _connection = dial()
    keep_alive(longer, idle=1, interval=1, count=1)  # alone: two seconds
    longer.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 3500)
    cut_off(longer)
    longer.settimeout(PATIENCE)
    began = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        longer.recv(1)
    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - began > 2.8


@claim(
    "a-write-finds-out-before-a-read",
    "RFC 9293 section 3.8.3",
    "RFC 9293 section 3.5.1",
    often_said="A thread that waits in recv() is told when the connection is dead.",
)
def test_who_sends_finds_out(in_own_network: OwnNetwork, ends: Ends) -> None:
    """Who sends finds out in the end, since nobody acknowledges; who only reads, not.

    The same holds for a peer that has restarted: it resets what it does not know.
    """
    told = in_own_network(TWO_ENDS + WRITER_AND_READER, "tcp_retries2=2")
    assert told == [errno.ETIMEDOUT, "nothing"]
    client, connection = ends
    crash(client, connection)
    with pytest.raises(AssertionError, match="heard nothing"):
        check_recv_tells(client, 0.3)
    client.sendall(b"are you still there?")
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@claim(
    "heartbeats-find-a-hung-program",
    "RFC 9293 section 3.8.4",
    often_said="Keep-alive shows that the other program is alive.",
)
def test_keep_alive_is_answered_for_a_stopped_program(
    stopped_peer: socket.socket, program: Callable[[str], dict[str, Any]]
) -> None:
    """Keep-alive is answered by the peer's kernel, even if its program hangs.

    Only a message that the program itself must answer shows that it lives.
    """
    before = segments(stopped_peer)
    keep_alive(stopped_peer, idle=1, interval=1, count=1)
    with pytest.raises(AssertionError, match="heard nothing"):
        check_recv_tells(stopped_peer, 2.5)
    out, received = segments(stopped_peer)
    assert out > before[0], "no question was sent"
    assert received > before[1], "no answer came"

    lines = program("heartbeat")["lines"]
    with pytest.raises(TimeoutError, match="no answer to 2 pings"):
        list(lines(stopped_peer, every=0.2, limit=2))


def test_the_heartbeat_answers_and_goes_on(
    dial: Callable[[], Ends], program: Callable[[str], dict[str, Any]]
) -> None:
    heartbeat = program("heartbeat")
    client, connection = dial()
    client.sendall(b"one\npi")
    client.sendall(b"ng\ntwo\npong\nlast, without an end")
    client.shutdown(socket.SHUT_WR)
    got = heartbeat["lines"](connection, every=PATIENCE)
    assert [next(got), next(got)] == [b"one", b"two"]
    with pytest.raises(ValueError, match="ended within a line"):
        next(got)
    assert client.recv(1024) == b"pong\n"

    client, connection = dial()

    def live() -> None:
        # Two silences, each ended by an answer; together they are above the limit.
        for _ in range(2):
            assert client.recv(5) == b"ping\n"
            client.sendall(b"pong\n")
        assert client.recv(5) == b"ping\n"
        client.sendall(b"line\n")
        client.shutdown(socket.SHUT_WR)

    peer = threading.Thread(target=live, name="peer")
    peer.start()
    assert list(heartbeat["lines"](connection, every=BRIEF, limit=1)) == [b"line"]
    peer.join(PATIENCE)


def test_the_heartbeat_tells_the_errors_apart(
    dial: Callable[[], Ends], program: Callable[[str], dict[str, Any]]
) -> None:
    lines = program("heartbeat")["lines"]
    client, connection = dial()
    client.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 300)
    cut_off(client)
    client.sendall(b"x")
    with pytest.raises(TimeoutError) as caught:
        list(lines(client, every=5))
    assert caught.value.errno == errno.ETIMEDOUT  # and not the heartbeat's own

    client, connection = dial()
    client.sendall(bytes(70_000))
    with pytest.raises(ValueError, match="without an end"):
        list(lines(connection, every=5))


class Quiet(BaseHTTPRequestHandler):
    """Answers each request with its own port, over HTTP/1.1."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer with the port that the client dialled from."""
        body = str(self.client_address[1]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@claim(
    "http-keep-alive-asks-nobody",
    "RFC 9112 section 9.3",
    "RFC 9112 section 9.5",
    often_said="HTTP keep-alive tests whether the other side is still there.",
)
def test_http_keep_alive_sends_nothing() -> None:
    """HTTP keep-alive means that one connection serves many requests.

    While it is idle, HTTP/1.1 sends nothing over it and asks nobody.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        client = http.client.HTTPConnection(
            "127.0.0.1", server.server_port, timeout=PATIENCE
        )
        try:
            client.connect()
            port = client.sock.getsockname()[1]
            for _ in range(2):
                client.request("GET", "/")
                assert client.getresponse().read() == str(port).encode()
            assert client.sock.getsockopt(SOL, socket.SO_KEEPALIVE) == 0
            deadline = time.monotonic() + PATIENCE
            while timer_of(client.sock) != "00" and time.monotonic() < deadline:
                pass
            select.select([client.sock], [], [], 0.3)  # a late acknowledgement goes out
            check_nothing_is_sent(client.sock, 1.5)
            keep_alive(client.sock, idle=1, interval=1, count=9)
            with pytest.raises(AssertionError, match="a segment was sent"):
                check_nothing_is_sent(client.sock, 1.5)
        finally:
            client.close()
            server.shutdown()
            thread.join(PATIENCE)


def test_every_cell_of_the_table_is_of_this_page() -> None:
    recorded = (PROGRAMS / "recorded/who_sees_what.txt").read_text(encoding="utf-8")
    table = {line[:10].strip(): line[10:].split() for line in recorded.splitlines()}
    assert table["cut off"][0] == table["is well"][0] == "nothing"
    assert table["stopped"][:4] == table["is well"][:4]
    assert table["rebooted"][0] == "nothing"
    assert table["rebooted"][1:] == ["ECONNRESET"] * 4
