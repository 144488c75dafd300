"""The WebSocket protocol to copy, without I/O: bytes in, events out (RFC 6455).

Feed a connection whatever recv() returned, go through its events, and send what
data_to_send() gives after each of them. It answers pings, checks all that the RFC
says, and closes with the right code. It opens no socket and knows no clock.
"""

from __future__ import annotations

import base64
import codecs
import functools
import hashlib
import io
import re
import secrets
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum, IntEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
MAX_HEAD = 16_384  # bytes of an opening handshake
MAX_MESSAGE = 1_048_576  # bytes


# The opening handshake: section 4


class HandshakeError(Exception):
    """The opening handshake has failed; status is the answer to an HTTP client."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        """Say what is wrong, for the log and for the other side."""
        super().__init__(why)
        self.status = status


def accept_value(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    digest = hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Cut the head of an HTTP/1.1 message into its first line and its fields.

    Names of fields become lower case. Fields that stand twice are joined with a
    comma, as a list would be (RFC 9110 section 5.3).
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise HandshakeError(HTTPStatus.BAD_REQUEST, f"bad field line {line!r}")
        name, value = name.lower(), value.strip(" \t")
        if any(sign in value for sign in "\r\n\0"):  # RFC 9110 section 5.5
            raise HandshakeError(HTTPStatus.BAD_REQUEST, f"bad value of {name}")
        if name in fields and name in {"host", "sec-websocket-key"}:
            raise HandshakeError(HTTPStatus.BAD_REQUEST, f"two {name} fields")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return first, fields


def tokens(value: str) -> list[str]:
    """Cut a comma-separated field value into its members."""
    return [member for raw in value.split(",") if (member := raw.strip(" \t"))]


@dataclass(frozen=True)
class Request:
    """A client asks for something; accept() or respond() is the answer."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def subprotocols(self) -> list[str]:
        """What the client offers, the one it likes best first."""
        return tokens(self.headers.get("sec-websocket-protocol", ""))

    def check(self) -> str:
        """Return the key if this asks for a WebSocket; HandshakeError if not."""
        need = {name.lower() for name in tokens(self.headers.get("connection", ""))}
        upgrade = {name.lower() for name in tokens(self.headers.get("upgrade", ""))}
        if "websocket" not in upgrade or "upgrade" not in need:
            raise HandshakeError(HTTPStatus.UPGRADE_REQUIRED, "no upgrade asked for")
        if self.headers.get("sec-websocket-version") != "13":
            raise HandshakeError(HTTPStatus.UPGRADE_REQUIRED, "not version 13")
        if self.method != "GET" or "host" not in self.headers:
            raise HandshakeError(HTTPStatus.BAD_REQUEST, "not a GET with a Host")
        key = self.headers.get("sec-websocket-key", "")
        try:
            nonce = base64.b64decode(key, validate=True)
        except ValueError:  # not Base64, or not even ASCII
            nonce = b""
        if len(nonce) != 16:
            raise HandshakeError(HTTPStatus.BAD_REQUEST, "the key is not 16 bytes")
        return key


def parse_request(head: bytes) -> Request:
    """Read the head of a request; HandshakeError if it is none."""
    first, fields = parse_head(head)
    match = re.fullmatch(r"([A-Z]+) ([!-~]+) HTTP/1\.([0-9])", first)
    if match is None or match[3] == "0":
        raise HandshakeError(HTTPStatus.BAD_REQUEST, f"bad request line {first!r}")
    return Request(match[1], match[2], fields)


