"""The claims of "The states of a TCP connection"."""

from __future__ import annotations

import errno
import runpy
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    Address = tuple[str, int]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="asks Linux for the states, and holds them its way"
)

PROGRAM = Path(__file__).resolve().parents[2] / "snippets/reference/every_tcp_state.py"
# The names of RFC 9293 section 3.3.2, those of ss, and include/net/tcp_states.h.
NAMES = {
    "LISTEN": ("LISTEN", 10),
    "SYN-SENT": ("SYN-SENT", 2),
    "SYN-RECEIVED": ("SYN-RECV", 3),
    "ESTABLISHED": ("ESTAB", 1),
    "FIN-WAIT-1": ("FIN-WAIT-1", 4),
    "FIN-WAIT-2": ("FIN-WAIT-2", 5),
    "CLOSE-WAIT": ("CLOSE-WAIT", 8),
    "CLOSING": ("CLOSING", 11),
    "LAST-ACK": ("LAST-ACK", 9),
    "TIME-WAIT": ("TIME-WAIT", 6),
}
KEEPALIVE = 2  # which timer runs: proc(5), the column tr of /proc/net/tcp
WITHOUT_DESCRIPTOR = ("SYN-RECEIVED", "TIME-WAIT")


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    """Return what the program of the page defines."""
    return runpy.run_path(str(PROGRAM))


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
    return int(row[3], 16) if row else 0


def timer_of(local: Address, peer: Address) -> tuple[int, float]:
    """Return which timer runs for a socket, and the seconds that it has left."""
    active, _, ticks = row_of(local, peer)[5].partition(":")
    return int(active, 16), int(ticks, 16) / 100  # USER_HZ is 100


def in_tcp_info(sock: socket.socket) -> int:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


@claim(
    "every-tcp-state-can-be-held",
    "RFC 9293 section 3.3.2",
    "Linux include/net/tcp_states.h",
    "ss(8) STATE-FILTER",
)
@pytest.mark.parametrize("name", NAMES)
def test_a_state_has_its_name_and_number(
    name: str, program: dict[str, Any], sockets: ExitStack
) -> None:
    """Each state of TCP can be held, and has one number in /proc/net/tcp and TCP_INFO.

    In SYN-RECEIVED and TIME-WAIT there is no descriptor, and so no TCP_INFO.
    """
    in_ss, number = NAMES[name]
    shown, expected, hold = program["STATES"][name]
    assert (shown, int(expected, 16)) == (in_ss, number)
    local, peer, sock = hold(sockets)
    wait_until(lambda: state_of(local, peer) == number)
    assert (sock is None) == (name in WITHOUT_DESCRIPTOR)
    if sock is None:
        assert row_of(local, peer)[9] == "0"  # the inode: no descriptor refers to it
    else:
        assert in_tcp_info(sock) == number
    if shutil.which("ss"):
        wanted = f"src {local[0]}:{local[1]}"
        if peer[1]:
            wanted += f" and dst {peer[0]}:{peer[1]}"
        done = subprocess.run(
            ["ss", "-tanH", wanted],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert done.stdout.split()[0] == in_ss


@claim("closed-is-in-no-table", "RFC 9293 section 3.3.2", "proc(5)")
def test_a_closed_socket_is_not_listed() -> None:
    """CLOSED is no connection: TCP_INFO says 7, and no table has a row for it."""
    with socket.socket() as new:
        new.bind(("127.0.0.1", 0))
        assert in_tcp_info(new) == 7
        assert not row_of(new.getsockname(), ("0.0.0.0", 0))


@claim("no-timer-ends-close-wait", "RFC 9293 section 3.6")
def test_close_wait_waits_for_the_program(ends: Ends) -> None:
    """By default only the program ends CLOSE-WAIT: no timer runs for it.

    With SO_KEEPALIVE the kernel asks the peer, and may end it.
    """
    client, connection = ends
    client.close()
    here, there = connection.getsockname(), connection.getpeername()
    wait_until(lambda: state_of(here, there) == 8)
    assert connection.recv(1) == b""
    wait_until(lambda: timer_of(here, there) == (0, 0.0))
    assert state_of(here, there) == 8
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    wait_until(lambda: timer_of(here, there)[0] == KEEPALIVE)
    connection.close()
    wait_until(lambda: state_of(here, there) == 0)


@claim("fin-wait-2-ends-after-close", "tcp(7) tcp_fin_timeout")
def test_only_close_bounds_fin_wait_2(ends: Ends) -> None:
    """After shutdown() alone, FIN-WAIT-2 lasts until the peer closes.

    After close() Linux ends it, by default when 60 seconds have passed.
    """
    client, _ = ends
    here, there = client.getsockname(), client.getpeername()
    client.shutdown(socket.SHUT_WR)
    wait_until(lambda: state_of(here, there) == 5)
    wait_until(lambda: timer_of(here, there)[0] == 0)
    client.close()
    setting = Path("/proc/sys/net/ipv4/tcp_fin_timeout").read_text(encoding="ascii")
    active, seconds = timer_of(here, there)
    assert state_of(here, there) == 5
    assert active != 0
    assert 0 < seconds <= int(setting)


@claim(
    "time-wait-is-with-the-first-closer",
    "RFC 9293 section 3.6",
    "RFC 9293 section 3.3.2",
    often_said="TIME-WAIT is on the server's side.",
)
@pytest.mark.parametrize("first", ["client", "server"])
def test_who_closes_first_has_time_wait(first: str, ends: Ends) -> None:
    """If one side closes first, TIME-WAIT is there, be it the client or the server.

    The other side has nothing left. On Linux it lasts 60 seconds. If both close at
    once, both may have it.
    """
    one, other = ends if first == "client" else ends[::-1]
    here, there = one.getsockname(), one.getpeername()
    one.close()
    assert other.recv(1) == b""
    other.close()
    wait_until(lambda: state_of(here, there) == 6)
    active, seconds = timer_of(here, there)
    assert active == 3
    assert 50 < seconds <= 60
    assert state_of(there, here) == 0


@claim("unread-bytes-hold-back-the-fin", "RFC 9293 section 3.6")
def test_a_fin_waits_behind_the_bytes(
    program: dict[str, Any], sockets: ExitStack
) -> None:
    """A FIN comes after all bytes, so a peer that does not read keeps it back.

    The side that closed stays in FIN-WAIT-1; the peer is still ESTABLISHED.
    """
    _, _, hold = program["STATES"]["FIN-WAIT-1"]
    here, there, sock = hold(sockets)
    wait_until(lambda: state_of(here, there) == 4)
    assert state_of(there, here) == 1
    sent, _, _ = row_of(here, there)[4].partition(":")
    assert int(sent, 16) > 0
    with pytest.raises(BrokenPipeError) as caught:
        sock.send(b"more")
    assert caught.value.errno == errno.EPIPE
