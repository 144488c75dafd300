"""The claims of "Does a socket from accept() inherit the listener's options?"."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import selectors
import socket
import socketserver
import struct
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

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="says what Linux copies, and how it counts"
)

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
KEEPALIVE = (socket.SOL_SOCKET, socket.SO_KEEPALIVE)
LINGER = struct.pack("ii", 1, 5)


@contextlib.contextmanager
def descriptors_left(number: int) -> Iterator[None]:
    """Let this process open only so many descriptors more, for a while."""
    import resource  # noqa: PLC0415 - there is none on Windows

    free = os.dup(0)  # the lowest free number: all below are in use
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + number, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def dialled(listener: socket.socket, sockets: ExitStack) -> socket.socket:
    """Return a client that waits in the queue of `listener`."""
    address = listener.getsockname()
    client = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    assert select.select([listener], [], [], PATIENCE)[0]
    return client


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


@claim(
    "server-socket-hands-over-client-info",
    "accept(2)",
    "tcp(7)",
    often_said="The listening socket only hands the client's address to the new one.",
)
def test_an_accepted_socket_has_options_of_the_listener(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """The kernel makes the new socket: it has both addresses, and copies of options.

    Keep-alive, TCP_NODELAY, SO_LINGER and the sizes of the buffers are copied from the
    listening socket on Linux.
    """
    listener.setsockopt(*NODELAY, 1)
    listener.setsockopt(*KEEPALIVE, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4321)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    client = dialled(listener, sockets)
    connection = sockets.enter_context(listener.accept()[0])
    assert connection.getsockname() == listener.getsockname()
    assert connection.getpeername() == client.getsockname()
    for option in (
        NODELAY,
        KEEPALIVE,
        (socket.SOL_SOCKET, socket.SO_RCVBUF),
        (socket.SOL_SOCKET, socket.SO_SNDBUF),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    ):
        assert connection.getsockopt(*option) == listener.getsockopt(*option)
        assert connection.getsockopt(*option) != client.getsockopt(*option)
    linger = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(LINGER))
    assert linger == LINGER


@claim("not-all-options-are-inherited", "Linux net/core/sock.c, sk_clone_lock()")
def test_an_accepted_socket_lacks_some_options(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """Not every option is copied: SO_PRIORITY, for one, is not."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 5)
    dialled(listener, sockets)
    connection = sockets.enter_context(listener.accept()[0])
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY) == 0


