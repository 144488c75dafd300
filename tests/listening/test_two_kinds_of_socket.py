"""The claims of "Two kinds of socket: the listener and the connections"."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from handbook.claims import claim
from patience import PATIENCE
from processes import receive

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on what Linux does with SO_REUSEADDR"
)


def listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


def readable(*sockets: socket.socket) -> list[socket.socket]:
    """Wait up to 5 seconds until some of the sockets can be read; return those."""
    return select.select(sockets, [], [], PATIENCE)[0]


@claim("accept-creates-a-new-socket", "accept(2)")
def test_accept_returns_a_socket_of_its_own(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """accept() returns a new socket, for one client.

    The listening socket is unaffected, and goes on listening.
    """
    inode = os.fstat(listener.fileno()).st_ino
    _, first = dial()
    _, second = dial()
    three = (listener, first, second)
    assert len({sock.fileno() for sock in three}) == 3
    assert len({os.fstat(sock.fileno()).st_ino for sock in three}) == 3
    assert [listens(sock) for sock in three] == [True, False, False]
    assert os.fstat(listener.fileno()).st_ino == inode


@claim("connection-is-new-socket-to-client", "accept(2)", "recv(2) ERRORS")
def test_the_bytes_come_to_the_accepted_socket(
    listener: socket.socket, ends: Ends
) -> None:
    """The connection is between the client's socket and the accepted one.

    The listening socket carries no bytes.
    """
    client, connection = ends
    assert connection.getpeername() == client.getsockname()
    assert client.getpeername() == connection.getsockname()
    client.sendall(b"for whom?")
    assert readable(listener, connection) == [connection]
    assert connection.recv(1024) == b"for whom?"
    listener.settimeout(0)
    assert error_of(lambda: listener.recv(1024)) == errno.ENOTCONN
    assert error_of(listener.getpeername) == errno.ENOTCONN


@claim("listener-only-takes-requests", "listen(2)", "accept(2)")
def test_one_listen_is_enough_for_many_clients(sockets: ExitStack) -> None:
    """A listening socket is there to take connections.

    After one listen() each accept() hands out one of them, for as many clients as come.
    """
    listener = sockets.enter_context(socket.socket())
    listener.settimeout(PATIENCE)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    clients = set()
    for _ in range(3):
        address = listener.getsockname()
        client = sockets.enter_context(socket.create_connection(address, PATIENCE))
        clients.add(client.getsockname())
    peers = set()
    for _ in range(3):
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        peers.add(peer)
    assert peers == clients
    listener.settimeout(0)
    assert error_of(listener.accept) in (errno.EAGAIN, errno.EWOULDBLOCK)


@claim(
    "listener-listens-again-after-accept",
    "accept(2)",
    "RFC 9293 section 3.3.2",
    often_said="After accept() the server socket goes back to listening or is closed.",
)
def test_a_listening_socket_never_stops_listening(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """A listening socket listens until it is closed.

    A call of accept() changes nothing in that, and closing the listening socket leaves
    the accepted connections alive.
    """
    pairs = []
    for _ in range(3):
        assert listens(listener)
        pairs.append(dial())
    address = listener.getsockname()
    listener.close()
    for client, connection in pairs:
        client.sendall(b"still there?")
        assert connection.recv(1024) == b"still there?"
        connection.sendall(b"yes")
        assert client.recv(1024) == b"yes"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=PATIENCE)


@claim("many-connected-sockets-per-port", "RFC 9293 section 3.4.1", "accept(2)")
def test_all_accepted_sockets_have_the_listeners_port(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """All connections that a server accepts have the port of its listening socket.

    A call of accept() makes a new socket, but no new port.
    """
    accepted = [dial()[1] for _ in range(20)]
    ports = {sock.getsockname()[1] for sock in accepted}
    assert ports == {listener.getsockname()[1]}
    assert len({sock.fileno() for sock in accepted}) == 20


@linux
@claim(
    "connection-identified-by-4-tuple",
    "RFC 9293 section 3.4.1",
    "ip(7) IP_BIND_ADDRESS_NO_PORT",
)
def test_no_two_connections_share_all_four_numbers(sockets: ExitStack) -> None:
    """A connection is identified by two IP addresses and two ports.

    A second one may share three of these numbers, but not all four at the same time.
    """
    here, there = (
        sockets.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)
    )

    def client_at(local: tuple[str, int]) -> socket.socket:
        client = sockets.enter_context(socket.socket())
        client.settimeout(PATIENCE)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(local)
        return client

    first = client_at(("127.0.0.1", 0))
    local = first.getsockname()
    to_another_port, the_same_four = client_at(local), client_at(local)
    first.connect(here.getsockname())
    to_another_port.connect(there.getsockname())
    assert to_another_port.getsockname() == first.getsockname()
    assert (
        error_of(lambda: the_same_four.connect(here.getsockname()))
        == errno.EADDRNOTAVAIL
    )


@claim("one-process-many-sockets-one-port", "accept(2)", "socket(7) SO_REUSEPORT")
def test_one_process_holds_many_sockets_of_one_port(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """One process can have many sockets with the same local port.

    A server has the listening one and every connection that it accepted.
    """
    held = [listener, *(dial()[1] for _ in range(10))]
    assert len({os.fstat(sock.fileno()).st_ino for sock in held}) == 11
    assert len({sock.getsockname() for sock in held}) == 1


@claim("one-port-many-peers", "RFC 9293 section 3.4.1", "udp(7)")
def test_one_port_serves_many_peers(
    sockets: ExitStack, dial: Callable[[], Ends]
) -> None:
    """One port can serve many peers at a time.

    TCP takes a socket for each of them, UDP can do with one socket for all.
    """
    pairs = [dial() for _ in range(5)]
    for number, (client, _) in enumerate(pairs):
        client.sendall(b"%d" % number)
    for number, (_, connection) in enumerate(pairs):
        assert connection.recv(1024) == b"%d" % number
    assert len({connection.getsockname() for _, connection in pairs}) == 1

    server = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    server.settimeout(PATIENCE)
    server.bind(("127.0.0.1", 0))
    peers = []
    for _ in range(3):
        peer = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        peer.settimeout(PATIENCE)
        peer.sendto(b"hello", server.getsockname())
        peers.append(peer)
    for _ in peers:
        data, address = server.recvfrom(1024)
        server.sendto(data + b" %d" % address[1], address)
    for peer in peers:
        assert peer.recv(1024) == b"hello %d" % peer.getsockname()[1]


def check_identifies(
    name: Callable[[socket.socket], object], sockets: list[socket.socket]
) -> None:
    """Fail if two of the sockets have the same name."""
    names = {name(sock) for sock in sockets}
    assert len(names) == len(sockets), f"{len(sockets)} sockets, {len(names)} names"


def ip_and_port(sock: socket.socket) -> object:
    return sock.getsockname()


def both_addresses(sock: socket.socket) -> object:
    return sock.getsockname(), sock.getpeername()


@claim(
    "ip-plus-port-identifies-a-socket",
    "RFC 9293 section 3.4.1",
    "accept(2)",
    often_said="An IP address and a port identify a socket.",
)
def test_both_addresses_identify_a_connection(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """An IP address and a port do not identify a socket.

    All sockets that a server got from accept() have the same ones; a connection is
    identified by the addresses of both its ends.
    """
    accepted = [dial()[1] for _ in range(10)]
    assert {sock.getsockname() for sock in accepted} == {listener.getsockname()}
    check_identifies(both_addresses, accepted)


def test_the_check_of_identity_can_fail(dial: Callable[[], Ends]) -> None:
    accepted = [dial()[1] for _ in range(10)]
    with pytest.raises(AssertionError, match="10 sockets, 1 names"):
        check_identifies(ip_and_port, accepted)


@claim(
    "all-sockets-on-10000-cannot-be-routed",
    "RFC 9293 section 3.4.1",
    "accept(2)",
    often_said="If all sockets had port 10000, no one could tell whose data it is.",
)
def test_each_connection_gets_its_own_bytes(dial: Callable[[], Ends]) -> None:
    """A server's connections have one port, and each gets only its own client's bytes.

    The kernel looks at the client's address and port, too.
    """
    pairs = [dial() for _ in range(20)]
    for client, _ in reversed(pairs):
        client.sendall(b"from port %d" % client.getsockname()[1])
    for client, connection in pairs:
        port = connection.getpeername()[1]
        assert connection.recv(1024) == b"from port %d" % port
        connection.sendall(b"to port %d" % port)
        assert client.recv(1024) == b"to port %d" % client.getsockname()[1]


@claim(
    "port-opens-sockets",
    "socket(2)",
    "accept(2)",
    often_said="A port opens several sockets.",
)
def test_a_port_is_a_number_and_opens_nothing(
    sockets: ExitStack, listener: socket.socket, ends: Ends
) -> None:
    """A port opens nothing: it is a number in the address of a socket.

    Programs create sockets; one can exist without a port, and one can outlive the
    socket that listened there.
    """
    without_port = sockets.enter_context(socket.socket())
    assert without_port.getsockname()[1] == 0

    port = listener.getsockname()[1]
    listener.close()
    client, connection = ends
    assert connection.getsockname()[1] == port
    client.sendall(b"hello")
    assert connection.recv(1024) == b"hello"
    # The number is in use by a connection, and yet nothing takes connections there.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@claim(
    "chat-works-because-of-many-sockets",
    "RFC 9293 section 3.4.1",
    "RFC 6455 section 1.5",
    often_said=(
        "A chat program talks with many people because its one port opens a socket "
        "for each friend."
    ),
)
def test_a_chat_client_needs_one_connection(dial: Callable[[], Ends]) -> None:
    """A chat's server has a socket for each member. A member needs one.

    Whom a message is for stands in the message, and the server passes it on.
    """
    members = {name: dial() for name in ("ann", "bob", "cy")}
    ann = members["ann"][0]
    for name in ("bob", "cy"):
        ann.sendall(f"{name}: hello {name}\n".encode())
    with members["ann"][1].makefile() as lines:  # the server's end of Ann's socket
        for _ in range(2):
            name, _, text = lines.readline().partition(": ")
            members[name][1].sendall(text.encode())
    for name in ("bob", "cy"):
        told = f"hello {name}\n".encode()
        assert receive(members[name][0], len(told)) == told
    ports = {connection.getsockname()[1] for _, connection in members.values()}
    assert len(ports) == 1
    assert len({connection.fileno() for _, connection in members.values()}) == 3
