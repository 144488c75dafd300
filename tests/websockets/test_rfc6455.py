"""The core of the WebSocket chapters, fed byte by byte, whole, and with nonsense."""

from __future__ import annotations

import itertools
import re
import tracemalloc
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
import rfc6455
from hypothesis import given, settings
from hypothesis import strategies as st
from permessage_deflate import PermessageDeflate, parse
from rfc6455 import (
    Binary,
    ClientConnection,
    Closed,
    Connection,
    Event,
    HandshakeError,
    Header,
    Opcode,
    Opened,
    Ping,
    Pong,
    Request,
    ServerConnection,
    State,
    Text,
    apply_mask,
)

from handbook.claims import claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = b"\x01\x02\x03\x04"
REQUEST = (
    b"GET /chat?room=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def cut(data: bytes | bytearray, sizes: list[int]) -> Iterator[bytes | bytearray]:
    """Cut data into pieces of these sizes, again and again."""
    at, turn = 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)] if sizes else len(data)
        yield data[at : at + size]
        at += size
        turn += 1


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    key: bytes | None = KEY,
    length: int | None = None,
    wide: int = 0,
) -> bytes:
    """Make a frame, right or wrong, without the core's help."""
    size = len(payload) if length is None else length
    wide = wide or (0 if size < 126 else 2 if size < 65536 else 8)
    short = {0: size, 2: 126, 8: 127}[wide]
    head = bytes([fin << 7 | rsv << 4 | opcode, (key is not None) << 7 | short])
    head += size.to_bytes(wide, "big") if wide else b""
    if key is None:
        return head + payload
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))
    return head + key + masked


def server(**options: object) -> ServerConnection:
    """Return a server's end that is open, and has sent its 101."""
    connection = ServerConnection(**options)  # type: ignore[arg-type]
    connection.feed(REQUEST)
    (request,) = connection.events()
    assert isinstance(request, Request)
    connection.accept()
    assert connection.data_to_send().startswith(b"HTTP/1.1 101 ")
    return connection


def heard(
    connection: Connection, data: bytes | bytearray, sizes: list[int]
) -> list[Event]:
    """Feed data in pieces; return all events."""
    events: list[Event] = []
    for piece in cut(data, sizes):
        connection.feed(piece)
        events += connection.events()
    return events


def close_code(sent: bytearray) -> int:
    """Return the code of the Close frame that ends what a server sent."""
    match = re.search(rb"\x88[\x02-\x7d](..)[^\x88]*$", sent, re.DOTALL)
    assert match, sent
    return int.from_bytes(match[1], "big")


def shake(
    client: ClientConnection, other: ServerConnection, sizes: list[int]
) -> tuple[list[Event], list[Event]]:
    """Let two ends talk until neither has more to say."""
    at_client: list[Event] = []
    at_server: list[Event] = []
    while True:
        to_server, to_client = client.data_to_send(), other.data_to_send()
        if not to_server and not to_client:
            return at_client, at_server
        for event in heard(other, to_server, sizes):
            at_server.append(event)
            if isinstance(event, Request):
                other.accept(next(iter(event.subprotocols), None))
        at_server += other.events()
        at_client += heard(client, to_client, sizes)


# Masking and headers


@given(st.binary(max_size=400), st.binary(min_size=4, max_size=4))
def test_masking_is_the_loop_of_the_rfc(data: bytes, key: bytes) -> None:
    assert apply_mask(data, key) == bytes(b ^ key[i % 4] for i, b in enumerate(data))
    assert apply_mask(apply_mask(data, key), key) == data


@pytest.mark.parametrize(
    "size", [0, 1, 125, 126, 127, 65_535, 65_536, 2**31, 2**63 - 1]
)
def test_a_header_is_read_as_it_was_written(size: int) -> None:
    for key in (None, KEY):
        header = Header(Opcode.BINARY, size, key=key)
        data = header.encode()
        assert data == frame(2, length=size, key=key)
        assert rfc6455.parse_header(data, 0) == (header, len(data))
        for end in range(len(data)):
            assert rfc6455.parse_header(data[:end], 0) is None


# Any cut of the stream gives the same


MESSAGES = st.lists(
    st.one_of(st.text(max_size=300), st.binary(max_size=300), st.just("x" * 70_000)),
    max_size=4,
)
SIZES = st.lists(st.integers(1, 300), max_size=6)


