"""The claims of "The connection exists before accept()"."""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

linux = pytest.mark.skipif(
    sys.platform != "linux",
    reason="reads /proc/net/tcp and TCP_INFO, as Linux has them",
)

ESTABLISHED, CLOSE, LISTEN = 1, 7, 10  # include/net/tcp_states.h


class Row(NamedTuple):
    """One socket in /proc/net/tcp."""

    state: int
    waiting: int  # bytes to be received
    inode: int  # 0: no program has a descriptor


def rows(local_port: int, remote_port: int) -> list[Row]:
    """Return the lines of /proc/net/tcp with these ports."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, queues, *_, inode = line.split()[:10]
        if (int(local[-4:], 16), int(remote[-4:], 16)) == (local_port, remote_port):
            waiting = int(queues.partition(":")[2], 16)
            found.append(Row(int(state, 16), waiting, int(inode)))
    return found


def server_end(client: socket.socket, *, waiting: int = 0) -> Row:
    """Return the server's end of a client's connection once it has settled.

    Settled means: established, with that many bytes waiting; after a minute,
    whatever there is.
    """
    ports = client.getpeername()[1], client.getsockname()[1]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = rows(*ports)
        if found and found[0][:2] == (ESTABLISHED, waiting):
            break
    assert len(found) == 1
    return found[0]


def tcp_state(sock: socket.socket) -> int:
    """Return the kernel's number for the socket's TCP state."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def segments(sock: socket.socket) -> tuple[int, int]:
    """Return how many TCP segments the socket has sent and received (tcp_info)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
    sent, received = struct.unpack_from("=II", info, 136)
    return sent, received


def listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def bound_socket(sockets: ExitStack) -> socket.socket:
    bound = sockets.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    return bound


def client_of(server: socket.socket, sockets: ExitStack) -> socket.socket:
    address = server.getsockname()
    return sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))


@claim(
    "ready-after-bind",
    "listen(2)",
    "connect(2) ERRORS",
    "RFC 9293 section 3.10.7.1",
    often_said="After bind() the server is ready for connections.",
)
def test_a_bound_socket_takes_no_connections(sockets: ExitStack) -> None:
    """A socket that is bound does not listen yet.

    Until listen() the kernel refuses every connection to it.
    """
    server = bound_socket(sockets)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(server.getsockname(), timeout=PATIENCE)
    server.listen()
    client = client_of(server, sockets)
    assert client.getpeername() == server.getsockname()


@linux
@claim("listen-makes-passive-socket", "listen(2)", "RFC 9293 section 3.3.2")
def test_listen_makes_the_kernel_take_connections(sockets: ExitStack) -> None:
    """listen() turns a socket into a listening one.

    From then on the kernel completes handshakes for it.
    """
    server = bound_socket(sockets)
    assert (listens(server), tcp_state(server)) == (False, CLOSE)
    server.listen()
    assert (listens(server), tcp_state(server)) == (True, LISTEN)
    client = client_of(server, sockets)
    assert tcp_state(client) == ESTABLISHED


def check_waits_for_no_client(listen: Callable[[socket.socket], None]) -> None:
    """Fail unless listen() returns, with a listening socket, though nobody dials."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.3)  # waits: only a wrong listen() does
        try:
            listen(server)
        except TimeoutError as error:
            raise AssertionError("listen() waited for a client") from error
        assert listens(server)


def listen_and_wait(server: socket.socket) -> None:
    server.listen()
    server.accept()


@claim(
    "listen-waits-for-a-client",
    "listen(2)",
    "accept(2)",
    often_said="listen() waits until a client asks for a connection.",
)
def test_listen_does_not_wait() -> None:
    """listen() returns at once, with nobody there.

    The call that waits for a client is accept().
    """
    check_waits_for_no_client(socket.socket.listen)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)  # waits: that is the point
        with pytest.raises(TimeoutError):
            server.accept()