def format_head(first: str, fields: Mapping[str, str]) -> bytes:
    """Write the head of an HTTP message, with the empty line that ends it."""
    lines = [first, *(f"{name}: {value}" for name, value in fields.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in a header field")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


# Frames: section 5


class Opcode(IntEnum):
    """What a frame carries (section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA

    @property
    def is_control(self) -> bool:
        """Whether it may stand between the fragments of a message."""
        return self >= Opcode.CLOSE


class Code:
    """Why a connection is closed (section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005  # never on the wire: a Close frame without a code came
    ABNORMAL = 1006  # never on the wire: the stream ended without a Close frame
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011


ON_THE_WIRE = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}


class ProtocolError(Exception):
    """The other side broke the protocol; code is what the Close frame says."""

    def __init__(self, code: int, why: str) -> None:
        """Say what is wrong, in words that fit into a Close frame."""
        super().__init__(why)
        self.code = code


def new_mask_key() -> bytes:
    """Return four bytes that nobody can guess (section 5.3)."""
    return secrets.token_bytes(4)


@functools.cache
def _xor_table(byte: int) -> bytes:
    return bytes(value ^ byte for value in range(256))


def mask_from(begin: int, data: bytearray, key: bytes) -> None:
    """Mask or unmask, in place, what stands from begin on to the end (section 5.3).

    Byte i of it is combined with key[i % 4] by XOR. Every fourth byte meets the same
    byte of the key, so four table look-ups in C do what a loop over the bytes would
    do a hundred times slower.
    """
    for place, byte in enumerate(key, begin):
        data[place::4] = data[place::4].translate(_xor_table(byte))


def apply_mask(data: bytes | memoryview, key: bytes) -> bytes:
    """Return data masked, or unmasked: the two are the same."""
    masked = bytearray(data)
    mask_from(0, masked, key)
    return bytes(masked)


@dataclass(frozen=True)
class Header:
    """The first 2 to 14 bytes of a frame."""

    opcode: Opcode
    length: int
    fin: bool = True
    rsv1: bool = False
    key: bytes | None = None

    def encode(self) -> bytes:
        """Write it, the length in the shortest of its three forms."""
        first = self.fin << 7 | self.rsv1 << 6 | self.opcode
        masked = (self.key is not None) << 7
        if self.length <= 125:
            head = bytes([first, masked | self.length])
        elif self.length <= 0xFFFF:
            head = bytes([first, masked | 126]) + self.length.to_bytes(2, "big")
        else:
            head = bytes([first, masked | 127]) + self.length.to_bytes(8, "big")
        return head + (self.key or b"")


def parse_header(data: bytes | bytearray, at: int) -> tuple[Header, int] | None:
    """Read a header that begins at a place; also say where its payload begins.

    Returns None if more bytes are needed.
    """
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    if first & 0b0011_0000:
        raise ProtocolError(Code.PROTOCOL_ERROR, "RSV2 or RSV3 is set")
    try:
        opcode = Opcode(first & 0x0F)
    except ValueError:
        why = f"opcode {first & 0x0F} is reserved"
        raise ProtocolError(Code.PROTOCOL_ERROR, why) from None
    fin, rsv1, masked, short = first >> 7, first >> 6 & 1, second >> 7, second & 0x7F
    if opcode.is_control and (short > 125 or not fin or rsv1):
        raise ProtocolError(Code.PROTOCOL_ERROR, "control frame too long or in parts")
    wide = {126: 2, 127: 8}.get(short, 0)
    begin = at + 2 + wide
    end = begin + 4 * masked
    if len(data) < end:
        return None
    length = int.from_bytes(data[at + 2 : begin], "big") if wide else short
    if length >> 63:
        raise ProtocolError(Code.PROTOCOL_ERROR, "the highest bit of a length is set")
    if wide and length <= (125 if wide == 2 else 0xFFFF):
        raise ProtocolError(Code.PROTOCOL_ERROR, "not the shortest form of a length")
    key = bytes(data[begin:end]) if masked else None
    return Header(opcode, length, bool(fin), bool(rsv1), key), end


class Extension(ABC):
    """What may change the payload of messages: permessage_deflate.py is one."""

    @abstractmethod
    def offer(self) -> str:
        """Return the Sec-WebSocket-Extensions of a client."""

    @abstractmethod
    def answer(self, offered: str) -> str | None:
        """Choose one of the offers a client made, as a server; None for none."""

    @abstractmethod
    def confirm(self, answered: str) -> None:
        """Take what the server chose, as a client; HandshakeError if it may not."""

    @abstractmethod
    def encode(self, data: bytes, *, fin: bool) -> bytes:
        """Change the payload of a frame that is sent."""

    @abstractmethod
    def decode(self, data: bytes, *, fin: bool, limit: int) -> bytes:
        """Change back what came of a message; ProtocolError if that is too much."""


class Message:
    """Puts a message together from the pieces of its frames (sections 5.4, 8.1)."""

    def __init__(self, opcode: Opcode, limit: int, extension: Extension | None) -> None:
        """Begin with the first frame of a message."""
        self.opcode = opcode
        self._extension = extension
        self._left = limit
        self._bytes = io.BytesIO()
        self._text = io.StringIO()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def expect(self, length: int) -> None:
        """Refuse a frame that would be too much, before any of it is waited for.

        What an extension has changed may be a little longer than what it stands for.
        """
        slack = 0 if self._extension is None else 1024 + self._left // 100
        if length > self._left + slack:
            raise ProtocolError(Code.TOO_BIG, "message too long")

    def add(self, data: bytes, *, fin: bool) -> None:
        """Add what has come; fin if it ends the message."""
        if self._extension is not None:
            data = self._extension.decode(data, fin=fin, limit=self._left)
        self._left -= len(data)
        if self.opcode is Opcode.BINARY:
            self._bytes.write(data)
            return
        try:
            self._text.write(self._decoder.decode(data, final=fin))
        except UnicodeDecodeError:
            raise ProtocolError(Code.INVALID_DATA, "text is not UTF-8") from None

    def event(self) -> Text | Binary:
        """Return the whole of it."""
        if self.opcode is Opcode.TEXT:
            return Text(self._text.getvalue())
        return Binary(self._bytes.getvalue())


# A connection: sections 5.5 and 7


@dataclass(frozen=True)
class Opened:
    """The connection is open; the subprotocol that both sides speak, if any."""

    subprotocol: str | None = None


@dataclass(frozen=True)
class Text:
    """A text message."""

    data: str


@dataclass(frozen=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(frozen=True)
class Ping:
    """The other side asks whether anybody is there; the pong is on its way."""

    data: bytes


@dataclass(frozen=True)
class Pong:
    """The answer to a ping, or a sign of life without one."""

    data: bytes


@dataclass(frozen=True)
class Closed:
    """The end, always the last event.

    Attributes:
        code: what the other side's Close frame says; 1005 if it says nothing, 1006
            if none came (section 7.1.5).
        reason: the words beside the code.
        sent: the code of the Close frame that this side sent, if it sent one.
        error: what the other side did wrong, or "".
    """

    code: int
    reason: str = ""
    sent: int | None = None
    error: str = ""


Event = Request | Opened | Text | Binary | Ping | Pong | Closed


class State(Enum):
    """Where a connection is in its life (section 4 and 7.1)."""

    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"  # our Close frame has been sent, the other's has not come
    CLOSED = "closed"


class Connection(ABC):
    """One end of a WebSocket connection.

    Args:
        max_message: bytes of the longest message that is taken.
        extension: what may change the payload of messages.
        mask_key: where the keys come from; for a client, they must be unguessable.
    """

    is_client: bool

    def __init__(
        self,
        *,
        max_message: int = MAX_MESSAGE,
        extension: Extension | None = None,
        mask_key: Callable[[], bytes] = new_mask_key,
    ) -> None:
        """Begin before the opening handshake."""
        self.state = State.CONNECTING
        self._max_message = max_message
        self._offered = extension
        self._extension: Extension | None = None
        self._mask_key = mask_key
        self._in = bytearray()
        self._at = 0  # where in _in the next thing begins
        self._out = bytearray()
        self._ended = False
        self._frame: Header | None = None  # the frame whose payload is coming
        self._missing = 0  # bytes of it that have not come
        self._message: Message | None = None
        self._sending: Opcode | None = None  # a fragmented message on its way out
        self._sent: int | None = None
        self._told = False

    # [feed]
    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes of the stream, as many as there are."""
        if self._ended:
            raise RuntimeError("fed after its end")
        if self.state is not State.CLOSED:  # else nobody wants them any more
            del self._in[: self._at]
            self._at = 0
            self._in += data

    def feed_eof(self) -> None:
        """Take the end of the stream: recv() has returned b'', or has failed."""
        self._ended = True

    def events(self) -> Iterator[Event]:
        """Yield what is whole, in order. Closed is the last, but after respond()."""
        while not self._told:
            try:
                event = self._next()
            except ProtocolError as error:
                event = self._fail(error.code, str(error))
            if event is None:
                return
            self._told = isinstance(event, Closed)
            yield event

    def data_to_send(self) -> bytearray:
        """Return the bytes to send now, and forget them."""
        data, self._out = self._out, bytearray()
        return data

    # [/feed]

    def send(self, data: str | bytes, *, fin: bool = True) -> None:
        """Send a message, or with fin=False a fragment that others will follow."""
        if self.state is not State.OPEN:
            raise RuntimeError(f"cannot send: the connection is {self.state.value}")
        if not isinstance(data, str | bytes | bytearray | memoryview):
            raise TypeError(f"neither text nor bytes: {type(data).__name__}")
        opcode = Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
        payload = data.encode() if isinstance(data, str) else bytes(data)
        first = self._sending is None
        if not first and opcode is not self._sending:
            raise ValueError("text and bytes in one message")
        if self._extension is not None:
            payload = self._extension.encode(payload, fin=fin)
        self._put(
            opcode if first else Opcode.CONTINUATION,
            payload,
            fin=fin,
            rsv1=first and self._extension is not None,
        )
        self._sending = None if fin else opcode

    def ping(self, data: bytes = b"") -> None:
        """Ask whether anybody is there; at most 125 bytes come back in the pong."""
        self._control(Opcode.PING, data)

    def pong(self, data: bytes = b"") -> None:
        """Show that somebody is here, without having been asked."""
        self._control(Opcode.PONG, data)

    def close(self, code: int | None = Code.NORMAL, reason: str = "") -> None:
        """Begin the closing handshake; Closed comes with the other side's answer."""
        if code is not None and code not in ON_THE_WIRE:
            raise ValueError(f"{code} may not be sent")
        if self.state is State.CONNECTING:
            raise RuntimeError("nothing is open yet: close the TCP connection")
        if self.state is State.OPEN:
            payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
            self._control(Opcode.CLOSE, payload)
            self._sent = Code.NO_STATUS if code is None else code
            self.state = State.CLOSING

    def _control(self, opcode: Opcode, payload: bytes) -> None:
        if len(payload) > 125:
            raise ValueError("a control frame takes 125 bytes at most")
        if self.state is not State.OPEN:
            raise RuntimeError(f"cannot send: the connection is {self.state.value}")
        self._put(opcode, payload)

    def _put(
        self, opcode: Opcode, payload: bytes, *, fin: bool = True, rsv1: bool = False
    ) -> None:
        key = self._mask_key() if self.is_client else None
        header = Header(opcode, len(payload), fin, rsv1, key).encode()
        self._out += header
        begin = len(self._out)
        self._out += payload
        if key is not None:
            mask_from(begin, self._out, key)  # in place: a copy of it all takes time

    def _next(self) -> Event | None:
        if self.state is State.CONNECTING:
            return self._handshake()
        while self.state is not State.CLOSED:
            if self._frame is None:
                parsed = parse_header(self._in, self._at)
                if parsed is None:
                    break
                self._frame, self._at = parsed
                self._missing = self._frame.length
                self._begin(self._frame)
            event = self._payload(self._frame)
            if event is not None:
                return event
            if self._frame is not None:
                break
        if self._ended and self.state is not State.CLOSED:
            self.state = State.CLOSED
            return Closed(Code.ABNORMAL, sent=self._sent)
        return None

    def _begin(self, frame: Header) -> None:
        """Check what a frame may be at this place (sections 5.1, 5.4)."""
        if (frame.key is None) is not self.is_client:
            why = "masked" if frame.key else "not masked"
            raise ProtocolError(Code.PROTOCOL_ERROR, f"the frame is {why}")
        if frame.opcode.is_control:
            return
        goes_on = frame.opcode is Opcode.CONTINUATION
        if goes_on is not (self._message is not None):
            why = "nothing to continue" if goes_on else "a message within a message"
            raise ProtocolError(Code.PROTOCOL_ERROR, why)
        if frame.rsv1 and (self._extension is None or goes_on):
            raise ProtocolError(Code.PROTOCOL_ERROR, "RSV1 is set")
        if self._message is None:
            changed = self._extension if frame.rsv1 else None
            self._message = Message(frame.opcode, self._max_message, changed)
        self._message.expect(frame.length)

    def _payload(self, frame: Header) -> Event | None:
        """Take what has come of a frame's payload; return an event if there is one."""
        have = min(self._missing, len(self._in) - self._at)
        if frame.opcode.is_control and have < frame.length:
            return None  # it is short: wait for the whole
        turn = (frame.length - self._missing) % 4
        with memoryview(self._in) as view, view[self._at : self._at + have] as part:
            if frame.key is not None:
                data = apply_mask(part, frame.key[turn:] + frame.key[:turn])
            else:
                data = bytes(part)
        self._at += have
        self._missing -= have
        done = self._missing == 0
        if done:
            self._frame = None
        if frame.opcode.is_control:
            return self._control_event(frame.opcode, data)
        message = self._message
        if message is None:
            raise AssertionError(frame)
        ends = done and frame.fin
        message.add(data, fin=ends)
        if not ends:
            return None
        self._message = None
        return message.event()

    # [control]
    def _control_event(self, opcode: Opcode, data: bytes) -> Event | None:
        if opcode is Opcode.PING:
            self._put(Opcode.PONG, data)  # until their Close frame has come
            return Ping(data)
        if opcode is Opcode.PONG:
            return Pong(data)
        code, reason = parse_close(data)
        if self.state is State.OPEN:  # answer with the same code
            self._put(Opcode.CLOSE, data[:2])
            self._sent = code
        self.state = State.CLOSED
        return Closed(code, reason, self._sent)

    def _fail(self, code: int, why: str) -> Closed:
        """Close because of what the other side did, and listen no more (7.1.7)."""
        if self.state is State.OPEN:
            self._put(Opcode.CLOSE, code.to_bytes(2, "big") + why.encode()[:123])
            self._sent = code
        self.state = State.CLOSED
        return Closed(Code.ABNORMAL, "", self._sent, why)

    # [/control]

    def _head(self) -> bytes | None:
        """Take the head of an HTTP message, without its last line, once it is whole."""
        end = self._in.find(b"\r\n\r\n", self._at)
        least = len(self._in) - 3 if end < 0 else end  # some of the 4 may have come
        if least - self._at > MAX_HEAD:
            too_large = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise HandshakeError(too_large, f"head of more than {MAX_HEAD} bytes")
        if end < 0:
            return None
        head = bytes(self._in[self._at : end])
        self._at = end + 4
        return head

    @abstractmethod
    def _handshake(self) -> Event | None:
        """Go on with the opening handshake."""


def parse_close(data: bytes) -> tuple[int, str]:
    """Read the payload of a Close frame (sections 5.5.1 and 7.4)."""
    if not data:
        return Code.NO_STATUS, ""
    code = int.from_bytes(data[:2], "big")
    if len(data) == 1 or code not in ON_THE_WIRE:
        raise ProtocolError(Code.PROTOCOL_ERROR, "a Close frame without a valid code")
    try:
        return code, data[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(Code.INVALID_DATA, "the reason is not UTF-8") from None


class ServerConnection(Connection):
    """The server's end. Its first event is the Request: accept() it or respond()."""

    is_client = False
    _request: Request | None = None

    def _handshake(self) -> Event | None:
        if self._request is not None:
            return None  # asked, and not answered yet
        try:
            head = self._head()
            if head is not None:
                self._request = parse_request(head)
        except HandshakeError as error:
            self.respond(error.status, f"{error}\n")
            return Closed(Code.ABNORMAL, error=str(error))
        if self._request is None and self._ended:
            self.state = State.CLOSED
            return Closed(Code.ABNORMAL, error="no whole request came")
        return self._request

    def accept(
        self,
        subprotocol: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Open the connection; HandshakeError if the request is not for a WebSocket."""
        if self._request is None or self.state is not State.CONNECTING:
            raise RuntimeError("there is no request to accept")
        key = self._request.check()
        fields = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Accept": accept_value(key),
        }
        if subprotocol is not None:
            if subprotocol not in self._request.subprotocols:
                raise ValueError(f"the client does not offer {subprotocol!r}")
            fields["Sec-WebSocket-Protocol"] = subprotocol
        offered = self._request.headers.get("sec-websocket-extensions", "")
        chosen = self._offered.answer(offered) if self._offered and offered else None
        if chosen is not None:
            self._extension = self._offered
            fields["Sec-WebSocket-Extensions"] = chosen
        first = "HTTP/1.1 101 Switching Protocols"
        self._out += format_head(first, {**fields, **(headers or {})})
        self.state = State.OPEN

    def respond(
        self,
        status: HTTPStatus,
        body: str | bytes = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Answer with a page or a refusal instead; the connection is over then."""
        if self.state is not State.CONNECTING:
            raise RuntimeError("the request has been answered")
        data = body.encode() if isinstance(body, str) else body
        fields = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Length": str(len(data)),
            "Connection": "close",
        }
        if status is HTTPStatus.UPGRADE_REQUIRED:  # RFC 9110 section 15.5.22
            fields |= {"Upgrade": "websocket", "Connection": "Upgrade, close"}
            fields["Sec-WebSocket-Version"] = "13"
        first = f"HTTP/1.1 {status.value} {status.phrase}"
        self._out += format_head(first, {**fields, **(headers or {})}) + data
        self.state = State.CLOSED
        self._told = True


class ClientConnection(Connection):
    """The client's end. Its request is there to be sent; its first event is Opened.

    Args:
        host: the server's name, with the port where it is not the usual one.
        target: path and query.
        subprotocols: what this client speaks, the one it likes best first.
        headers: other header fields, such as Origin or Authorization.
        max_message: as for Connection, like what follows.
        extension: offered to the server.
        mask_key: where the keys come from.
    """

    is_client = True

    def __init__(
        self,
        host: str,
        target: str = "/",
        *,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        max_message: int = MAX_MESSAGE,
        extension: Extension | None = None,
        mask_key: Callable[[], bytes] = new_mask_key,
    ) -> None:
        """Make the request, with a key that no one has used before."""
        super().__init__(
            max_message=max_message, extension=extension, mask_key=mask_key
        )
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._subprotocols = subprotocols
        fields = {
            "Host": host,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self._key,
            "Sec-WebSocket-Version": "13",
        }
        if subprotocols:
            fields["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        if self._offered is not None:
            fields["Sec-WebSocket-Extensions"] = self._offered.offer()
        first = f"GET {target} HTTP/1.1"
        self._out += format_head(first, {**fields, **(headers or {})})

    def _handshake(self) -> Event | None:
        error = "no whole answer came" if self._ended else ""
        try:
            head = self._head()
            if head is not None:
                opened = self._check(*parse_head(head))
                self.state = State.OPEN
                return opened
        except HandshakeError as wrong:
            error = str(wrong)
        if not error:
            return None
        self.state = State.CLOSED
        return Closed(Code.ABNORMAL, error=error)

    def _check(self, first: str, fields: Mapping[str, str]) -> Opened:
        """Do what section 4.1 asks of a client before it trusts the answer."""
        wrong = functools.partial(HandshakeError, HTTPStatus.BAD_GATEWAY)
        if not re.match(r"HTTP/1\.1 101(?: |$)", first):
            raise wrong(f"the server says {first}")
        if fields.get("upgrade", "").lower() != "websocket":
            raise wrong("the answer upgrades to something else")
        if "upgrade" not in map(str.lower, tokens(fields.get("connection", ""))):
            raise wrong("the answer does not say Connection: Upgrade")
        if fields.get("sec-websocket-accept") != accept_value(self._key):
            raise wrong("Sec-WebSocket-Accept is not for this key")
        subprotocol = fields.get("sec-websocket-protocol")
        if subprotocol is not None and subprotocol not in self._subprotocols:
            raise wrong(f"the server chose {subprotocol!r}, which was not offered")
        extensions = fields.get("sec-websocket-extensions")
        if extensions is not None:
            if self._offered is None:
                raise wrong("the server chose an extension that was not offered")
            self._offered.confirm(extensions)
            self._extension = self._offered
        return Opened(subprotocol)


def main() -> None:
    """Let two ends talk in memory, and show the bytes that a network would carry."""
    client = ClientConnection(
        "example.com",
        mask_key=lambda: b"\x37\xfa\x21\x3d",  # of section 5.7
    )
    server = ServerConnection()

    def carry() -> None:
        for name, sender, receiver in (
            ("client", client, server),
            ("server", server, client),
        ):
            data = sender.data_to_send()
            if data:
                head, ends, _ = data.partition(b"\r\n")
                shown = head.decode() if ends else data.hex(" ")
                print(f"{name} sends {len(data)} bytes: {shown}")
            receiver.feed(data)
            for event in receiver.events():
                print(f"  {type(event).__name__}", getattr(event, "data", ""))
                if isinstance(event, Request):
                    server.accept()

    carry()
    client.send("Hello")
    client.ping(b"?")
    carry()
    server.send("H", fin=False)
    server.ping()
    server.send("ello")
    server.close(Code.GOING_AWAY, "bye")
    carry()
    carry()
    print(client.state, server.state)


if __name__ == "__main__":
    main()