@claim("core-ignores-the-cuts", "RFC 6455 section 5.4")
@settings(deadline=None)
@given(MESSAGES, SIZES, st.sampled_from([None, 9, 12, 15]), st.booleans())
def test_what_one_end_sends_the_other_hears_however_it_is_cut(
    messages: list[str | bytes],
    sizes: list[int],
    bits: int | None,
    takeover: bool,  # noqa: FBT001
) -> None:
    """What one end sends the other hears, whole, however the bytes are cut."""

    def extension() -> PermessageDeflate | None:
        if bits is None:
            return None
        return PermessageDeflate(window_bits=bits, takeover=takeover)

    client = ClientConnection(
        "127.0.0.1", subprotocols=["b", "a"], extension=extension()
    )
    other = ServerConnection(extension=extension())
    at_client, at_server = shake(client, other, sizes)
    assert at_client == [Opened("b")]
    assert [type(event) for event in at_server] == [Request]
    for message in messages:
        client.send(message)
        other.send(message)
        client.ping(b"!")
    client.close(4000, "enough")
    at_client, at_server = shake(client, other, sizes)
    wanted: list[Event] = [
        Text(each) if isinstance(each, str) else Binary(each) for each in messages
    ]
    assert [e for e in at_server if not isinstance(e, Ping)] == [
        *wanted,
        Closed(4000, "enough", 4000),
    ]
    assert at_server.count(Ping(b"!")) == len(messages)
    assert [e for e in at_client if not isinstance(e, Pong)] == [
        *wanted,
        Closed(4000, "", 4000),
    ]
    assert client.state is other.state is State.CLOSED


@given(
    st.text(max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.lists(st.integers(1, 9), max_size=4),
)
def test_fragments_are_cut_anywhere_even_within_a_character(
    text: str, borders: list[int], sizes: list[int]
) -> None:
    data = text.encode()
    edges = [0, *sorted(min(border, len(data)) for border in borders), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    stream = b""
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        stream += frame(0 if index else 1, piece, fin=last) + frame(9, b"between")
    events = heard(server(), stream, sizes)
    assert events.count(Ping(b"between")) == len(pieces)
    assert [e for e in events if isinstance(e, Text)] == [Text(text)]


@claim("core-survives-nonsense", "RFC 6455 section 7.1.7")
@settings(deadline=None)
@given(st.binary(max_size=300), SIZES)
def test_nonsense_ends_in_one_close_frame_and_never_in_another_error(
    data: bytes, sizes: list[int]
) -> None:
    """Whatever bytes follow a handshake, they end in one Closed and no error."""
    connection = server(extension=PermessageDeflate())
    events = heard(connection, data, sizes)
    connection.feed_eof()
    events += connection.events()
    assert isinstance(events[-1], Closed)
    assert sum(isinstance(event, Closed) for event in events) == 1
    assert connection.state is State.CLOSED
    assert list(connection.events()) == []


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=5))
def test_a_nonsense_handshake_is_refused_or_waited_for(
    data: bytes, sizes: list[int]
) -> None:
    connection = ServerConnection()
    events = heard(connection, data + b"\r\n\r\n", sizes)
    assert len(events) <= 1
    client = ClientConnection("127.0.0.1")
    events = heard(client, data + b"\r\n\r\n", sizes)
    assert all(isinstance(event, Closed) for event in events)
    assert len(events) <= 1


# Violations


