"""The claims of "What is the backlog?"."""

from __future__ import annotations

import ctypes
import errno
import select
import socket
import struct
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

    OwnNetwork = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="counts as Linux does, with TCP_INFO and /proc"
)

SYN_SENT, SYN_RECV = 2, 3  # include/net/tcp_states.h
SHORT = 0.3  # seconds; a full queue gives no answer, and the kernel asks again after 1

# What the programs in a network of their own begin with.
LISTENER = """
def counters():
    names, values = Path("/proc/net/netstat").read_text().splitlines()[:2]
    return dict(zip(names.split()[1:], map(int, values.split()[1:])))

def dial(address, before=lambda client: None, seconds=0.3):
    client = socket.socket()
    before(client)
    client.settimeout(seconds)
    try:
        client.connect(address)
    except OSError as error:
        return client, f"{type(error).__name__} {error.errno}"
    return client, "connected"

def wait_until_queued(number):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        if int.from_bytes(info[24:28], sys.byteorder) == number:
            return

def deafen(client):
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(drop))
    client.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER

listener = socket.socket()
listener.bind(("127.0.0.1", 0))
address = listener.getsockname()
"""

OVERFLOW = """
listener.listen(1)
before = counters()
ends = [dial(address)]
wait_until_queued(1)
ends += [dial(address)]
wait_until_queued(2)
for _ in range(3):
    ends += [dial(address)]
    ends[-1][0].close()  # or its kernel sends the SYN again, which counts too
after = counters()
grown = [after[name] - before[name] for name in ("ListenOverflows", "ListenDrops")]
print(json.dumps({"outcomes": [outcome for _, outcome in ends], "grown": grown}))
"""

# TCP_DEFER_ACCEPT keeps the handshakes unfinished in the server's kernel until data
# comes; by then the queue is one that holds a single connection.
LATE_ACKS = """
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
listener.listen(5)
clients = [dial(address)[0] for _ in range(3)]
listener.listen(0)
for number, client in enumerate(clients):
    client.send(b"x")
    if number == 0:
        wait_until_queued(1)
outcomes = []
for client in clients:
    try:
        outcomes.append(repr(client.recv(1)))
    except OSError as error:
        outcomes.append(type(error).__name__)
print(json.dumps(outcomes))
"""

FLOOD = """
listener.listen(2)
deaf = [dial(address, deafen, 0.05) for _ in range(8)]
before = counters()
client, outcome = dial(address)
after = counters()
used = after["SyncookiesRecv"] - before["SyncookiesRecv"]
print(json.dumps({"outcome": outcome, "cookies": used}))
"""


def queue_of(listener: socket.socket) -> tuple[int, int]:
    """Return the length of the accept queue and its limit."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    waiting, limit = struct.unpack_from("=II", info, 24)
    return waiting, limit


def sent_again(sock: socket.socket) -> int:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("=I", info, 100)[0])


def tcp_state(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def bound_socket(sockets: ExitStack) -> socket.socket:
    bound = sockets.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    bound.settimeout(PATIENCE)
    return bound


def wait_until(happened: Callable[[], bool]) -> None:
    """Return as soon as it has happened; fail after a minute."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


def full_listener(sockets: ExitStack, backlog: int = 0) -> socket.socket:
    """Return a listening socket whose accept queue has no room left."""
    listener = bound_socket(sockets)
    listener.listen(backlog)
    for length in range(1, backlog + 2):
        address = listener.getsockname()
        sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
        wait_until(lambda wanted=length: queue_of(listener)[0] == wanted)  # type: ignore[misc]
    return listener


def dialled(address: tuple[str, int], sockets: ExitStack) -> socket.socket:
    """Return a socket that has sent its SYN and does not wait for the answer."""
    client = sockets.enter_context(socket.socket())
    client.settimeout(0)
    assert client.connect_ex(address) == errno.EINPROGRESS
    return client


def deafen(client: socket.socket) -> None:
    """Make the kernel drop all that comes for a socket, so it never sends an ACK."""
    require("socket filters")
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(drop))
    client.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER


