"""The claims of the chapter on the WebSocket handshake."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rfc6455 import (
    GUID,
    ClientConnection,
    Closed,
    HandshakeError,
    Opened,
    Request,
    ServerConnection,
    State,
    accept_value,
)
from websockets.sync.client import connect
from ws_client import ClosedError, WebSocket

import processes
from handbook.claims import cited, claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    Ends = tuple[socket.socket, socket.socket]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()


def head(sock: socket.socket) -> bytes:
    """Receive the head of an HTTP message and nothing behind it."""
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data


def upgraded(ends: Ends) -> ServerConnection:
    """Do the handshake over a connection; return the server's end."""
    client, sock = ends
    server = ServerConnection()
    client.sendall(REQUEST)
    server.feed(sock.recv(4096))
    assert isinstance(next(server.events()), Request)
    server.accept()
    sock.sendall(server.data_to_send())
    return server


@claim("accept-is-sha1-of-key-and-guid", "RFC 6455 section 1.3 and 4.2.2")
def test_the_accept_value_of_the_rfc() -> None:
    """Sec-WebSocket-Accept is base64(SHA-1(key + a fixed GUID)), nothing secret."""
    digest = hashlib.sha1(KEY.encode() + GUID, usedforsecurity=False).digest()
    assert base64.b64encode(digest) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@claim(
    "ws-starts-with-http",
    "RFC 6455 sections 1.3, 4.1 and 4.2.2",
    "RFC 9110 section 7.8",
)
def test_a_websocket_begins_as_an_http_request(ends: Ends) -> None:
    """A WebSocket begins as an HTTP/1.1 GET that asks for an upgrade.

    The answer 101 opens it, on the same connection.
    """
    client, sock = ends
    server = upgraded(ends)
    answer = head(client)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer
    server.send("Hello")
    sock.sendall(server.data_to_send())
    assert client.recv(100) == b"\x81\x05Hello"


@claim("key-is-new-each-time", "RFC 6455 section 4.1")
def test_each_connection_has_a_new_key() -> None:
    """A client's key is 16 random bytes in Base64, new for each connection."""
    keys = set()
    for _ in range(50):
        request = ClientConnection("127.0.0.1").data_to_send().decode()
        key = re.search(r"\r\nSec-WebSocket-Key: (\S+)\r\n", request)
        assert key is not None
        assert len(base64.b64decode(key[1], validate=True)) == 16
        keys.add(key[1])
    assert len(keys) == 50


def server_that_answers(
    listener: socket.socket, answer: Callable[[bytes], bytes]
) -> threading.Thread:
    """Answer one client in a thread."""

    def run() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            sock.sendall(answer(head(sock)))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def refused(listener: socket.socket, answer: Callable[[bytes], bytes]) -> str:
    """Say why a client does not open a WebSocket; fail if it does."""
    thread = server_that_answers(listener, answer)
    try:
        with pytest.raises(ClosedError) as told:
            WebSocket(f"ws://127.0.0.1:{listener.getsockname()[1]}/", timeout=PATIENCE)
    finally:
        thread.join(PATIENCE)
    assert told.value.event.code == 1006
    return told.value.event.error