VIOLATIONS = {
    "not masked": (frame(1, b"x", key=None), 1002),
    "RSV1 without an extension": (frame(1, b"x", rsv=4), 1002),
    "RSV2": (frame(1, b"x", rsv=2), 1002),
    "RSV3": (frame(1, b"x", rsv=1), 1002),
    **{f"opcode {n}": (frame(n, b"x"), 1002) for n in (3, 4, 5, 6, 7, *range(11, 16))},
    "ping in fragments": (frame(9, b"x", fin=False), 1002),
    "close in fragments": (frame(8, b"", fin=False), 1002),
    "ping of 126 bytes": (frame(9, b"x" * 126), 1002),
    "close of 126 bytes": (frame(8, b"\x03\xe8" + b"x" * 124), 1002),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "continuation after the end": (frame(1, b"x") + frame(0, b"y"), 1002),
    "a message within a message": (frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
    "16 bits for a short length": (frame(2, b"x", wide=2), 1002),
    "64 bits for a middle length": (frame(2, b"x" * 200, wide=8), 1002),
    "a length with its highest bit set": (frame(2, length=2**63), 1002),
    "a length of almost 2^63": (frame(2, length=2**63 - 1), 1009),
    "one byte more than allowed": (frame(2, length=1_048_577), 1009),
    "fragments of more than allowed": (
        frame(2, b"x" * 700_000, fin=False) + frame(0, length=400_000),
        1009,
    ),
    "text that is not UTF-8": (frame(1, b"\xff"), 1007),
    "text cut within a character": (frame(1, "한".encode()[:2]), 1007),
    "a surrogate in text": (frame(1, b"\xed\xa0\x80"), 1007),
    "an overlong form": (frame(1, b"\xc0\xaf"), 1007),
    "close of one byte": (frame(8, b"\x03"), 1002),
    **{
        f"close with {code}": (frame(8, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2999, 5000, 65535)
    },
    "close with a reason that is not UTF-8": (frame(8, b"\x03\xe8\xff"), 1007),
}


@pytest.mark.parametrize("name", VIOLATIONS)
@pytest.mark.parametrize("sizes", [[], [1]], ids=["at once", "byte by byte"])
def test_every_violation_is_answered_with_its_code(name: str, sizes: list[int]) -> None:
    data, code = VIOLATIONS[name]
    connection = server()
    events = heard(connection, frame(1, b"before") + data + frame(1, b"after"), sizes)
    assert events[0] == Text("before")  # nothing that was right is lost
    closed = events[-1]
    assert isinstance(closed, Closed)
    assert Text("after") not in events  # and nothing is believed afterwards
    assert close_code(connection.data_to_send()) == closed.sent == code
    assert closed.code == 1006
    assert closed.error


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\x00", fin=False, rsv=4) + frame(0, b"\x00", rsv=4),
        frame(1, b"x", fin=False) + frame(0, b"\x00", rsv=4),
        frame(9, b"x", rsv=4),
        frame(1, b"\x00", rsv=6),
    ],
    ids=["twice in a message", "in its middle", "on a ping", "with RSV2"],
)
def test_rsv1_stands_on_the_first_frame_of_a_message_alone(data: bytes) -> None:
    client = ClientConnection("127.0.0.1", extension=PermessageDeflate())
    other = ServerConnection(extension=PermessageDeflate())
    shake(client, other, [])
    (closed,) = heard(other, data, [])
    assert isinstance(closed, Closed)
    assert closed.sent == 1002  # RFC 7692 section 6.1


@pytest.mark.parametrize(
    "data",
    [
        frame(1, b"\xf4\x90", fin=False),
        frame(1, b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90" + b"x" * 9)[
            :19
        ],
    ],
)
def test_bad_text_is_refused_before_its_frame_or_message_has_ended(data: bytes) -> None:
    (closed,) = heard(server(), data, [])
    assert isinstance(closed, Closed)
    assert closed.sent == 1007


def test_a_length_beyond_the_limit_is_refused_before_its_payload() -> None:
    connection = server(max_message=100)
    assert heard(connection, frame(2, b"x" * 100), []) == [Binary(b"x" * 100)]
    (closed,) = heard(connection, frame(2, length=101)[:8], [])
    assert isinstance(closed, Closed)
    assert closed.sent == 1009


def test_a_server_s_frames_are_not_masked_and_a_client_refuses_masked_ones() -> None:
    client, other = ClientConnection("127.0.0.1"), ServerConnection()
    shake(client, other, [])
    other.send("x")
    assert other.data_to_send() == b"\x81\x01x"
    client.feed(frame(1, b"x"))
    (closed,) = client.events()
    assert isinstance(closed, Closed)
    assert (closed.sent, closed.error) == (1002, "the frame is masked")


def test_a_client_masks_each_frame_with_a_new_key() -> None:
    keys = iter([b"abcd", b"efgh"])
    client = ClientConnection("127.0.0.1", mask_key=lambda: next(keys))
    shake(client, ServerConnection(), [])
    client.send("Hello")
    client.send("Hello")
    sent = client.data_to_send()
    assert sent == frame(1, b"Hello", key=b"abcd") + frame(1, b"Hello", key=b"efgh")


# Closing


def test_a_close_without_a_code_is_1005_and_answered_without_one() -> None:
    connection = server()
    assert heard(connection, frame(8), []) == [Closed(1005, "", 1005)]
    assert connection.data_to_send() == b"\x88\x00"


