"""The claims of "Ending a conversation"."""

from __future__ import annotations

import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from needing import require
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    Address = tuple[str, int]
    OwnNetwork = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="shows how Linux ends a connection, and asks /proc"
)

PROGRAMS = Path(__file__).resolve().parents[2] / "snippets/streams"
ESTABLISHED, TIME_WAIT, CLOSE_WAIT, LAST_ACK, GONE = 1, 6, 8, 9, 0
MUCH = bytes(20_000)  # more than a socket with little room takes

VICTIM = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as end:
    end.sendall(b"ready")
    if sys.argv[2] == "reads":
        end.recv(1024)
        end.sendall(b"I have")
    sys.stdin.read()
"""

COUNT_SEGMENTS = """
def sent():
    lines = Path("/proc/net/snmp").read_text().splitlines()
    names, values = (line.split() for line in lines if line.startswith("Tcp:"))
    return int(values[names.index("OutSegs")])

def state(port, peer):
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        row = line.split()
        if row[1].endswith(f":{port:04X}") and row[2].endswith(f":{peer:04X}"):
            return int(row[3], 16)
    return 0

def close_both(at_once):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=60)
        server, _ = listener.accept()
    server.settimeout(60)
    here, there = client.getsockname()[1], server.getsockname()[1]
    before = sent()
    client.close()
    assert server.recv(1) == b""
    deadline = time.monotonic() + 60
    while not at_once and state(here, there) != 5:  # FIN-WAIT-2: its FIN has an ACK
        assert time.monotonic() < deadline
    server.close()
    while (state(here, there), state(there, here)) != (6, 0):
        assert time.monotonic() < deadline
    return sent() - before

# A busy machine may let the server be late; then its ACK has gone already.
at_once = min(close_both(True) for _ in range(10))
print(json.dumps([close_both(False), at_once]))
"""


def row_of(local: Address, peer: Address) -> list[str]:
    """Return the row of /proc/net/tcp for two addresses; empty if there is none."""

    def cell(address: Address) -> str:
        host = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
        return f"{host:08X}:{address[1]:04X}"

    wanted = [cell(local), cell(peer)]
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
        row = line.split()
        if row[1:3] == wanted:
            return row
    return []


def state_of(local: Address, peer: Address) -> int:
    row = row_of(local, peer)
    return int(row[3], 16) if row else GONE


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


def wait_for_the_reset(sock: socket.socket) -> None:
    over = select.poll()
    over.register(sock, 0)
    assert over.poll(5000), "no reset came"


def linger(sock: socket.socket, seconds: int) -> None:
    option = struct.pack("ii", 1, seconds)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)


def read_to_end(sock: socket.socket) -> bytes:
    """Read until the stream has ended; raises ConnectionResetError on a reset."""
    received = b""
    while data := sock.recv(65_536):
        received += data
    return received


@pytest.fixture
def narrow(sockets: ExitStack) -> Ends:
    """Return two ends that have room for little while their programs do not read."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.settimeout(PATIENCE)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client = sockets.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())
        server = sockets.enter_context(listener.accept()[0])
    server.settimeout(PATIENCE)
    return client, server


@claim("the-end-comes-after-the-bytes", "RFC 9293 section 3.6", "recv(2)")
def test_all_bytes_come_before_the_end(ends: Ends) -> None:
    """What was sent before close() is read first, and then b'', as often as one asks.

    close() does not wait for that.
    """
    client, connection = ends
    sent = bytes(range(256)) * 200
    connection.sendall(sent)
    connection.close()
    assert read_to_end(client) == sent
    assert client.recv(1024) == b""


@claim(
    "socket-comm-keeps-connection",
    "RFC 9293 section 3.6",
    "RFC 9293 section 3.8.4",
    "RFC 9112 section 9.3",
    often_said="Socket communication keeps the connection after data was sent.",
)
def test_a_connection_lives_until_a_program_ends_it(dial: Callable[[], Ends]) -> None:
    """A TCP connection lives until a program ends it, and no longer.

    It may stay open unused, without a timer, or be closed after one message.
    """
    client, connection = dial()
    client.sendall(b"hello")
    assert connection.recv(1024) == b"hello"
    here, there = client.getsockname(), client.getpeername()
    wait_until(lambda: row_of(here, there)[5].startswith("00:"))  # no timer runs
    assert state_of(here, there) == ESTABLISHED
    client, connection = dial()
    client.sendall(b"one message")
    client.close()
    assert read_to_end(connection) == b"one message"