def test_the_check_of_listen_can_fail() -> None:
    with pytest.raises(AssertionError, match="waited for a client"):
        check_waits_for_no_client(listen_and_wait)


@linux
@claim(
    "listen-returns-when-request-comes",
    "listen(2)",
    "RFC 9293 section 3.9.1.1",
    often_said="When a request comes, listen() ends its wait and returns.",
)
def test_listen_has_returned_before_the_first_client(sockets: ExitStack) -> None:
    """listen() returns once, before any client comes.

    The socket then stays in the state LISTEN, whoever comes and goes, until it is
    closed.
    """
    server = bound_socket(sockets)
    server.settimeout(PATIENCE)
    server.listen()
    states = [tcp_state(server)]
    for _ in range(3):
        client = client_of(server, sockets)
        states.append(tcp_state(server))
        connection, _peer = server.accept()
        states.append(tcp_state(server))
        connection.close()
        client.close()
        states.append(tcp_state(server))
    assert states == [LISTEN] * 10


def check_established(client: socket.socket) -> None:
    """Fail unless both ends are connected and no program has the server's end."""
    assert tcp_state(client) == ESTABLISHED, "the client is not connected"
    row = server_end(client)
    assert row == Row(ESTABLISHED, waiting=0, inode=0)


@linux
@claim(
    "not-connected-during-listen",
    "listen(2) NOTES",
    "RFC 9293 section 3.5",
    often_said="While the server listens, nothing is connected yet.",
)
def test_connect_returns_though_nobody_called_accept(listener: socket.socket) -> None:
    """A client's connect() needs no accept(): it returns if nobody has called it yet.

    The kernels make the connection by themselves, and both ends are established.
    """
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client:
        check_established(client)


@linux
def test_the_check_of_the_handshake_can_fail(sockets: ExitStack) -> None:
    # One client fills the queue of listen(0); the next one gets no answer.
    full = bound_socket(sockets)
    full.listen(0)
    client_of(full, sockets)
    unanswered = sockets.enter_context(socket.socket())
    unanswered.settimeout(0)
    assert unanswered.connect_ex(full.getsockname()) == errno.EINPROGRESS
    with pytest.raises(AssertionError, match="not connected"):
        check_established(unanswered)


@linux
def test_an_accepted_connection_is_not_taken_for_a_waiting_one(
    listener: socket.socket, sockets: ExitStack
) -> None:
    client = client_of(listener, sockets)
    sockets.enter_context(listener.accept()[0])
    with pytest.raises(AssertionError, match="inode"):
        check_established(client)


def check_makes_nothing(
    take: Callable[[socket.socket], socket.socket], sockets: ExitStack
) -> None:
    """Fail unless the connection is there before take(), and take() sends nothing."""
    server = bound_socket(sockets)
    server.listen()
    server.settimeout(PATIENCE)
    client = client_of(server, sockets)
    assert server_end(client).state == ESTABLISHED
    before = segments(client)
    connection = sockets.enter_context(take(server))
    assert connection.getpeername() == client.getsockname()
    assert os.fstat(connection.fileno()).st_ino == server_end(client).inode
    assert segments(client) == before, "something went over the wire"


def accept(server: socket.socket) -> socket.socket:
    return server.accept()[0]


def accept_and_greet(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.sendall(b"!")
    return connection


@linux
@claim(
    "accept-makes-the-connection",
    "accept(2)",
    "RFC 9293 section 3.5",
    often_said="The connection is really made in accept().",
)
def test_accept_sends_nothing(sockets: ExitStack) -> None:
    """accept() makes no connection: it sends nothing.

    It takes a connection out of a queue of the kernel and gives it a descriptor.
    """
    check_makes_nothing(accept, sockets)


@linux
def test_the_check_of_accept_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match="over the wire"):
        check_makes_nothing(accept_and_greet, sockets)