@claim("core-ends-with-closed", "RFC 6455 section 7.1.5")
def test_a_stream_that_ends_without_a_close_frame_is_1006() -> None:
    """The end of the stream without a Close frame is the event Closed with 1006.

    It comes after all messages that were whole.
    """
    for data in (b"", frame(1, b"whole"), frame(1, b"cut")[:-1]):
        connection = server()
        connection.feed(data)
        connection.feed_eof()
        assert list(connection.events())[-1] == Closed(1006)
        assert connection.data_to_send() == b""


def test_messages_that_were_on_their_way_come_before_the_close() -> None:
    connection = server()
    connection.close(1001, "bye")
    assert connection.state is State.CLOSING
    assert connection.data_to_send() == b"\x88\x05\x03\xe9bye"
    events = heard(connection, frame(1, b"late") + frame(8, b"\x03\xe9"), [])
    assert events == [Text("late"), Closed(1001, "", 1001)]
    assert connection.data_to_send() == b""  # no second Close frame
    connection.close()
    assert connection.data_to_send() == b""


def test_what_may_not_be_sent_is_refused_here() -> None:
    connection = server()
    for code in (0, 1004, 1005, 1006, 1015, 2999, 5000):
        with pytest.raises(ValueError, match=f"{code} may not be sent"):
            connection.close(code)
    with pytest.raises(ValueError, match="125"):
        connection.ping(b"x" * 126)
    with pytest.raises(ValueError, match="125"):
        connection.close(1000, "x" * 124)
    connection.send("a", fin=False)
    with pytest.raises(ValueError, match="text and bytes"):
        connection.send(b"b")
    connection.send("b")
    assert connection.data_to_send() == b"\x01\x01a\x80\x01b"
    connection.close()
    with pytest.raises(RuntimeError, match="closing"):
        connection.send("late")
    with pytest.raises(RuntimeError, match="closing"):
        connection.ping()
    connection.feed_eof()
    assert list(connection.events()) == [Closed(1006, "", 1000)]
    with pytest.raises(RuntimeError, match="end"):
        connection.feed(b"x")
    with pytest.raises(RuntimeError, match="nothing is open"):
        ServerConnection().close()


# The opening handshake