@claim(
    "options-are-copied-at-the-handshake",
    "Linux net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock()",
)
def test_options_are_copied_before_accept(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """Linux copies the options while it makes the connection, not in accept().

    What you set on the listening socket later misses the clients that already wait.
    """
    dialled(listener, sockets)
    listener.setsockopt(*NODELAY, 1)
    dialled(listener, sockets)
    early = sockets.enter_context(listener.accept()[0])
    late = sockets.enter_context(listener.accept()[0])
    assert early.getsockopt(*NODELAY) == 0
    assert late.getsockopt(*NODELAY) != 0


@claim(
    "socket-controls-transport-protocol",
    "tcp(7) Socket options",
    "socket(7)",
    often_said="A socket is the code that controls the transport protocol.",
)
def test_the_kernel_runs_tcp_and_options_set_it(ends: Ends) -> None:
    """The code of TCP is in the kernel; a socket option only sets what it shall do.

    The setting is kept there: another descriptor for the same socket reads it, too.
    """
    client, _ = ends
    assert client.getsockopt(*NODELAY) == 0
    with client.dup() as another:
        another.setsockopt(*NODELAY, 1)
        assert another.fileno() != client.fileno()
    assert client.getsockopt(*NODELAY) != 0


def check_no_time_out(accept: Callable[[], socket.socket]) -> None:
    """Fail if the socket that accept() returns has a time-out."""
    with accept() as connection:
        assert connection.gettimeout() is None, "it has a time-out"
        assert os.get_blocking(connection.fileno())


@claim(
    "the-time-out-is-not-inherited",
    "Python docs: Notes on socket timeouts",
    "accept(2) STANDARDS",
    often_said="A time-out on the listening socket also bounds recv() on connections.",
)
@pytest.mark.parametrize("seconds", [5.0, 0.0])
def test_an_accepted_socket_waits_without_end(
    seconds: float, listener: socket.socket, sockets: ExitStack
) -> None:
    """A socket from accept() does not have the settimeout() of the listening socket.

    On Linux it blocks even if the listening socket is non-blocking. Only
    setdefaulttimeout() gives it a time-out by itself. (SO_RCVTIMEO, which is the
    kernel's, is copied.)
    """
    listener.settimeout(seconds)
    dialled(listener, sockets)
    check_no_time_out(lambda: listener.accept()[0])


def test_the_check_of_the_time_out_can_fail(
    listener: socket.socket, sockets: ExitStack
) -> None:
    dialled(listener, sockets)
    socket.setdefaulttimeout(4)
    try:
        with pytest.raises(AssertionError, match="it has a time-out"):
            check_no_time_out(lambda: listener.accept()[0])
    finally:
        socket.setdefaulttimeout(None)


@claim("accepted-is-not-inheritable", "PEP 446", "Python docs: socket.accept")
def test_an_accepted_descriptor_goes_to_no_other_program(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """The descriptor from accept() is not inherited by programs that you start.

    It is so even where the listening socket is inheritable.
    """
    listener.set_inheritable(True)
    dialled(listener, sockets)
    connection = sockets.enter_context(listener.accept()[0])
    assert not connection.get_inheritable()


@claim("server-must-manage-accepted-sockets", "accept(2) ERRORS", "close(2)")
def test_accepted_sockets_use_up_the_descriptors(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """Each socket from accept() takes a descriptor until the server closes it.

    A server that does not close them ends at EMFILE; one close() makes room for one.
    """
    for _ in range(5):
        dialled(listener, sockets)
    with descriptors_left(3):
        held = [sockets.enter_context(listener.accept()[0]) for _ in range(3)]
        assert error_of(listener.accept) == errno.EMFILE
        held[0].close()
        sockets.enter_context(listener.accept()[0])
        assert error_of(listener.accept) == errno.EMFILE


def check_client_keeps_waiting(
    turn_down: Callable[[], None], client: socket.socket
) -> None:
    """Fail if a client can tell that the server did not accept it."""
    turn_down()
    client.settimeout(0)
    try:
        seen = repr(client.recv(1))
    except BlockingIOError:
        seen = "nothing"
    assert seen == "nothing", seen


@claim(
    "emfile-leaves-the-client-in-the-queue",
    "accept(2) ERRORS",
    "POSIX accept()",
    often_said="A client that accept() fails to take with EMFILE is refused.",
)
def test_emfile_leaves_the_client_waiting(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """On Linux, EMFILE takes nobody out of the queue, and the client sees no error.

    The listening socket stays readable, so a loop that tries again at once spins.
    """
    client = dialled(listener, sockets)
    with descriptors_left(0):
        for _ in range(3):
            assert select.select([listener], [], [], PATIENCE)[0] == [listener]
            check_client_keeps_waiting(lambda: _raises_emfile(listener.accept), client)
    client.settimeout(PATIENCE)
    client.sendall(b"still there")
    with listener.accept()[0] as connection:
        connection.settimeout(PATIENCE)
        assert connection.recv(1024) == b"still there"


def _raises_emfile(call: Callable[[], object]) -> None:
    assert error_of(call) == errno.EMFILE


def test_the_check_of_the_waiting_client_can_fail(
    listener: socket.socket, sockets: ExitStack
) -> None:
    client = dialled(listener, sockets)

    def drop() -> None:
        listener.accept()[0].close()
        select.select([client], [], [], PATIENCE)

    with pytest.raises(AssertionError, match="b''"):
        check_client_keeps_waiting(drop, client)


class EnoughError(Exception):
    """Ends a server that would go on."""


@claim(
    "socketserver-spins-on-emfile",
    "CPython Lib/socketserver.py, _handle_request_noblock()",
)
def test_socketserver_spins(
    sockets: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    """Python's socketserver, and http.server with it, says nothing of EMFILE.

    It calls accept() again at once, and so on.
    """
    tries = 0
    deadline = time.monotonic() + PATIENCE

    class Counting(socketserver.TCPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            nonlocal tries
            tries += 1
            if tries > 500:
                raise EnoughError
            return super().get_request()

        def service_actions(self) -> None:
            if time.monotonic() > deadline:
                raise EnoughError

    with Counting(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        dialled(server.socket, sockets)
        with descriptors_left(0), pytest.raises(EnoughError):
            server.serve_forever()
        assert tries > 500
        assert capsys.readouterr() == ("", "")
        server.socket.settimeout(PATIENCE)
        server.socket.accept()[0].close()


@claim("select-is-bound-to-1024", "select(2) NOTES")
def test_select_takes_no_large_descriptor(sockets: ExitStack) -> None:
    """select() takes no descriptor from 1024 on, whatever the limit is.

    Python raises ValueError; poll(), and selectors by default, take it.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows
    import resource  # noqa: PLC0415

    one, other = (sockets.enter_context(end) for end in socket.socketpair())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2048), hard))
    try:
        high = fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 1024)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        other.sendall(b"x")
        with pytest.raises(ValueError, match="filedescriptor out of range in select"):
            select.select([high], [], [], PATIENCE)
        with selectors.DefaultSelector() as selector:
            selector.register(high, selectors.EVENT_READ)
            assert len(selector.select(PATIENCE)) == 1
    finally:
        os.close(high)


@claim("peer-address-is-no-proof", "accept(2)", "bind(2)", "RFC 7239 section 1")
def test_the_peer_address_is_the_last_hops(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """The peer address says from where the bytes come, not who sends them.

    A client may choose among the addresses of its host, and behind a proxy all clients
    have the proxy's.
    """
    for chosen in ("127.0.0.66", "127.0.0.77"):
        client = socket.create_connection(listener.getsockname(), PATIENCE, (chosen, 0))
        sockets.enter_context(client)
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        assert peer[0] == chosen

    proxy = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = socket.create_connection(proxy.getsockname(), PATIENCE, ("127.0.0.66", 0))
    sockets.enter_context(client)
    proxy.settimeout(PATIENCE)
    sockets.enter_context(proxy.accept()[0])
    onward = sockets.enter_context(
        socket.create_connection(listener.getsockname(), timeout=PATIENCE)
    )
    connection, peer = listener.accept()
    sockets.enter_context(connection)
    assert peer == onward.getsockname()
    assert peer[0] != client.getsockname()[0]


@claim("peer-address-shape", "Python docs: Socket families")
def test_the_address_of_an_ipv6_peer_has_four_parts(sockets: ExitStack) -> None:
    """The peer's address has two parts over IPv4, and four over IPv6.

    So `host, port = peer` fails on a listening socket of IPv6.
    """
    listener = sockets.enter_context(socket.socket(socket.AF_INET6))
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.bind(("::ffff:127.0.0.1", 0))  # there need be no ::1 for this
    listener.listen()
    listener.settimeout(PATIENCE)
    address = ("127.0.0.1", listener.getsockname()[1])
    client = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    connection, peer = listener.accept()
    sockets.enter_context(connection)
    assert peer == ("::ffff:127.0.0.1", client.getsockname()[1], 0, 0)
    with pytest.raises(ValueError, match="too many values to unpack"):
        _host, _port = peer


def serve_in_one_thread(connections: list[socket.socket]) -> set[str]:
    """Answer each connection once; return the names of the threads that read."""
    readers = set()
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            events = selector.select(PATIENCE)
            assert events, "no more questions came"
            for key, _ in events:
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.sendall(key.fileobj.recv(1024).upper())
                readers.add(threading.current_thread().name)
                selector.unregister(key.fileobj)
    return readers


def serve_in_many_threads(connections: list[socket.socket]) -> set[str]:
    """Answer each connection once, in a thread of its own."""
    readers = set()

    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.recv(1024).upper())
        readers.add(threading.current_thread().name)

    threads = [
        threading.Thread(target=serve, args=(connection,), name=f"reader {number}")
        for number, connection in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return readers


def check_one_thread_serves_all(
    serve: Callable[[list[socket.socket]], set[str]],
    dial: Callable[[], Ends],
    number: int,
) -> None:
    """Fail unless one thread read from all of so many clients."""
    pairs = [dial() for _ in range(number)]
    for index, (client, _) in enumerate(pairs):
        client.sendall(b"client %d" % index)
    readers = serve([connection for _, connection in pairs])
    for index, (client, _) in enumerate(pairs):
        assert client.recv(1024) == b"CLIENT %d" % index
    assert len(readers) == 1, f"{len(readers)} threads read"


@claim(
    "recv-needs-its-own-thread",
    "epoll(7)",
    "Python docs: selectors",
    often_said="Each accepted socket needs a thread of its own that waits in recv().",
)
def test_one_thread_serves_a_hundred_clients(dial: Callable[[], Ends]) -> None:
    """Receiving needs no thread of its own: one thread can serve a hundred clients.

    It asks the kernel which of the sockets have something to read.
    """
    check_one_thread_serves_all(serve_in_one_thread, dial, 100)


def test_the_check_of_one_thread_can_fail(dial: Callable[[], Ends]) -> None:
    with pytest.raises(AssertionError, match="5 threads read"):
        check_one_thread_serves_all(serve_in_many_threads, dial, 5)
