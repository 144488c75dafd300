"""The claims of the chapter on WebSocket frames."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import mask as mask_program
import pytest
import why_mask
from rfc6455 import (
    Binary,
    ClientConnection,
    Closed,
    Header,
    Opcode,
    Ping,
    ProtocolError,
    Request,
    ServerConnection,
    Text,
    apply_mask,
    parse_header,
)
from websockets.sync.client import connect

import processes
from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    Ends = tuple[socket.socket, socket.socket]
    Dial = Callable[[], Ends]

KEY = b"\x37\xfa\x21\x3d"


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    header = Header(Opcode(opcode), len(payload), fin, key=KEY)
    return header.encode() + apply_mask(payload, KEY)


def pair(**limits: Any) -> tuple[ClientConnection, ServerConnection]:
    """Return two ends whose handshake is done."""
    client, server = ClientConnection("127.0.0.1"), ServerConnection(**limits)
    server.feed(client.data_to_send())
    assert isinstance(next(server.events()), Request)
    server.accept()
    client.feed(server.data_to_send())
    next(client.events())
    return client, server


@claim("three-forms-of-length", "RFC 6455 section 5.2")
def test_a_header_takes_2_4_or_10_bytes_and_4_more_with_a_mask() -> None:
    """A header takes 2, 4 or 10 bytes, by the length, and 4 more with a mask."""
    for sizes, taken in (((0, 125), 2), ((126, 65_535), 4), ((65_536, 2**63 - 1), 10)):
        for size in sizes:
            assert len(Header(Opcode.TEXT, size).encode()) == taken
            assert len(Header(Opcode.TEXT, size, key=KEY).encode()) == taken + 4


@claim("shortest-form-only", "RFC 6455 section 5.2")
def test_a_longer_form_than_needed_is_refused() -> None:
    """A length must be in the shortest form that can hold it."""
    for right in (
        b"\x82\x7d",
        b"\x82\x7e\x00\x7e",
        b"\x82\x7f" + (65_536).to_bytes(8, "big"),
    ):
        assert parse_header(right, 0) is not None
    for wrong in (b"\x82\x7e\x00\x7d", b"\x82\x7f" + (65_535).to_bytes(8, "big")):
        with pytest.raises(ProtocolError):
            parse_header(wrong, 0)


@claim("only-clients-mask", "RFC 6455 sections 5.1 and 10.3")
def test_each_side_refuses_the_other_s_way() -> None:
    """All frames of a client are masked, and none of a server's.

    Each side closes when the other does otherwise.
    """
    client, server = pair()
    client.send("x")
    assert client.data_to_send()[1] & 0x80
    server.send("x")
    assert not server.data_to_send()[1] & 0x80
    for receiver, wrong in ((server, b"\x81\x01x"), (client, frame(1, b"x"))):
        receiver.feed(wrong)
        (closed,) = receiver.events()
        assert isinstance(closed, Closed)
        assert closed.sent == 1002


@claim("mask-key-is-new-each-time", "RFC 6455 sections 5.3 and 10.3")
def test_the_same_word_is_never_the_same_on_the_wire() -> None:
    """A client takes a new key for each frame, which nobody can foresee."""
    client, _ = pair()
    wire = set()
    for _ in range(200):
        client.send("the same word")
        wire.add(bytes(client.data_to_send()))
    assert len(wire) == 200


@claim(
    "mask-is-not-encryption",
    "RFC 6455 section 5.3 and 10.3",
    often_said="WebSocket messages are XOR-encrypted by their mask.",
)
def test_whoever_has_the_frame_has_the_key() -> None:
    """Masking hides nothing: the key stands in the frame itself."""
    client, _ = pair()
    client.send("a secret?")
    wire = bytes(client.data_to_send())
    parsed = parse_header(wire, 0)
    assert parsed is not None
    header, begin = parsed
    assert header.key is not None
    assert mask_program.by_loop(wire[begin:], header.key) == b"a secret?"


@claim("mask-protects-proxies", "RFC 6455 section 10.3")
def test_a_page_cannot_write_a_request_onto_the_wire() -> None:
    """A page cannot foresee its mask.

    So it cannot make its frames look like a request of HTTP to a proxy that searches
    for one.
    """
    client, _ = pair()
    for _ in range(100):
        client.send(why_mask.MESSAGE)
        wire = bytes(client.data_to_send())
        assert why_mask.careless_proxy(wire, why_mask.ANSWER) == {}
    # Without a mask the same proxy is deceived: the test can fail.
    assert why_mask.careless_proxy(why_mask.MESSAGE, why_mask.ANSWER) != {}


@claim("ws-is-message-based", "RFC 6455 sections 1.2, 5.4 and 5.6")
def test_where_a_message_is_cut_means_nothing() -> None:
    """WebSocket carries messages, text or bytes.

    How many frames a message comes in makes no difference to it.
    """
    for pieces in ([b"Hello!"], [b"Hel", b"lo!"], [b"", b"H", b"", b"ello!", b""]):
        _, server = pair()
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            server.feed(frame(0 if number else 1, piece, fin=last))
        assert list(server.events()) == [Text("Hello!")]
        server.feed(frame(2, b"\xff"))
        assert list(server.events()) == [Binary(b"\xff")]


@claim("control-frames-are-small-and-whole", "RFC 6455 sections 5.4 and 5.5")
def test_a_control_frame_is_short_whole_and_comes_between() -> None:
    """A control frame carries 125 bytes at most.

    It is never in fragments, and may stand between those of a message.
    """
    _, server = pair()
    server.feed(frame(1, b"a", fin=False) + frame(9, b"x" * 125) + frame(0, b"b"))
    assert list(server.events()) == [Ping(b"x" * 125), Text("ab")]
    for wrong in (frame(9, b"x" * 126), frame(9, b"x", fin=False)):
        _, server = pair()
        server.feed(wrong)
        (closed,) = server.events()
        assert isinstance(closed, Closed)
        assert closed.sent == 1002


@claim("a-promised-length-is-checked", "RFC 6455 section 10.4")
def test_a_length_beyond_the_limit_is_refused_at_once() -> None:
    """A receiver checks the length in a header before it waits for the payload.

    A message above its limit, in one frame or in many, is closed with 1009.
    """
    for stream in (
        Header(Opcode.BINARY, 2**63 - 1, key=KEY).encode(),
        Header(Opcode.BINARY, 1001, key=KEY).encode(),
        frame(2, b"x" * 600, fin=False)
        + Header(Opcode.CONTINUATION, 401, key=KEY).encode(),
    ):
        _, server = pair(max_message=1000)
        server.feed(stream)
        (closed,) = server.events()
        assert isinstance(closed, Closed)
        assert closed.sent == 1009
    _, server = pair(max_message=1000)
    server.feed(frame(2, b"x" * 600, fin=False) + frame(0, b"x" * 400))
    assert list(server.events()) == [Binary(b"x" * 1000)]


@claim("bad-text-is-refused-early", "RFC 6455 section 8.1")
def test_bad_text_is_refused_before_its_end() -> None:
    """Text can be checked as it comes.

    Bytes that cannot become UTF-8 are closed with 1007 before their message, or even
    their frame, has ended.
    """
    header = Header(Opcode.TEXT, 1000, key=KEY).encode()
    for start, code in (
        (b"\xed\x95\x9c", None),
        (b"ok \xf4\x90", 1007),
        (b"\xff", 1007),
    ):
        _, server = pair()
        server.feed(header + apply_mask(start, KEY))
        events = list(server.events())
        assert [e.sent for e in events if isinstance(e, Closed)] == [code] * len(events)
        assert bool(events) is bool(code)


@claim("violation-closes-with-its-code", "RFC 6455 sections 7.1.7 and 7.4.1")
def test_what_came_before_a_violation_is_delivered_and_nothing_after() -> None:
    """A violation is closed with 1002, 1007 or 1009.

    What came before it is delivered, nothing after it is.
    """
    for wrong, code in (
        (b"\x81\x01x", 1002),
        (frame(1, b"\xff"), 1007),
        (Header(Opcode.TEXT, 2**40, key=KEY).encode(), 1009),
    ):
        _, server = pair()
        server.feed(frame(1, b"before") + wrong + frame(1, b"after"))
        first, closed = server.events()
        assert first == Text("before")
        assert isinstance(closed, Closed)
        assert closed.sent == code
        server.feed(frame(1, b"later"))
        assert list(server.events()) == []


@claim(
    "a-frame-is-no-packet",
    "RFC 6455 section 5.4",
    "RFC 9293 section 3.7",
    often_said="A frame is a packet: each frame sent is one recv() of the other side.",
)
def test_frames_are_cut_and_joined_like_all_bytes(ends: Ends) -> None:
    """Frames are bytes on a stream: one recv() may bring several, or part of one."""
    sender, receiver = ends
    _, server = pair()
    sender.sendall(frame(1, b"one") + frame(1, b"two") + frame(1, b"three")[:7])
    received = b""
    while len(received) < 25:
        received += receiver.recv(100)
    server.feed(received)
    assert list(server.events()) == [Text("one"), Text("two")]
    sender.sendall(frame(1, b"three")[7:])
    server.feed(receiver.recv(100))
    assert list(server.events()) == [Text("three")]


class Echo(http.server.BaseHTTPRequestHandler):
    """Sends back what was posted, in one write."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = PATIENCE

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def counted(sock: socket.socket) -> tuple[int, int]:
    """Return the bytes of payload that a connection has sent and received."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    # tcpi_bytes_acked and tcpi_bytes_received (linux/tcp.h)
    return int.from_bytes(info[120:128], "little"), int.from_bytes(
        info[128:136], "little"
    )


@claim(
    "ws-is-efficient-and-low-latency",
    "RFC 6455 sections 1.1 and 5.2",
    often_said="WebSocket is fast: it makes transfers efficient and latency low.",
)
@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="counts with TCP_INFO")
def test_fewer_bytes_than_http_and_more_than_tcp() -> None:
    """A WebSocket costs fewer bytes a message than HTTP, and more than raw TCP.

    It makes the network no faster. A message of 16 bytes and its echo take 40 bytes,
    against more than 200 in HTTP.
    """
    message = b"x" * 16
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        client = http.client.HTTPConnection(
            "127.0.0.1", server.server_port, timeout=PATIENCE
        )

        def post() -> None:
            client.request("POST", "/", message)
            client.getresponse().read()

        post()
        before = counted(client.sock)
        post()
        in_http = sum(counted(client.sock)) - sum(before)
        client.close()
        server.shutdown()
        thread.join(PATIENCE)
    with (
        processes.running("websockets/ws_server.py") as echo,
        connect(f"ws://127.0.0.1:{echo.port}/", compression=None) as websocket,
    ):

        def talk() -> None:
            websocket.send(message)
            assert websocket.recv(timeout=PATIENCE) == message

        talk()
        before = counted(websocket.socket)
        talk()
        in_websocket = sum(counted(websocket.socket)) - sum(before)
    assert in_websocket == (6 + 16) + (2 + 16)
    assert 2 * len(message) < in_websocket
    assert 200 < in_http < 300


@claim(
    "ws-uses-few-resources",
    "RFC 6455 section 5.2",
    "RFC 9112 section 9.4",
    often_said="WebSocket uses few resources.",
)
@pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="reads /proc")
def test_an_idle_client_holds_a_descriptor_and_a_state() -> None:
    """A message takes few bytes, but each client holds a connection.

    It costs a descriptor, memory and a state for as long as the client stays, also if
    it is idle.
    """
    with processes.running("websockets/ws_aio_server.py") as server:
        url = f"ws://127.0.0.1:{server.port}/"
        with connect(url):
            one = server.descriptors()
            with ExitStack() as others:
                for _ in range(20):
                    others.enter_context(connect(url))
                assert server.descriptors() == one + 20


@claim("tcp-socket-is-a-byte-stream", "RFC 9293 section 2.2", "socket(2)")
def test_a_tcp_connection_knows_no_messages(ends: Ends) -> None:
    """A TCP connection is a stream of bytes, in which no message begins or ends."""
    sender, receiver = ends
    for word in (b"one", b"two", b"three"):
        sender.sendall(word)
    sender.shutdown(socket.SHUT_WR)
    whole = b""
    while piece := receiver.recv(4):
        whole += piece
    assert whole == b"onetwothree"