BAD_REQUESTS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "no Upgrade": (lambda r: r.replace(b"Upgrade: websocket\r\n", b""), 426),
    "another Upgrade": (lambda r: r.replace(b"websocket\r\n", b"h2c\r\n"), 426),
    "no Connection: Upgrade": (
        lambda r: r.replace(b"keep-alive, Upgrade", b"close"),
        426,
    ),
    "version 8": (lambda r: r.replace(b"Version: 13", b"Version: 8"), 426),
    "no version": (lambda r: r.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    "no key": (lambda r: re.sub(rb"Sec-WebSocket-Key.*\r\n", b"", r), 400),
    "a key of 15 bytes": (
        lambda r: r.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"dGhlIHNhbXBsZSBub25j"),
        400,
    ),
    "a key that is no base64": (lambda r: r.replace(b"dGhl", b"d*hl"), 400),
    "a key with a character more": (lambda r: r.replace(b"dGhl", b"d*Ghl"), 400),
    "a key that is not ASCII": (lambda r: r.replace(b"dGhl", b"d\xe9hl"), 400),
    "a line feed in a field": (
        lambda r: r.replace(b"Host: ", b"X: a\nHost: b\r\nHost: "),
        400,
    ),
    "a zero byte in a field": (
        lambda r: r.replace(b"Host: ", b"X: a\0b\r\nHost: "),
        400,
    ),
    "two keys": (
        lambda r: r.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: x\r\n\r\n"),
        400,
    ),
    "no Host": (lambda r: r.replace(b"Host: 127.0.0.1\r\n", b""), 400),
    "two Hosts": (lambda r: r.replace(b"Host:", b"Host: other\r\nHost:"), 400),
    "POST": (lambda r: r.replace(b"GET", b"POST"), 400),
    "HTTP/1.0": (lambda r: r.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "no HTTP at all": (lambda _: b"hello\r\n\r\n", 400),
    "a space before the colon": (lambda r: r.replace(b"Host:", b"Host :"), 400),
    "a folded line": (lambda r: r.replace(b"Host:", b"X: a\r\n b\r\nHost:"), 400),
    "64 KiB of headers": (
        lambda r: r.replace(b"Host:", b"X: " + b"x" * 65536 + b"\r\nHost:"),
        431,
    ),
    "headers without end": (lambda r: r[:-2] + b"x" * 20_000, 431),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
@pytest.mark.parametrize("sizes", [[], [3]], ids=["at once", "in pieces"])
def test_a_bad_request_is_refused_with_its_status(name: str, sizes: list[int]) -> None:
    change, status = BAD_REQUESTS[name]
    connection = ServerConnection()
    for event in heard(connection, change(REQUEST), sizes):
        if isinstance(event, Request):
            with pytest.raises(HandshakeError) as refused:
                connection.accept()
            connection.respond(refused.value.status, str(refused.value))
    sent = connection.data_to_send()
    assert sent.startswith(b"HTTP/1.1 %d " % status), sent
    assert connection.state is State.CLOSED
    if status == 426:
        assert b"\r\nUpgrade: websocket\r\n" in sent
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in sent
    assert list(connection.events()) == []


def test_the_longest_head_passes_however_it_is_cut() -> None:
    room = rfc6455.MAX_HEAD - len(REQUEST.removesuffix(b"\r\n\r\n"))
    longest = REQUEST.replace(b"Host:", b"X:" + b"x" * (room - 4) + b"\r\nHost:")
    for size in range(rfc6455.MAX_HEAD, len(longest) + 1):
        connection = ServerConnection()
        (request,) = heard(connection, longest, [size])
        assert isinstance(request, Request)
        connection.accept()
    (refused,) = heard(ServerConnection(), longest.replace(b"X:", b"X:x"), [])
    assert isinstance(refused, Closed)


def test_a_page_and_a_websocket_from_one_port() -> None:
    connection = ServerConnection()
    connection.feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    (request,) = connection.events()
    assert isinstance(request, Request)
    assert request.target == "/"
    connection.respond(HTTPStatus.OK, "<p>", {"Content-Type": "text/html"})
    sent = connection.data_to_send()
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent.endswith(b"Content-Length: 3\r\nConnection: close\r\n\r\n<p>")
    with pytest.raises(RuntimeError):
        connection.accept()


ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n"
    b"Connection: upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"", b"", ""),
        (b"101 Switching Protocols", b"101", ""),
        (b"101 Switching Protocols", b"200 OK", "the server says HTTP/1.1 200 OK"),
        (b"HTTP/1.1", b"HTTP/1.0", "the server says HTTP/1.0 101"),
        (b"Accept: ", b"Accept: x", "Sec-WebSocket-Accept is not for this key"),
        (b"Upgrade: WebSocket", b"Upgrade: h2c", "upgrades to something else"),
        (b"Connection: upgrade", b"Connection: close", "Connection: Upgrade"),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: z\r\n\r\n", "chose 'z'"),
        (
            b"\r\n\r\n",
            2 * b"\r\nSec-WebSocket-Protocol: a" + b"\r\n\r\n",
            "chose 'a, a'",
        ),
        (
            b"\r\n\r\n",
            b"\r\nSec-WebSocket-Accept: x\r\n\r\n",
            "Sec-WebSocket-Accept is not for this key",
        ),
        (b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: z\r\n\r\n", "an extension"),
        (b"\r\n\r\n", b"\r\n", "no whole answer came"),
    ],
)
def test_a_client_believes_only_the_right_answer(
    old: bytes, new: bytes, why: str
) -> None:
    client = ClientConnection("127.0.0.1", subprotocols=["a"])
    key = re.search(rb"Key: (\S+)", client.data_to_send())
    assert key is not None
    answer = ANSWER % rfc6455.accept_value(key[1].decode()).encode()
    client.feed(answer.replace(old, new))
    client.feed_eof()
    first = next(client.events())
    if why:
        assert isinstance(first, Closed)
        assert why in first.error
        assert client.data_to_send() == b""
    else:
        assert first == Opened()


def test_a_header_field_cannot_be_smuggled_in() -> None:
    with pytest.raises(ValueError, match="line break"):
        ClientConnection("127.0.0.1", headers={"Origin": "x\r\nEvil: y"})
    connection = ServerConnection()
    connection.feed(REQUEST)
    list(connection.events())
    with pytest.raises(ValueError, match="does not offer"):
        connection.accept("z")