@claim(
    "listen-creates-queue-of-n",
    "listen(2) NOTES",
    "POSIX listen()",
    often_said="listen(n) makes a queue for exactly n waiting clients.",
)
@pytest.mark.parametrize("backlog", [0, 1, 2, 5])
def test_the_accept_queue_holds_one_more_than_the_backlog(
    backlog: int, sockets: ExitStack
) -> None:
    """The backlog limits the connections that are made and not yet accepted.

    POSIX calls it a hint. Linux lets one more in than the number says.
    """
    listener = full_listener(sockets, backlog)
    assert queue_of(listener) == (backlog + 1, backlog)
    left_out = sockets.enter_context(socket.socket())
    left_out.settimeout(SHORT)
    with pytest.raises(TimeoutError):
        left_out.connect(listener.getsockname())
    assert queue_of(listener) == (backlog + 1, backlog)


def check_no_answer(server: socket.socket, sockets: ExitStack) -> None:
    """Fail unless a client gets no answer at all from the server's kernel."""
    client = sockets.enter_context(socket.socket())
    client.settimeout(SHORT)
    outcome = "connected"
    try:
        client.connect(server.getsockname())
    except OSError as error:
        outcome = str(error)
    assert outcome == "timed out"
    assert tcp_state(client) == SYN_SENT


@claim(
    "full-queue-is-not-refused",
    "listen(2)",
    "tcp(7) tcp_abort_on_overflow",
    often_said="When the backlog is full, the next client gets Connection refused.",
)
def test_a_full_queue_does_not_answer(sockets: ExitStack) -> None:
    """A client that meets a full accept queue is not refused on Linux.

    The kernel drops its SYN. The client hears nothing, and waits.
    """
    check_no_answer(full_listener(sockets), sockets)


def test_the_check_of_the_full_queue_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match="Connection refused"):
        check_no_answer(bound_socket(sockets), sockets)
    roomy = bound_socket(sockets)
    roomy.listen(5)
    with pytest.raises(AssertionError, match="connected"):
        check_no_answer(roomy, sockets)


@claim("overflows-are-counted", "Linux snmp_counter.rst, TcpExtListenOverflows")
def test_the_kernel_counts_what_it_drops(in_own_network: OwnNetwork) -> None:
    """The kernel counts each SYN that meets a full accept queue.

    The counters ListenOverflows and ListenDrops in /proc/net/netstat grow by one.
    """
    told = in_own_network(LISTENER + OVERFLOW)
    assert told["outcomes"] == ["connected"] * 2 + ["TimeoutError None"] * 3
    assert told["grown"] == [3, 3]


@claim(
    "abort-on-overflow-is-no-refusal",
    "tcp(7) tcp_abort_on_overflow",
    often_said="With tcp_abort_on_overflow set to 1, a full queue refuses clients.",
)
def test_abort_on_overflow_does_not_refuse(in_own_network: OwnNetwork) -> None:
    """The setting tcp_abort_on_overflow does not change what happens to a SYN.

    A full queue drops it all the same. What the setting resets is a connection whose
    handshake ends just when the queue is full.
    """
    for setting in ("0", "1"):
        told = in_own_network(LISTENER + OVERFLOW, f"tcp_abort_on_overflow={setting}")
        assert told["outcomes"] == ["connected"] * 2 + ["TimeoutError None"] * 3
    waits, reset = "TimeoutError", "ConnectionResetError"
    told = in_own_network(LISTENER + LATE_ACKS, "tcp_abort_on_overflow=0")
    assert told == [waits, waits, waits]
    told = in_own_network(LISTENER + LATE_ACKS, "tcp_abort_on_overflow=1")
    assert told == [waits, reset, reset]


@claim(
    "tcp-retransmits-losses",
    "RFC 9293 section 3.8.1",
    "RFC 6298 section 2",
)
def test_a_lost_syn_is_sent_again(sockets: ExitStack) -> None:
    """TCP sends again what was lost: here a SYN, one second after the first.

    So a client that met a full queue gets in late, although there is room.
    """
    listener = full_listener(sockets)
    client = dialled(listener.getsockname(), sockets)
    began = time.monotonic()
    assert (tcp_state(client), sent_again(client)) == (SYN_SENT, 0)
    connection, _ = listener.accept()
    sockets.enter_context(connection)
    assert select.select([], [client], [], PATIENCE)[1], "it never came in"
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert client.getpeername() == listener.getsockname()
    assert sent_again(client) >= 1
    assert time.monotonic() - began > 0.9  # seconds


