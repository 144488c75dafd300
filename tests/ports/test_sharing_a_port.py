"""The claims of "Address already in use"."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import socketserver
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
    from collections.abc import Callable, Coroutine
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    Address = tuple[str, int]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: its rules for bind(), /proc"
)
HERE = "127.0.0.1"
TIME_WAIT = "06"  # include/net/tcp_states.h
MINUTE = 60  # seconds: TCP_TIMEWAIT_LEN in include/net/tcp.h

BIND_IN_ANOTHER_PROCESS = """
import errno, socket, sys
with socket.socket() as sock:
    if "share" in sys.argv:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind(("127.0.0.1", int(sys.argv[1])))
        sock.listen()
        print("listens")
    except OSError as error:
        print(errno.errorcode[error.errno])
"""


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


def option(sock: socket.socket, name: int) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, name))


def bound(
    sockets: ExitStack, address: Address = (HERE, 0), *options: int
) -> socket.socket:
    """Return a TCP socket that is bound to the address, with these options."""
    sock = sockets.enter_context(socket.socket())
    sock.settimeout(PATIENCE)
    for name in options:
        sock.setsockopt(socket.SOL_SOCKET, name, 1)
    sock.bind(address)
    return sock


def listening(
    sockets: ExitStack, address: Address = (HERE, 0), *options: int
) -> socket.socket:
    """Return a listening socket that is bound to the address, with these options."""
    sock = bound(sockets, address, *options)
    sock.listen()
    return sock


def address_of(sock: socket.socket) -> Address:
    host, port = sock.getsockname()
    return host, port


def timers(here: int, there: int) -> list[str]:
    """Return the timer of the connection between two ports, if it is in TIME-WAIT.

    Both are asked for: a client's port may be in use to another server, too.
    """
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    ports = [f"{here:04X}", f"{there:04X}"]
    return [
        row[5]
        for row in rows
        if row[3] == TIME_WAIT and [end[-4:] for end in row[1:3]] == ports
    ]


def wait_until(happened: Callable[[], object]) -> None:
    """Return as soon as it has happened; fail after a minute."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


def stopped_server(first: str, *options: int) -> tuple[Address, int]:
    """Serve one client and stop; return the server's address and the client's port."""
    with socket.socket() as listener:
        for name in options:
            listener.setsockopt(socket.SOL_SOCKET, name, 1)
        listener.bind((HERE, 0))
        listener.listen()
        listener.settimeout(PATIENCE)
        address = address_of(listener)
        client = socket.create_connection(address, PATIENCE)
        connection, _ = listener.accept()
        theirs = client.getsockname()[1]
        ends = (connection, client) if first == "server" else (client, connection)
        ends[0].close()
        select.select([ends[1]], [], [], PATIENCE)  # returns when the FIN is there
        ends[1].close()
    waits = (address[1], theirs) if first == "server" else (theirs, address[1])
    wait_until(lambda: timers(*waits))
    return address, theirs


@linux
@claim(
    "first-closer-waits",
    "RFC 9293 section 3.6.1",
    "RFC 9293 section 3.3.2",
    often_said="The side that closes last ends in TIME-WAIT.",
)
def test_who_closes_first_is_in_time_wait() -> None:
    """The side that closes first keeps the connection in TIME-WAIT, the other does not.

    So if the server closes first, its port is not free at once.
    """
    (_, port), theirs = stopped_server("server")
    assert timers(port, theirs)
    assert not timers(theirs, port)
    (_, port), theirs = stopped_server("client")
    assert not timers(port, theirs)
    assert timers(theirs, port)


@linux
@claim(
    "time-wait-lasts-a-minute",
    "Linux include/net/tcp.h, TCP_TIMEWAIT_LEN",
    "RFC 9293 section 3.4.2",
)
def test_time_wait_takes_a_minute() -> None:
    """On Linux TIME-WAIT lasts 60 seconds. RFC 9293 asks for two times two minutes.

    The kernel says how much is left.
    """
    (_, port), theirs = stopped_server("server")
    (timer,) = timers(port, theirs)
    kind, ticks = timer.split(":")
    assert kind == "03"  # the timer of TIME-WAIT: proc(5), Linux proc_net_tcp.rst
    left = int(ticks, 16) / os.sysconf("SC_CLK_TCK")
    assert MINUTE - 10 < left <= MINUTE