def check_success_means_arrival(client: socket.socket, server: socket.socket) -> None:
    """Fail if send() succeeds for bytes that no program can ever read."""
    try:
        sent = client.send(b"an order")
    except OSError:
        return  # the loss was told: that is in order
    if server.fileno() < 0 or server.recv(1024) != b"an order"[:sent]:
        raise AssertionError("send() succeeded, and the bytes are lost")


@claim(
    "first-send-after-the-end-works",
    "RFC 9293 section 2.2",
    "RFC 9293 section 3.6.1",
    often_said="If send() succeeds, the connection is still there.",
)
def test_the_first_send_to_a_closed_peer_succeeds(ends: Ends) -> None:
    """The first send() to a peer that has closed succeeds, and its bytes are lost.

    They make the peer's kernel send a reset, and the next send() is a broken pipe.
    """
    client, connection = ends
    connection.close()
    assert client.recv(1024) == b""
    with pytest.raises(AssertionError, match="the bytes are lost"):
        check_success_means_arrival(client, connection)
    wait_for_the_reset(client)
    with pytest.raises(BrokenPipeError):
        client.send(b"another")


def test_the_check_of_arrival_can_pass(dial: Callable[[], Ends]) -> None:
    check_success_means_arrival(*dial())
    client, connection = dial()
    client.shutdown(socket.SHUT_WR)
    check_success_means_arrival(client, connection)


def check_close_ends_in_order(client: socket.socket, server: socket.socket) -> None:
    """Fail if the server's close() reaches the client as a reset."""
    server.close()
    try:
        assert client.recv(1024) == b""
    except ConnectionResetError as error:
        raise AssertionError("it was reset") from error


@claim(
    "unread-bytes-make-a-reset",
    "RFC 9293 section 3.6.1",
    "RFC 2525 section 2.17",
    often_said="close() ends the connection in order.",
)
def test_close_with_unread_bytes_resets(dial: Callable[[], Ends]) -> None:
    """close() sends a reset, and no FIN, if bytes have come that were not read.

    So does the kernel when bytes come after close(). What was not sent yet is lost.
    """
    client, connection = dial()
    client.sendall(b"not read")
    select.select([connection], [], [], PATIENCE)
    with pytest.raises(AssertionError, match="it was reset"):
        check_close_ends_in_order(client, connection)

    client, connection = dial()
    check_close_ends_in_order(client, connection)
    client.sendall(b"too late")
    wait_for_the_reset(client)


def test_what_waits_is_lost_with_unread_bytes(narrow: Ends) -> None:
    client, server = narrow
    client.sendall(b"not read")
    select.select([server], [], [], PATIENCE)
    server.sendall(bytes(20_000))  # more than the client's kernel has room for
    server.close()
    received: list[bytes] = []

    def read() -> None:
        received.extend(iter(lambda: client.recv(65_536), b""))

    with pytest.raises(ConnectionResetError):
        read()
    assert 0 < sum(map(len, received)) < 20_000


def test_close_ends_in_order_if_all_was_read(dial: Callable[[], Ends]) -> None:
    client, connection = dial()
    client.sendall(b"read")
    assert connection.recv(1024) == b"read"
    check_close_ends_in_order(client, connection)


@claim(
    "a-reset-spares-what-came-before",
    "Linux net/ipv4/tcp_input.c, tcp_reset",
    "RFC 9293 section 3.10.7.4",
    often_said="After a reset, what had come and was not read is gone.",
)
@pytest.mark.parametrize("way", ["unread", "linger"])
def test_bytes_before_a_reset_can_be_read(way: str, ends: Ends) -> None:
    """On Linux, bytes that came before a reset can still be read.

    RFC 9293 would throw them away, so do not rely on it elsewhere.
    """
    client, connection = ends
    if way == "unread":
        client.sendall(b"not read")
        select.select([connection], [], [], PATIENCE)
    else:
        linger(connection, 0)
    connection.sendall(b"last words")
    connection.close()
    wait_for_the_reset(client)
    assert client.recv(4) == b"last"
    assert client.recv(1024) == b" words"
    with pytest.raises(ConnectionResetError):
        client.recv(1024)