@linux
@claim(
    "communication-only-after-accept",
    "RFC 9293 section 3.5",
    "accept(2)",
    often_said="Communication is possible once the server has accepted.",
)
def test_the_client_may_send_before_accept(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """A client can send as soon as connect() has returned.

    The kernel keeps the bytes until the server has called accept() and reads them.
    """
    client = client_of(listener, sockets)
    client.sendall(b"early")
    assert server_end(client, waiting=5) == Row(ESTABLISHED, waiting=5, inode=0)
    connection = sockets.enter_context(listener.accept()[0])
    connection.settimeout(PATIENCE)
    assert connection.recv(1024) == b"early"


@linux
@claim("connected-socket-created-on-connect", "listen(2) NOTES", "accept(2)")
def test_the_kernel_makes_the_socket_and_accept_the_descriptor(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """The kernel makes the server's socket for a client when the client connects.

    With accept() the program gets a descriptor for it.
    """
    port = listener.getsockname()[1]
    client = client_of(listener, sockets)
    assert server_end(client).inode == 0
    connection = sockets.enter_context(listener.accept()[0])
    row = server_end(client)
    assert row.inode == os.fstat(connection.fileno()).st_ino
    assert connection.getsockname()[1] == port
    assert len(rows(port, client.getsockname()[1])) == 1


def test_what_was_sent_before_a_close_is_still_there(
    listener: socket.socket, sockets: ExitStack
) -> None:
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client:
        client.sendall(b"late")
    connection = sockets.enter_context(listener.accept()[0])
    connection.settimeout(PATIENCE)
    assert connection.recv(1024) == b"late"
    assert connection.recv(1024) == b""


@linux
def test_a_connection_that_was_reset_is_still_accepted(
    listener: socket.socket, sockets: ExitStack
) -> None:
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client:
        no_linger = struct.pack("ii", 1, 0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
    connection = sockets.enter_context(listener.accept()[0])
    connection.settimeout(PATIENCE)
    with pytest.raises(ConnectionResetError):
        connection.recv(1024)
    with pytest.raises(OSError, match="not connected") as caught:
        connection.getpeername()
    assert caught.value.errno == errno.ENOTCONN


def test_closing_the_listener_resets_who_was_not_accepted(
    listener: socket.socket, sockets: ExitStack
) -> None:
    client = client_of(listener, sockets)
    listener.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1024)


@linux
def test_listen_without_bind_picks_a_port(sockets: ExitStack) -> None:
    server = sockets.enter_context(socket.socket())
    assert server.getsockname() == ("0.0.0.0", 0)
    server.listen()
    host, port = server.getsockname()
    assert host == "0.0.0.0"
    assert port != 0
    client = sockets.enter_context(
        socket.create_connection(("127.0.0.1", port), PATIENCE)
    )
    assert client.getpeername() == ("127.0.0.1", port)


@claim(
    "unaccepted-are-reset",
    "Linux net/ipv4/inet_connection_sock.c, inet_csk_listen_stop()",
)
def test_a_queued_client_is_reset_with_the_last_descriptor(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """A client that nobody accepted is reset when the listening socket goes away.

    That is when its last descriptor is closed, and no sooner.
    """
    other = sockets.enter_context(listener.dup())
    client = client_of(listener, sockets)
    listener.close()
    client.settimeout(0)
    with pytest.raises(BlockingIOError):
        client.recv(1)
    client.settimeout(PATIENCE)
    other.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


DYING = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def test_a_queued_client_is_reset_when_the_process_dies() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DYING],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            with socket.create_connection(
                ("127.0.0.1", port), timeout=PATIENCE
            ) as client:
                server.kill()
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
        finally:
            server.kill()


def test_what_came_before_a_reset_can_still_be_read(
    listener: socket.socket, sockets: ExitStack
) -> None:
    client = client_of(listener, sockets)
    client.sendall(b"late")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    connection = sockets.enter_context(listener.accept()[0])
    connection.settimeout(PATIENCE)
    assert connection.recv(1024) == b"late"
    with pytest.raises(ConnectionResetError):
        connection.recv(1024)