def old_answer(_: bytes) -> bytes:
    """Play an answer that was right for another key."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )


@claim("accept-proves-understanding", "RFC 6455 sections 1.3 and 4.1")
def test_an_echo_or_an_old_answer_opens_nothing(listener: socket.socket) -> None:
    """The accept value shows that the request was read as a WebSocket handshake.

    An echo, a web server or an answer from a cache cannot give it.
    """
    assert "the server says GET" in refused(listener, lambda request: request)
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    assert "200 OK" in refused(listener, lambda _: page)
    assert "not for this key" in refused(listener, old_answer)
    # The same answer opens a client that has that key: the test can fail.
    client = ClientConnection("127.0.0.1")
    client._key = KEY
    client.feed(old_answer(b""))
    assert list(client.events()) == [Opened()]


@claim("accept-is-no-authentication", "RFC 6455 sections 1.3 and 10.5")
def test_anybody_can_compute_the_accept_value(listener: socket.socket) -> None:
    """The accept value authenticates nobody.

    Any server computes it from the request alone, without a secret.
    """

    def stranger(request: bytes) -> bytes:
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
        assert key is not None
        mine = accept_value(key[1].decode()).encode()
        return old_answer(b"").replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", mine)

    thread = server_that_answers(listener, stranger)
    with WebSocket(
        f"ws://127.0.0.1:{listener.getsockname()[1]}/", timeout=PATIENCE
    ) as client:
        assert client.subprotocol is None
    thread.join(PATIENCE)


@claim("client-checks-the-answer", "RFC 6455 section 4.1")
def test_a_client_believes_nothing_else() -> None:
    """A client believes only the right answer.

    The status is 101; Upgrade, Connection and Sec-WebSocket-Accept are right; no
    subprotocol and no extension was chosen that it did not offer.
    """
    right = old_answer(b"")

    def first(answer: bytes) -> object:
        client = ClientConnection("127.0.0.1", subprotocols=["a"])
        client._key = KEY
        client.feed(answer)
        return next(client.events())

    assert first(right) == Opened()
    for old, new in (
        (b"101", b"200"),
        (b"Upgrade: websocket", b"Upgrade: h2c"),
        (b"Connection: Upgrade", b"Connection: close"),
        (b"s3pP", b"S3pP"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: b\r\n\r\n"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    ):
        assert isinstance(first(right.replace(old, new)), Closed)


@claim("version-is-13", "RFC 6455 sections 4.2.2 and 4.4")
def test_another_version_is_told_the_right_one() -> None:
    """A server that is asked for another version refuses, and names the right one.

    It answers with an error such as 426 and Sec-WebSocket-Version: 13.
    """
    for version in (b"0", b"8", b"12", b"14"):
        server = ServerConnection()
        server.feed(REQUEST.replace(b"Version: 13", b"Version: " + version))
        next(server.events())
        with pytest.raises(HandshakeError) as error:
            server.accept()
        server.respond(error.value.status)
        answer = server.data_to_send()
        assert answer.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in answer


@claim("subprotocol-is-from-the-offer", "RFC 6455 sections 1.9, 4.1 and 4.2.2")
def test_a_subprotocol_is_one_of_those_offered_or_none() -> None:
    """The server takes one of the subprotocols that the client offers, or none.

    A client closes when it gets another.
    """
    for spoken, chosen in (("b", "b"), ("a", "a"), (None, None)):
        client = ClientConnection("127.0.0.1", subprotocols=["a", "b"])
        server = ServerConnection()
        server.feed(client.data_to_send())
        request = next(server.events())
        assert isinstance(request, Request)
        assert request.subprotocols == ["a", "b"]
        with pytest.raises(ValueError, match="does not offer"):
            server.accept("c")
        server.accept(spoken)
        answer = server.data_to_send()
        client.feed(answer)
        assert list(client.events()) == [Opened(chosen)]
        other = ClientConnection("127.0.0.1", subprotocols=["x"])
        other._key = client._key
        other.feed(answer)
        assert isinstance(next(other.events()), Closed) is (spoken is not None)


@claim(
    "ws-becomes-plain-socket",
    "RFC 6455 sections 1.5, 5.1 and 5.2",
    often_said="Once set up, a WebSocket turns into a plain, lasting connection.",
)
def test_after_the_101_raw_text_is_a_violation(ends: Ends) -> None:
    """After the 101 the TCP connection is the same, but it carries only frames.

    Those of the client are masked; raw text is closed with 1002.
    """
    client, sock = ends
    server = upgraded(ends)
    head(client)
    client.sendall(b"Hello, plain socket\n")
    server.feed(sock.recv(4096))
    (closed,) = server.events()
    assert isinstance(closed, Closed)
    assert closed.sent == 1002
    sock.sendall(server.data_to_send())
    assert client.recv(4)[2:] == (1002).to_bytes(2, "big")


@claim(
    "ws-works-at-http-layer",
    "RFC 6455 section 1.7",
    often_said="Sockets work at layer 4, WebSocket at the layer of HTTP, on top of it.",
)
def test_after_the_101_nothing_is_http(ends: Ends) -> None:
    """WebSocket is a protocol beside HTTP, directly over TCP.

    Only its handshake is HTTP; a request after it is a violation.
    """
    client, sock = ends
    server = upgraded(ends)
    assert head(client).startswith(b"HTTP/1.1")
    server.send("a")
    server.send(b"b")
    server.ping()
    sent = server.data_to_send()
    assert b"HTTP" not in sent
    assert sent[0] == 0x81
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    server.feed(sock.recv(4096))
    assert isinstance(next(server.events()), Closed)
    assert server.state is State.CLOSED


@claim(
    "ws-is-an-abstracted-tcp-socket",
    "RFC 6455 section 1.5",
    often_said="A WebSocket is a TCP socket in an abstract form.",
)
def test_a_websocket_and_a_raw_tcp_program_do_not_talk(listener: socket.socket) -> None:
    """WebSocket is a protocol over TCP, with a handshake and frames of its own.

    It cannot talk with a program that speaks raw TCP, in neither direction.
    """
    assert "the server says GET" in refused(listener, lambda request: request)
    server = ServerConnection()
    server.feed(b"hello\r\n\r\n")
    list(server.events())
    assert server.data_to_send().startswith(b"HTTP/1.1 400 ")


@claim("both-use-ip-and-port", "RFC 6455 section 3", "ip(7)")
def test_a_websocket_has_two_addresses() -> None:
    """A WebSocket reaches its peer by address and port, as any TCP connection does.

    A program names it by a URL.
    """
    with processes.running("websockets/ws_server.py") as server:
        url = f"ws://127.0.0.1:{server.port}/path"
        with connect(url) as websocket:
            assert websocket.socket.getpeername() == ("127.0.0.1", server.port)
            here = websocket.socket.getsockname()
        assert server.wait_for(rf"left: {here[0]} port {here[1]}, .* closed with 1000")


@claim("ws-transport-is-tcp", "RFC 6455 section 1.7", "RFC 9220 section 3")
def test_the_transport_is_tcp() -> None:
    """Below a WebSocket of RFC 6455 is one TCP connection."""
    with (
        processes.running("websockets/ws_server.py") as server,
        connect(f"ws://127.0.0.1:{server.port}/") as websocket,
    ):
        sock = websocket.socket
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 6
        states = Path("/proc/net/tcp").read_text()
        assert f":{sock.getsockname()[1]:04X} " in states


@claim(
    "ws-is-html5-technology",
    "RFC 6455 section 1.7",
    "WHATWG WebSockets, Introduction",
    often_said="WebSocket is a technology of HTML5.",
)
def test_two_programs_without_html(ends: Ends) -> None:
    """The browser's interface came with HTML5, the protocol is the IETF's.

    Two programs use it without any HTML.
    """
    client, sock = ends
    server = upgraded(ends)
    talk = head(client)
    server.send("no markup")
    sock.sendall(server.data_to_send())
    talk += client.recv(100)
    assert talk.endswith(b"no markup")
    assert b"html" not in (REQUEST + talk).lower()


cited(
    "browser-hides-the-refusal",
    "A browser does not tell a script why a handshake was refused: there is an error "
    "event, and a close event with 1006.",
    "WHATWG WebSockets, section 4, feedback from the protocol",
    "RFC 6455 section 7.1.7",
)


def test_a_page_on_the_same_port_is_an_ordinary_answer() -> None:
    server = ServerConnection()
    server.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    next(server.events())
    server.respond(HTTPStatus.OK, "<p>")
    assert server.data_to_send().startswith(b"HTTP/1.1 200 OK\r\n")


@claim(
    "ws-solves-http-one-sidedness",
    "RFC 6455 section 1.1",
    "RFC 6202 section 2",
)
def test_news_comes_without_a_question(ends: Ends) -> None:
    """Through a WebSocket a server sends when it has news, without being asked.

    With HTTP alone a client has to ask again and again, or to leave a question open.
    """
    client, sock = ends
    server = upgraded(ends)
    head(client)
    for news in ("one", "two", "three"):  # the client sends nothing from here on
        server.send(news)
        sock.sendall(server.data_to_send())
        assert client.recv(100) == bytes([0x81, len(news)]) + news.encode()
    sock.settimeout(0)
    with pytest.raises(BlockingIOError):
        sock.recv(1)


@claim("ws-for-real-time-apps", "RFC 6455 section 1.1")
def test_every_client_gets_each_tick_as_it_comes(
    dial: Callable[[], Ends],
) -> None:
    """A server gives each price, move or line of chat to all its clients at once.

    Games, stock tickers and editing together are the RFC's own examples.
    """
    pairs = [dial() for _ in range(3)]
    servers = [upgraded(pair) for pair in pairs]
    for client, _ in pairs:
        head(client)
    for tick in ("101.25", "101.50"):
        for (_, sock), server in zip(pairs, servers, strict=True):
            server.send(tick)
            sock.sendall(server.data_to_send())
        for client, _ in pairs:
            assert client.recv(100)[2:].decode() == tick