@claim(
    "a-reset-is-told-once", "Linux net/ipv4/tcp.c, tcp_recvmsg", "socket(7) SO_ERROR"
)
def test_after_the_error_comes_an_end(dial: Callable[[], Ends]) -> None:
    """The kernel tells a reset once; after that recv() gives b'', as if in order.

    In the midst of a conversation whichever call comes first gets the error, be it
    recv() or send().
    """
    client, connection = dial()
    linger(connection, 0)
    connection.close()
    wait_for_the_reset(client)
    with pytest.raises(ConnectionResetError):
        client.recv(1024)
    assert client.recv(1024) == b""

    client, connection = dial()
    linger(connection, 0)
    connection.close()
    wait_for_the_reset(client)
    with pytest.raises(ConnectionResetError):
        client.send(b"x")
    assert client.recv(1024) == b""


@claim(
    "reset-or-broken-pipe",
    "Linux net/ipv4/tcp_input.c, tcp_reset",
    "send(2) ERRORS",
)
def test_which_error_a_reset_becomes(dial: Callable[[], Ends]) -> None:
    """A reset in the midst of a conversation is ECONNRESET.

    One that comes after the peer's FIN is EPIPE, on Linux.
    """
    for in_order, expected in ((False, ConnectionResetError), (True, BrokenPipeError)):
        client, connection = dial()
        if in_order:
            connection.close()
            assert client.recv(1024) == b""
            client.send(b"this makes the reset")
        else:
            linger(connection, 0)
            connection.close()
        wait_for_the_reset(client)
        with pytest.raises(expected):
            client.send(b"x")
        with pytest.raises(BrokenPipeError):  # the reset was told: now it is closed
            client.send(b"x")


def check_bytes_survive(close: Callable[[socket.socket], None], narrow: Ends) -> None:
    """Fail unless a reader that is late gets all that was sent before close()."""
    client, server = narrow
    server.sendall(MUCH)
    close(server)
    received = b""
    try:
        while data := client.recv(65_536):
            received += data
    except ConnectionResetError:
        pass
    assert received == MUCH, "bytes are lost"


def throw_away(sock: socket.socket) -> None:
    linger(sock, 0)
    sock.close()


@claim(
    "linger-zero-throws-away",
    "socket(7) SO_LINGER",
    "Linux net/ipv4/tcp.c, __tcp_close",
    "RFC 9293 section 3.10.5",
    often_said="SO_LINGER with 0 seconds is the cure for TIME-WAIT.",
)
def test_linger_zero_loses_bytes(narrow: Ends) -> None:
    """SO_LINGER with 0 seconds makes close() a reset.

    That leaves no TIME-WAIT, and loses what the peer's kernel has not taken yet.
    """
    client, server = narrow
    here, there = server.getsockname(), server.getpeername()
    with pytest.raises(AssertionError, match="bytes are lost"):
        check_bytes_survive(throw_away, narrow)
    assert state_of(here, there) == GONE
    assert state_of(there, here) == GONE
    assert client.recv(1024) == b""


def test_a_plain_close_loses_nothing(narrow: Ends) -> None:
    check_bytes_survive(socket.socket.close, narrow)


@claim(
    "linger-waits-for-the-kernel",
    "socket(7) SO_LINGER",
    "Linux net/ipv4/af_inet.c, inet_release",
    often_said="With SO_LINGER, close() waits until the other side has read all.",
)
def test_linger_waits_for_the_other_kernel(
    narrow: Ends, dial: Callable[[], Ends]
) -> None:
    """SO_LINGER with a time lets close() wait until the peer's kernel has all bytes.

    Its program need not have read them. When the time is over, close() returns, and
    Linux still delivers the rest.
    """
    _, connection = dial()
    connection.sendall(b"nobody reads this")
    linger(connection, 2 * PATIENCE)
    began = time.monotonic()
    connection.close()
    assert time.monotonic() - began < PATIENCE

    client, server = narrow
    server.sendall(MUCH)
    linger(server, 1)
    began = time.monotonic()
    server.close()
    assert time.monotonic() - began > 0.9
    assert read_to_end(client) == MUCH