# Compression


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("permessage-deflate", "permessage-deflate; server_max_window_bits=12"),
        (
            "x-other, permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
        ),
        (
            'permessage-deflate; server_max_window_bits="10"',
            "permessage-deflate; server_max_window_bits=10",
        ),
        (
            "permessage-deflate; client_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=8",
        ),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "permessage-deflate; server_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_no_context_takeover; "
            "client_no_context_takeover",
            "permessage-deflate; server_max_window_bits=12; "
            "server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; client_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("permessage-deflate; unknown", None),
        ("x-webkit-deflate-frame", None),
    ],
)
def test_an_offer_of_compression_is_answered(offered: str, answer: str | None) -> None:
    assert PermessageDeflate().answer(offered) == answer
    if answer is not None:
        assert parse(answer) is not None


@pytest.mark.parametrize(
    "answered",
    [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; unknown",
        "permessage-deflate, permessage-deflate",
        "other",
    ],
)
def test_a_client_takes_no_compression_that_it_did_not_offer(answered: str) -> None:
    with pytest.raises(HandshakeError):
        PermessageDeflate().confirm(answered)
    with pytest.raises(HandshakeError, match="keeps its context"):
        PermessageDeflate(takeover=False).confirm("permessage-deflate")


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    packing = PermessageDeflate()
    offer = packing.offer()
    packing.answer(offer)
    bomb = packing.encode(bytes(50_000_000), fin=True)
    assert len(bomb) < 60_000
    connection = ServerConnection(extension=PermessageDeflate())
    connection.feed(
        REQUEST.replace(
            b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
    )
    list(connection.events())
    connection.accept()
    connection.data_to_send()
    connection.feed(frame(2, bomb, rsv=4))
    (closed,) = connection.events()
    assert isinstance(closed, Closed)
    assert (closed.sent, closed.error) == (1009, "message too long, expanded")


@pytest.mark.parametrize("bits", [8, 16])
def test_a_window_that_zlib_cannot_have_is_refused_before_it_is_offered(
    bits: int,
) -> None:
    with pytest.raises(ValueError, match=rf"^window_bits {bits}, not 9 to 15$"):
        PermessageDeflate(window_bits=bits)


def test_what_is_not_compressed_data_is_refused() -> None:
    unpacking = PermessageDeflate()
    unpacking.answer("permessage-deflate")
    with pytest.raises(rfc6455.ProtocolError) as refused:
        unpacking.decode(b"\xff\xff\xff", fin=True, limit=100)
    assert refused.value.code == 1007


def test_a_message_within_the_limit_may_be_longer_compressed() -> None:
    noise = bytes(range(256)) * 4
    for pieces in ([noise], [noise[:-1], noise[-1:]]):
        client = ClientConnection("a", extension=PermessageDeflate())
        other = ServerConnection(extension=PermessageDeflate(), max_message=1024)
        shake(client, other, [])
        for number, piece in enumerate(pieces, 1):
            client.send(piece, fin=number == len(pieces))
        other.feed(client.data_to_send())
        assert list(other.events()) == [Binary(noise)]


def test_streams_that_end_again_and_again_are_refused() -> None:
    unpacking = PermessageDeflate()
    unpacking.answer("permessage-deflate")
    with pytest.raises(rfc6455.ProtocolError, match="too many streams"):
        unpacking.decode(b"\x03\x00" * 500, fin=True, limit=1000)


def test_a_ping_is_answered_until_the_other_s_close_has_come() -> None:
    connection = server()
    connection.close()
    connection.data_to_send()
    connection.feed(frame(9, b"?"))
    assert list(connection.events()) == [Ping(b"?")]
    assert connection.data_to_send() == b"\x8a\x01?"


def test_what_is_neither_text_nor_bytes_is_refused() -> None:
    for wrong in (5, [1, 2], None):
        with pytest.raises(TypeError, match="neither text nor bytes"):
            server().send(wrong)  # type: ignore[arg-type]


def test_many_tiny_fragments_take_no_more_memory_than_one_message() -> None:
    connection = server()
    tiny = frame(0, b"ab", fin=False)
    connection.feed(frame(2, b"", fin=False))
    tracemalloc.start()
    try:
        for _ in range(200):
            connection.feed(tiny * 500)
            assert list(connection.events()) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000  # for 200,000 bytes


def test_a_sender_may_end_its_deflate_stream() -> None:
    import zlib  # noqa: PLC0415

    unpacking = PermessageDeflate()
    unpacking.answer("permessage-deflate")
    packer = zlib.compressobj(wbits=-12)
    ended = packer.compress(b"Hello") + packer.flush(zlib.Z_FINISH) + b"\x00"
    for _ in range(2):
        assert unpacking.decode(ended, fin=True, limit=100) == b"Hello"