def check_starts_again(address: Address, *options: int) -> None:
    """Fail unless a new server can have the address."""
    with socket.socket() as server:
        for name in options:
            server.setsockopt(socket.SOL_SOCKET, name, 1)
        try:
            server.bind(address)
        except OSError as error:
            refused = errno.errorcode.get(error.errno or 0)
            raise AssertionError(f"refused: {refused}") from error
        server.listen()


@linux
@claim(
    "reuseaddr-is-for-both",
    "socket(7) NOTES",
    "Python docs: socket.create_server()",
    often_said="Set SO_REUSEADDR on the new server, and TIME-WAIT does not matter.",
)
def test_a_restart_needs_the_option_on_both() -> None:
    """SO_REUSEADDR lets a server start during TIME-WAIT if the old one had it, too.

    On Linux one of the two is not enough.
    """
    reuse = socket.SO_REUSEADDR
    check_starts_again(stopped_server("server", reuse)[0], reuse)


@linux
@claim("either-option-restarts", "socket(7) SO_REUSEADDR, SO_REUSEPORT, NOTES")
def test_reuseport_on_both_restarts_too() -> None:
    """SO_REUSEPORT on the old server and the new one beats TIME-WAIT as well.

    One server with this option and one with SO_REUSEADDR do not.
    """
    address, share = socket.SO_REUSEADDR, socket.SO_REUSEPORT
    check_starts_again(stopped_server("server", share)[0], share)
    for old, new in ((address, share), (share, address)):
        with pytest.raises(AssertionError, match="refused: EADDRINUSE"):
            check_starts_again(stopped_server("server", old)[0], new)


@linux
@pytest.mark.parametrize("new", [(), (socket.SO_REUSEADDR,)], ids=["-", "new"])
@pytest.mark.parametrize("old", [(), (socket.SO_REUSEADDR,)], ids=["-", "old"])
def test_without_both_it_is_refused(old: tuple[int, ...], new: tuple[int, ...]) -> None:
    if old and new:
        check_starts_again(stopped_server("server", *old)[0], *new)
        return
    address, _ = stopped_server("server", *old)
    with pytest.raises(AssertionError, match="refused: EADDRINUSE"):
        check_starts_again(address, *new)


@linux
def test_if_the_client_closes_first_nothing_is_needed() -> None:
    check_starts_again(stopped_server("client")[0])


@linux
@claim("live-connections-hold-the-port", "socket(7) NOTES", "bind(2) EADDRINUSE")
def test_a_connection_holds_the_port_without_a_listener(sockets: ExitStack) -> None:
    """A connection that is still open holds the port, too, though nobody listens.

    SO_REUSEADDR on the old server and the new one helps here as well.
    """
    for options in ((), (socket.SO_REUSEADDR,)):
        listener = listening(sockets, (HERE, 0), *options)
        address = address_of(listener)
        sockets.enter_context(socket.create_connection(address, PATIENCE))
        sockets.enter_context(listener.accept()[0])
        listener.close()
        if options:
            check_starts_again(address, *options)
        else:
            with pytest.raises(AssertionError, match="refused: EADDRINUSE"):
                check_starts_again(address, socket.SO_REUSEADDR)


@claim(
    "who-sets-reuseaddr",
    "Python docs: socket.create_server()",
    "Python docs: socketserver, allow_reuse_address",
    "Python docs: loop.create_server(), reuse_address",
)
@pytest.mark.skipif(os.name != "posix", reason="there Python sets it on POSIX only")
def test_some_of_pythons_servers_have_it(
    run_async: Callable[[Coroutine[Any, Any, Any]], Any],
) -> None:
    """create_server() and asyncio set SO_REUSEADDR on Linux and macOS.

    A plain socket does not have it, nor has socketserver.TCPServer.
    """
    with socket.create_server((HERE, 0)) as made, socket.socket() as plain:
        assert option(made, socket.SO_REUSEADDR)
        assert not option(plain, socket.SO_REUSEADDR)
    with socketserver.TCPServer((HERE, 0), socketserver.BaseRequestHandler) as tcp:
        assert not option(tcp.socket, socket.SO_REUSEADDR)

    async def ask() -> bool:
        async with await asyncio.start_server(lambda *_: None, HERE, 0) as server:
            value = server.sockets[0].getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
            return bool(value)

    assert run_async(ask())