@claim(
    "a-killed-process-ends-its-streams",
    "_exit(2)",
    "RFC 9293 section 3.6.1",
    often_said="If the other program crashes, recv() raises Connection reset by peer.",
)
@pytest.mark.parametrize("habit", ["reads", "does not read"])
def test_the_kernel_closes_for_a_killed_process(
    habit: str, listener: socket.socket
) -> None:
    """When a process is killed, its kernel closes its sockets.

    The peer sees an end in order, or a reset if bytes were left unread.
    """
    port = str(listener.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, port, habit], stdin=subprocess.PIPE
    ) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(5) == b"ready"
                here, there = connection.getsockname(), connection.getpeername()
                connection.sendall(b"read me")
                if habit == "reads":
                    assert connection.recv(6) == b"I have"
                else:
                    wait_until(lambda: row_of(there, here)[4].endswith("00000007"))
                process.send_signal(signal.SIGKILL)
                if habit == "reads":
                    assert connection.recv(1024) == b""
                else:
                    with pytest.raises(ConnectionResetError):
                        connection.recv(1024)
        finally:
            process.kill()


@claim(
    "closing-takes-three-or-four-segments",
    "RFC 9293 section 3.6",
    "RFC 9293 section 3.8.6.3",
    often_said="Closing a connection takes four segments.",
)
def test_segments_of_a_close(in_own_network: OwnNetwork) -> None:
    """Each side's FIN has to be acknowledged: that makes four segments, or three.

    The kernel may keep its ACK back for a moment, and then send it with its own FIN.
    """
    assert in_own_network(COUNT_SEGMENTS) == [4, 3]


@claim("an-unread-fin-counts-as-one", "RFC 9293 section 3.4", "proc(5) /proc/net/tcp")
def test_a_fin_is_counted_with_the_unread_bytes(dial: Callable[[], Ends]) -> None:
    """In /proc/net/tcp and ss a FIN that was not read counts as one byte unread."""
    for sent in (b"four", b""):
        client, connection = dial()
        here, there = connection.getsockname(), connection.getpeername()
        client.sendall(sent)
        client.close()
        wait_until(lambda: state_of(here, there) == CLOSE_WAIT)  # noqa: B023 - at once
        assert row_of(here, there)[4].endswith(f":{len(sent) + 1:08X}")
        assert read_to_end(connection) == sent
        assert row_of(here, there)[4].endswith(":00000000")


@claim(
    "both-may-have-time-wait", "RFC 9293 section 3.6 case 3", "RFC 9293 section 3.3.2"
)
def test_a_close_from_both_sides(narrow: Ends) -> None:
    """If both sides close before they see the other's FIN, both have TIME-WAIT."""
    client, server = narrow
    here, there = client.getsockname(), client.getpeername()
    client.sendall(MUCH)
    client.shutdown(socket.SHUT_WR)  # this FIN waits behind bytes that do not fit
    server.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    assert read_to_end(server) == MUCH
    wait_until(lambda: state_of(here, there) == TIME_WAIT)
    wait_until(lambda: state_of(there, here) == TIME_WAIT)


@claim(
    "time-wait-answers-again",
    "RFC 9293 section 3.10.7.4",
    "RFC 9293 section 3.6.1",
)
def test_time_wait_repeats_the_last_ack(ends: Ends) -> None:
    """A FIN that is sent again, because its ACK was lost, is answered by TIME-WAIT."""
    require("socket filters")
    program = runpy.run_path(str(PROGRAMS / "last_ack_lost.py"))
    client, connection = ends
    here, there = client.getsockname(), client.getpeername()
    client.close()
    assert connection.recv(1) == b""
    program["set_filter"](connection, program["SO_ATTACH_FILTER"])
    connection.shutdown(socket.SHUT_WR)
    wait_until(lambda: state_of(here, there) == TIME_WAIT)
    assert state_of(there, here) == LAST_ACK  # it has heard nothing
    program["set_filter"](connection, program["SO_DETACH_FILTER"])
    wait_until(lambda: state_of(there, here) == GONE)
    assert state_of(here, there) == TIME_WAIT
    # Without TIME-WAIT the answer would have been a reset, and an error.
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize("way", ["close", "close_kindly"])
def test_what_is_kind_to_the_peer(way: str, ends: Ends) -> None:
    """The program to copy gives up in time, and does not raise."""
    program = runpy.run_path(str(PROGRAMS / "kind_close.py"))
    client, connection = ends
    client.sendall(bytes(100_000))
    connection.sendall(b"too large")
    began = time.monotonic()
    if way == "close":
        connection.close()
        wait_for_the_reset(client)
        assert client.recv(1024) == b"too large"
        with pytest.raises(ConnectionResetError):
            client.recv(1024)
        return
    program["close_kindly"](connection, 0.3)  # the client keeps its side open
    assert 0.2 < time.monotonic() - began < PATIENCE
    assert connection.fileno() == -1
    assert read_to_end(client) == b"too large"