@claim("the-kernel-gives-up-with-etimedout", "connect(2) ERRORS", "tcp(7) TCP_SYNCNT")
def test_the_kernel_gives_up_after_its_last_syn(sockets: ExitStack) -> None:
    """A client whose SYNs are not answered fails with ETIMEDOUT.

    TCP_SYNCNT shortens the wait; without it, it is about two minutes.
    """
    listener = full_listener(sockets)
    client = sockets.enter_context(socket.socket())
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    client.settimeout(PATIENCE)
    with pytest.raises(TimeoutError, match=r"^\[Errno 110\] Connection timed out$"):
        client.connect(listener.getsockname())


@claim(
    "backlog-is-capped",
    "listen(2) NOTES",
    often_said="The backlog is the number that the program gives to listen().",
)
def test_somaxconn_caps_the_backlog(sockets: ExitStack) -> None:
    """The kernel caps the backlog at net.core.somaxconn without a word.

    The call succeeds, and a later listen() on the same socket sets a new limit.
    """
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    listener = bound_socket(sockets)
    listener.listen(most + 1)
    assert queue_of(listener)[1] == most
    listener.listen(7)
    assert queue_of(listener)[1] == 7


@claim("default-backlog", "Python docs: socket.listen")
def test_the_default_backlog_of_python(sockets: ExitStack) -> None:
    """Without a number, Python asks for 128, or for SOMAXCONN if that is less."""
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    listener = bound_socket(sockets)
    listener.listen()
    assert queue_of(listener)[1] == min(128, socket.SOMAXCONN, most)


@claim("negative-backlog", "Python docs: socket.listen", "POSIX listen()")
def test_a_negative_backlog(sockets: ExitStack) -> None:
    """Python makes a negative backlog 0. C's listen(fd, -1) gives the cap on Linux."""
    most = int(Path("/proc/sys/net/core/somaxconn").read_text())
    listener = bound_socket(sockets)
    listener.listen(-1)
    assert queue_of(listener)[1] == 0
    assert ctypes.CDLL(None).listen(listener.fileno(), -1) == 0
    assert queue_of(listener)[1] == most


@claim(
    "backlog-is-no-limit-of-clients",
    "listen(2) NOTES",
    often_said="listen(5) allows five clients at a time.",
)
def test_accepted_connections_do_not_count(sockets: ExitStack) -> None:
    """The backlog does not limit how many clients are served at the same time.

    A connection that was accepted has left the queue.
    """
    listener = bound_socket(sockets)
    listener.listen(0)
    ends = []
    for _ in range(20):
        client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        sockets.enter_context(client)
        connection, _peer = listener.accept()
        ends.append((client, sockets.enter_context(connection)))
    for client, connection in ends:
        connection.settimeout(PATIENCE)
        client.sendall(b"here")
        assert connection.recv(4) == b"here"


@claim("half-open-is-not-in-the-accept-queue", "listen(2) NOTES", "tcp(7)")
def test_half_open_connections_wait_elsewhere(sockets: ExitStack) -> None:
    """A connection whose handshake is unfinished takes no place in the accept queue.

    The kernel counts it apart, in the state SYN-RECV.
    """
    listener = bound_socket(sockets)
    listener.listen(10)
    port = f":{listener.getsockname()[1]:04X}"

    def half_open() -> int:
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()]
        return sum(row[1].endswith(port) and row[3] == "03" for row in rows)

    for _ in range(3):
        deaf = sockets.enter_context(socket.socket())
        deafen(deaf)
        deaf.settimeout(0)
        assert deaf.connect_ex(listener.getsockname()) == errno.EINPROGRESS
    wait_until(lambda: half_open() == 3)
    assert queue_of(listener) == (0, 10)


@claim(
    "syn-cookies-keep-the-door-open", "tcp(7) tcp_syncookies", "RFC 4987 section 3.6"
)
def test_syn_cookies_let_a_client_in_during_a_flood(in_own_network: OwnNetwork) -> None:
    """With SYN cookies a client gets in although half-open connections fill the limit.

    Without them its SYN is dropped.
    """
    told = in_own_network(LISTENER + FLOOD, "tcp_syncookies=1")
    assert told == {"outcome": "connected", "cookies": 1}
    told = in_own_network(LISTENER + FLOOD, "tcp_syncookies=0")
    assert told == {"outcome": "TimeoutError None", "cookies": 0}
