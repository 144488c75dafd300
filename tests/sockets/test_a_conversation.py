"""The claims of "A conversation, call by call"."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: /proc, ioctls or 127.0.0.0/8"
)

LATE_READER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as end:
    end.sendall(b"ready")
    data = end.recv(1024)
    end.sendall(b"read %d" % len(data))
"""


def listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


@pytest.fixture
def stopped_peer(listener: socket.socket) -> Iterator[tuple[socket.socket, int]]:
    """A connection to a process that is stopped (SIGSTOP), and that process."""
    address = str(listener.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", LATE_READER, address]) as process:
        try:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(5) == b"ready"
                os.kill(process.pid, signal.SIGSTOP)
                os.waitpid(process.pid, os.WUNTRACED)
                yield connection, process.pid
        finally:
            process.kill()


@claim("connect-names-ip-and-port", "connect(2)", "RFC 9293 section 3.9.1.1")
def test_the_address_and_the_port_choose_the_server(listener: socket.socket) -> None:
    """connect() names the server by its IP address and its port.

    The right address with a port where nobody listens is refused.
    """
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client:
        assert client.getpeername() == listener.getsockname()
    with socket.socket() as silent, socket.socket() as client:
        silent.bind(("127.0.0.1", 0))  # holds a port on which nobody listens
        client.settimeout(PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            client.connect(silent.getsockname())


@claim(
    "connect-returns-when-answered",
    "connect(2)",
    "RFC 9293 section 3.5",
    often_said="connect() always waits until the result of the request is back.",
)
def test_connect_waits_for_the_answer_if_it_blocks(sockets: ExitStack) -> None:
    """A blocking TCP connect() returns when the other kernel has said yes or no.

    Without an answer it gives up after a time. A non-blocking one returns at once,
    and a UDP connect() asks nobody.
    """
    full = sockets.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    yes = sockets.enter_context(socket.create_connection(full.getsockname(), PATIENCE))
    assert yes.getpeername() == full.getsockname()

    closed = sockets.enter_context(socket.socket())
    closed.bind(("127.0.0.1", 0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(closed.getsockname(), timeout=PATIENCE)

    # The queue of a listen(0) is full with one client: the next one is not answered.
    unanswered = sockets.enter_context(socket.socket())
    unanswered.settimeout(0.2)
    with pytest.raises(TimeoutError):
        unanswered.connect(full.getsockname())

    at_once = sockets.enter_context(socket.socket())
    at_once.settimeout(0)
    begun = at_once.connect_ex(full.getsockname())
    assert begun in (errno.EINPROGRESS, errno.EWOULDBLOCK)

    datagrams = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    nobody = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    nobody.bind(("127.0.0.1", 0))
    address = nobody.getsockname()
    nobody.close()
    datagrams.connect(address)
    assert datagrams.getpeername() == address


def test_a_connect_that_does_not_block_gets_its_answer_later(
    listener: socket.socket,
) -> None:
    with socket.socket() as client:
        client.settimeout(0)
        client.connect_ex(listener.getsockname())
        _, writable, _ = select.select([], [client], [], PATIENCE)
        assert writable == [client]
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert client.getpeername() == listener.getsockname()


@claim("server-call-order", "listen(2) NOTES", "accept(2) ERRORS", "bind(2) ERRORS")
def test_the_servers_calls_have_an_order() -> None:
    """A server calls socket(), bind(), listen() and accept(), in this order.

    To call accept() before listen() is an error, and so is bind() after it.
    """
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0)
        assert error_of(server.accept) == errno.EINVAL
        server.listen()
        assert error_of(server.accept) in (errno.EAGAIN, errno.EWOULDBLOCK)
    with socket.socket() as server:
        server.listen()  # the kernel binds it to a port of its choice
        assert error_of(lambda: server.bind(("127.0.0.1", 0))) == errno.EINVAL


@linux
@claim("bind-binds-socket-to-port", "bind(2)", "ip(7) Address format")
def test_bind_takes_an_address_as_well_as_a_port(sockets: ExitStack) -> None:
    """bind() gives a socket a local address: an IP address and a port.

    A server bound to 127.0.0.2 is not found at 127.0.0.1, though the port is right.
    """
    for _ in range(20):  # until the port that 127.0.0.2 got is free at 127.0.0.1, too
        server = sockets.enter_context(socket.socket())
        holder = sockets.enter_context(socket.socket())
        server.bind(("127.0.0.2", 0))
        host, port = server.getsockname()
        with contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", port))  # now nobody else can listen there
            break
    server.listen()
    with socket.create_connection((host, port), timeout=PATIENCE) as client:
        assert client.getpeername() == (host, port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@claim("bind-makes-server-findable", "bind(2)", "RFC 9293 section 3.9.1.1")
def test_clients_find_the_server_where_it_is_bound(sockets: ExitStack) -> None:
    """A server binds an address so that clients can find it there.

    A client may bind one too, but as a rule lets the kernel choose.
    """
    server = sockets.enter_context(socket.socket())
    server.settimeout(PATIENCE)
    server.bind(("127.0.0.1", 0))
    published = server.getsockname()
    server.listen()

    bound = sockets.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    chosen_before = bound.getsockname()
    for client in (bound, sockets.enter_context(socket.socket())):
        client.settimeout(PATIENCE)
        client.connect(published)
        connection, peer = server.accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()
    assert bound.getsockname() == chosen_before


@claim("client-need-not-bind", "connect(2)", "ip(7)")
def test_connect_gives_the_client_a_local_address(listener: socket.socket) -> None:
    """A client need not call bind().

    Its connect() gives the socket a local address and a free port.
    """
    with socket.socket() as client:
        assert client.getsockname() == ("0.0.0.0", 0)
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())
        host, port = client.getsockname()
        assert host == "127.0.0.1"
        assert port not in (0, listener.getsockname()[1])


def check_accept_is_refused(sock: socket.socket) -> None:
    """Fail unless accept() on this socket is an error of principle."""
    sock.settimeout(0)
    refused = None
    try:
        sock.accept()[0].close()
    except OSError as error:
        refused = error.errno
    assert refused == errno.EINVAL, "accept() was not refused"


@claim(
    "client-calls-accept",
    "accept(2) ERRORS",
    "connect(2)",
    often_said="The client calls accept() to get its descriptor.",
)
def test_accept_is_an_error_for_a_client(listener: socket.socket) -> None:
    """A client calls connect(), and never accept().

    On its socket accept() is an error, before connect() and after it.
    """
    with socket.socket() as client:
        check_accept_is_refused(client)
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())
        check_accept_is_refused(client)


def test_the_check_of_accept_can_fail(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname(), timeout=PATIENCE):
        select.select([listener], [], [], PATIENCE)
        with pytest.raises(AssertionError, match="accept\\(\\) was not refused"):
            check_accept_is_refused(listener)


def check_send_waits_for_nobody(
    send: Callable[[socket.socket, bytes], int], sock: socket.socket
) -> None:
    """Fail unless send() returns although the other side neither reads nor answers."""
    sock.settimeout(0.5)  # waits: only a wrong send() does
    try:
        taken = send(sock, b"are you awake?")
    except TimeoutError as error:
        raise AssertionError("send() waited for the other side") from error
    assert taken == 14


def send_and_wait_for_an_answer(sock: socket.socket, data: bytes) -> int:
    taken = sock.send(data)
    sock.recv(1)
    return taken


@linux
@claim(
    "send-waits-for-peer-response",
    "send(2)",
    often_said="send() finishes when the answer of the other side has come back.",
)
def test_send_waits_only_for_room(stopped_peer: tuple[socket.socket, int]) -> None:
    """send() returns when the kernel has taken the bytes, and waits for no answer.

    It returns even while the other process is stopped, and waits only when the kernel
    has no more room.
    """
    sock, _ = stopped_peer
    check_send_waits_for_nobody(socket.socket.send, sock)
    sock.settimeout(0)
    room = True
    for _ in range(1000):  # 64 MB, far more than the buffers of both kernels
        try:
            sock.send(bytes(65_536))
        except BlockingIOError:
            room = False
            break
    assert not room


def test_the_check_of_send_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="waited for the other side"):
        check_send_waits_for_nobody(send_and_wait_for_an_answer, ends[0])


def outcome_of(send: Callable[[socket.socket, bytes], int], sock: socket.socket) -> str:
    """Say how sending looks to the sender."""
    sock.settimeout(0.5)
    try:
        return f"sent {send(sock, b'hello')}"
    except TimeoutError:
        return "timed out"


def check_reader_makes_no_difference(
    send: Callable[[socket.socket, bytes], int],
    dial: Callable[[], Ends],
) -> None:
    """Fail if the sender can tell a peer that reads from one that never does."""
    to_reader, reader = dial()
    to_deaf, _deaf = dial()

    def read_and_answer() -> None:
        reader.recv(1024)
        reader.sendall(b"!")

    thread = threading.Thread(target=read_and_answer, name="reader")
    thread.start()
    try:
        outcomes = outcome_of(send, to_reader), outcome_of(send, to_deaf)
    finally:
        thread.join()
    assert outcomes[0] == outcomes[1] == "sent 5", outcomes


@claim(
    "stream-confirms-arrival-at-once",
    "send(2)",
    "RFC 793 section 2.6",
    often_said="With a stream socket you see at once whether what you sent arrived.",
)
def test_send_is_the_same_whether_the_peer_reads_or_not(
    dial: Callable[[], Ends],
) -> None:
    """A send() that succeeded does not say that the other program has the bytes.

    It succeeds in the same way if that program never reads them.
    """
    check_reader_makes_no_difference(socket.socket.send, dial)


def test_the_check_of_arrival_can_fail(dial: Callable[[], Ends]) -> None:
    # An answer of the other program is what tells: with it there is a difference.
    with pytest.raises(AssertionError, match="timed out"):
        check_reader_makes_no_difference(send_and_wait_for_an_answer, dial)


@linux
def test_the_kernel_acknowledges_for_a_stopped_process(
    stopped_peer: tuple[socket.socket, int],
) -> None:
    import fcntl  # noqa: PLC0415 - there is none on Windows
    import termios  # noqa: PLC0415

    sock, process = stopped_peer
    sock.sendall(b"hello")
    deadline = time.monotonic() + PATIENCE
    unacknowledged = 5
    while unacknowledged and time.monotonic() < deadline:
        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
        unacknowledged = int.from_bytes(answer, sys.byteorder)
    assert unacknowledged == 0
    os.kill(process, signal.SIGCONT)
    assert sock.recv(1024) == b"read 5"


@claim("both-sides-create-a-socket", "accept(2)", "connect(2)")
def test_a_connection_at_work_has_three_sockets(
    listener: socket.socket, ends: Ends
) -> None:
    """Client and server each create a socket of their own.

    The server then has two: the one that listens and the one that accept() returned.
    """
    three = (listener, *ends)
    assert len({sock.fileno() for sock in three}) == 3
    assert len({os.fstat(sock.fileno()).st_ino for sock in three}) == 3


@claim("socket-lifecycle", "listen(2) NOTES", "connect(2)", "close(2)")
def test_each_step_needs_the_one_before(sockets: ExitStack) -> None:
    """The server's steps are socket, bind, listen, accept, send and receive, close.

    The client's are socket, connect, send and receive, close.
    """
    server = sockets.enter_context(socket.socket())
    client = sockets.enter_context(socket.socket())
    client.settimeout(0)
    assert error_of(lambda: client.recv(1)) == errno.ENOTCONN
    server.bind(("127.0.0.1", 0))
    assert not listens(server)
    server.listen()
    assert listens(server)
    client.settimeout(PATIENCE)
    client.connect(server.getsockname())
    server.settimeout(PATIENCE)
    connection, _ = server.accept()
    sockets.enter_context(connection)
    connection.settimeout(PATIENCE)
    client.sendall(b"ping")
    assert connection.recv(4) == b"ping"
    connection.sendall(b"pong")
    assert client.recv(4) == b"pong"
    client.close()
    assert connection.recv(1) == b""
    connection.close()
    server.close()
    for sock in (client, connection, server):
        assert error_of(sock.getsockname) == errno.EBADF


@claim("new-socket-knows-no-peer", "socket(2)", "bind(2)", "getpeername(2) ERRORS")
def test_a_new_socket_has_no_address() -> None:
    """A new socket has a family, a type and a protocol.

    It has no address of its own yet, and no peer.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as new:
        assert (new.family, new.type) == (socket.AF_INET, socket.SOCK_STREAM)
        assert new.getsockname() == ("0.0.0.0", 0)
        assert error_of(new.getpeername) == errno.ENOTCONN


@claim("both-ends-may-send", "RFC 9293 section 2.2", "socket(2) SOCK_STREAM")
def test_both_ends_send_at_once(ends: Ends) -> None:
    """Either end of a TCP connection may send at any time.

    The server may send before the client does, and both may send at once.
    """
    client, connection = ends
    connection.sendall(b"server first")
    assert client.recv(1024) == b"server first"

    size = 1_000_000
    senders = [
        threading.Thread(target=end.sendall, args=(letter * size,), name="sender")
        for end, letter in ((client, b"c"), (connection, b"s"))
    ]
    for sender in senders:
        sender.start()
    arrived = {}
    for end in (client, connection):
        received = bytearray()
        while len(received) < size:
            data = end.recv(65_536)
            assert data
            received += data
        arrived[end] = bytes(received)
    for sender in senders:
        sender.join(PATIENCE)
    assert arrived == {client: b"s" * size, connection: b"c" * size}


@claim(
    "server-client-roles-let-server-request",
    "RFC 9293 section 2.2",
    "accept(2)",
    often_said="There are server and client sockets so that the server can ask, too.",
)
def test_the_server_sends_on_the_accepted_socket(
    listener: socket.socket, ends: Ends
) -> None:
    """The roles only say who waits and who dials.

    Both ends of a connection can send; the server does it on the accepted socket, never
    on the listening one.
    """
    client, connection = ends
    connection.sendall(b"unasked")
    assert client.recv(1024) == b"unasked"
    listener.settimeout(0)
    not_connected = (errno.EPIPE, errno.ENOTCONN)
    assert error_of(lambda: listener.send(b"x")) in not_connected
    assert error_of(lambda: listener.recv(1)) in not_connected


@claim(
    "socket-kinds-are-server-and-client",
    "listen(2)",
    "connect(2)",
    "RFC 9293 section 3.9.1.1",
    often_said="There are two kinds of socket: server sockets and client sockets.",
)
def test_sockets_begin_alike() -> None:
    """All TCP sockets begin alike: server and client are roles.

    A call of listen() makes a socket a listening one; connect() makes it one end of a
    connection.
    """
    with socket.socket() as one, socket.socket() as other:
        for sock in (one, other):
            assert (sock.family, sock.type, sock.proto) == (one.family, one.type, 0)
            assert not listens(sock)
            sock.settimeout(PATIENCE)
        one.bind(("127.0.0.1", 0))
        one.listen()
        other.connect(one.getsockname())
        assert listens(one)
        assert not listens(other)
        accepted, _ = one.accept()
        with accepted:
            assert not listens(accepted)
            assert accepted.getpeername() == other.getsockname()
            assert other.getpeername() == accepted.getsockname()


@claim(
    "connected-socket-blocks-until-request",
    "recv(2)",
    "socket(7)",
    often_said="The connected socket is blocked until the client sends a request.",
)
def test_a_thread_waits_and_not_the_socket(ends: Ends) -> None:
    """It is not the socket that is blocked, but a thread that calls recv() on it.

    Meanwhile another thread can send on the same socket.
    """
    client, connection = ends
    about_to_read = threading.Event()
    received = []

    def read() -> None:
        about_to_read.set()
        received.append(connection.recv(1024))

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    assert about_to_read.wait(PATIENCE)
    connection.sendall(b"sent while the other thread waits")
    assert client.recv(1024) == b"sent while the other thread waits"
    assert reader.is_alive()
    assert not received
    client.sendall(b"request")
    reader.join(PATIENCE)
    assert received == [b"request"]
    connection.settimeout(0)
    assert error_of(lambda: connection.recv(1024)) == errno.EAGAIN


@claim(
    "server-has-an-extra-wait-step",
    "listen(2)",
    "accept(2)",
    "RFC 9293 section 3.9.1.1",
)
def test_the_server_has_one_socket_more_for_each_client(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """The server has an extra step: it waits for clients.

    Each accept() gives it one more socket; once connected, both ends are alike.
    """
    listener.settimeout(0)
    assert error_of(listener.accept) == errno.EAGAIN
    listener.settimeout(PATIENCE)
    pairs = [dial() for _ in range(3)]
    accepted = {connection.fileno() for _, connection in pairs}
    assert len(accepted | {listener.fileno()}) == 4
    assert listens(listener)
    for client, connection in pairs:
        assert not listens(client)
        assert not listens(connection)
        for one, other in ((client, connection), (connection, client)):
            assert one.getpeername() == other.getsockname()
            one.sendall(b"hello")
            assert other.recv(1024) == b"hello"


@claim(
    "socket-is-end-of-two-way-link",
    "accept(2)",
    "udp(7)",
    "getpeername(2) ERRORS",
    often_said="A socket is one end of a two-way link between two programs.",
)
def test_only_a_connected_socket_has_another_end(
    listener: socket.socket, ends: Ends
) -> None:
    """Only a connected socket is one end of a two-way link.

    A new socket, a listening one and an unconnected UDP socket have no peer.
    """
    with socket.socket() as new, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        for sock in (new, listener, datagrams):
            assert error_of(sock.getpeername) == errno.ENOTCONN
    client, connection = ends
    client.sendall(b"there")
    assert connection.recv(1024) == b"there"
    connection.sendall(b"and back")
    assert client.recv(1024) == b"and back"