@linux
@claim(
    "reuseaddr-does-not-share",
    "socket(7) SO_REUSEADDR",
    "listen(2) ERRORS",
    often_said="With SO_REUSEADDR two servers can share a port.",
)
def test_two_may_bind_and_one_may_listen(sockets: ExitStack) -> None:
    """With SO_REUSEADDR two sockets may bind one address, but only one may listen.

    Beside a socket that listens there, not even bind() succeeds.
    """
    reuse = socket.SO_REUSEADDR
    one = bound(sockets, (HERE, 0), reuse)
    two = bound(sockets, address_of(one), reuse)
    one.listen()
    assert error_of(two.listen) == errno.EADDRINUSE
    assert error_of(lambda: bound(sockets, address_of(one), reuse)) == errno.EADDRINUSE


def in_another_process(port: int, *words: str) -> str:
    """Let another process listen on a port, and return how that went."""
    done = subprocess.run(
        [sys.executable, "-c", BIND_IN_ANOTHER_PROCESS, str(port), *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.strip()


def check_second_process_is_refused(listener: socket.socket, *words: str) -> None:
    """Fail unless the kernel keeps another process from this port."""
    outcome = in_another_process(listener.getsockname()[1], *words)
    assert outcome == "EADDRINUSE", outcome


@claim(
    "same-port-in-two-processes-confuses",
    "bind(2) EADDRINUSE",
    "socket(7) SO_REUSEPORT",
    often_said="If two processes used one port, what arrives would be confused.",
)
def test_a_second_process_is_refused_and_nothing_is_mixed(
    sockets: ExitStack, listener: socket.socket
) -> None:
    """Two processes on one port confuse nothing: the kernel refuses the second.

    If both have agreed to share, each connection belongs to one of them alone.
    """
    check_second_process_is_refused(listener)
    if sys.platform != "linux":
        return
    one = listening(sockets, (HERE, 0), socket.SO_REUSEPORT)
    two = listening(sockets, address_of(one), socket.SO_REUSEPORT)
    for number in range(20):
        client = socket.create_connection(address_of(one), PATIENCE)
        sockets.enter_context(client)
        ready, _, _ = select.select([one, two], [], [], PATIENCE)
        assert len(ready) == 1
        connection, peer = ready[0].accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()
        client.sendall(b"%d" % number)
        assert connection.recv(16) == b"%d" % number


@linux
def test_a_second_process_may_share(sockets: ExitStack) -> None:
    listener = listening(sockets, (HERE, 0), socket.SO_REUSEPORT)
    with pytest.raises(AssertionError, match="listens"):
        check_second_process_is_refused(listener, "share")


def clients_of(
    sockets: ExitStack, listeners: list[socket.socket], number: int
) -> list[list[socket.socket]]:
    """Dial so often; return the clients that each listening socket has got."""
    got: list[list[socket.socket]] = [[] for _ in listeners]
    for _ in range(number):
        client = socket.create_connection(address_of(listeners[0]), PATIENCE)
        sockets.enter_context(client)
        (ready,), _, _ = select.select(listeners, [], [], PATIENCE)
        sockets.enter_context(ready.accept()[0])
        got[listeners.index(ready)].append(client)
    return got


@linux
@claim("reuseport-shares", "socket(7) SO_REUSEPORT")
def test_the_kernel_deals_the_clients(sockets: ExitStack) -> None:
    """With SO_REUSEPORT on all, several servers listen on one address.

    Each connection goes to one of them, picked by a hash of its addresses and ports.
    """
    one = listening(sockets, (HERE, 0), socket.SO_REUSEPORT)
    two = listening(sockets, address_of(one), socket.SO_REUSEPORT)
    got = clients_of(sockets, [one, two], 64)
    assert sum(map(len, got)) == 64
    assert all(got)


@linux
@claim("reuseport-takes-all", "socket(7) SO_REUSEPORT")
def test_all_of_them_must_share(sockets: ExitStack) -> None:
    """SO_REUSEPORT must be set on all of them, the first included.

    If one lacks it, the kernel refuses the next.
    """
    share = socket.SO_REUSEPORT
    alone = listening(sockets)
    assert error_of(lambda: bound(sockets, address_of(alone), share)) == (
        errno.EADDRINUSE
    )
    shared = listening(sockets, (HERE, 0), share)
    assert error_of(lambda: bound(sockets, address_of(shared))) == errno.EADDRINUSE


@linux
@claim("reuseport-loses-who-waits", "listen(2)", "Linux ip-sysctl.rst, tcp_migrate_req")
def test_who_waits_for_a_server_that_stops_is_reset(sockets: ExitStack) -> None:
    """If one of several servers stops, clients in its queue are reset by default.

    The kernel does not hand them to the others.
    """
    require("queues that end with their listener")
    one = listening(sockets, (HERE, 0), socket.SO_REUSEPORT)
    stops = listening(sockets, address_of(one), socket.SO_REUSEPORT)
    for _ in range(64):
        client = socket.create_connection(address_of(one), PATIENCE)
        sockets.enter_context(client)
        (ready,), _, _ = select.select([one, stops], [], [], PATIENCE)
        if ready is stops:
            break
        sockets.enter_context(ready.accept()[0])
    stops.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@linux
@claim(
    "one-listening-socket-per-port",
    "socket(7) SO_REUSEPORT",
    "ip(7) Address format",
    "fork(2)",
    often_said="There is one listening socket for each port.",
)
def test_one_number_has_three_listening_sockets(sockets: ExitStack) -> None:
    """One listening socket for each address and port is the rule, not the limit.

    Other addresses have their own, SO_REUSEPORT allows more, and several processes may
    accept on one.
    """
    share = socket.SO_REUSEPORT
    for _ in range(20):
        one = listening(sockets, (HERE, 0), share)
        two = listening(sockets, address_of(one), share)
        three = sockets.enter_context(socket.socket())
        if three.connect_ex(("127.0.0.2", address_of(one)[1])) == 0:
            continue  # another program's: take another number
        three = listening(sockets, ("127.0.0.2", address_of(one)[1]))
        break
    made = (one, two, three)
    assert len({sock.getsockname()[1] for sock in made}) == 1
    assert len({os.fstat(sock.fileno()).st_ino for sock in made}) == 3
    assert all(option(sock, socket.SO_ACCEPTCONN) for sock in made)


@linux
@claim("udp-reuseaddr-takes-away", "socket(7) SO_REUSEADDR", "udp(7)")
def test_one_of_two_udp_sockets_gets_all(sockets: ExitStack) -> None:
    """With UDP, SO_REUSEADDR lets two sockets have one address.

    A datagram for that address reaches only one of them, on Linux always the same.
    """
    one, two, sender = (
        sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3)
    )
    for sock in (one, two):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(PATIENCE)
    one.bind((HERE, 0))
    two.bind(one.getsockname())
    got = set()
    for _ in range(10):
        sender.sendto(b"hello", one.getsockname())
        ready, _, _ = select.select([one, two], [], [], PATIENCE)
        assert len(ready) == 1
        assert ready[0].recv(16) == b"hello"
        got.add(ready[0])
    assert len(got) == 1


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no UNIX sockets in Python")
@claim("unix-path-outlives-its-socket", "unix(7) NOTES", "unix(7) ERRORS")
def test_the_path_of_a_stopped_server_is_taken(
    sockets: ExitStack, tmp_path: Path
) -> None:
    """The path of a UNIX socket stays after close(), and bind() to it is refused.

    Who dials it gets ECONNREFUSED. Delete the path, and it is free.
    """
    path = Path(os.path.relpath(tmp_path / "s"))
    if len(str(path)) > 100:  # sun_path has 108 bytes
        path = tmp_path / "s"

    def unix() -> socket.socket:
        return sockets.enter_context(socket.socket(socket.AF_UNIX))

    server = unix()
    server.bind(str(path))
    server.listen()
    server.close()
    assert error_of(lambda: unix().connect(str(path))) == errno.ECONNREFUSED
    assert error_of(lambda: unix().bind(str(path))) == errno.EADDRINUSE
    path.unlink()
    unix().bind(str(path))
