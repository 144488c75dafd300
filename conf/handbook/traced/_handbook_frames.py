"""Say in words which WebSocket frames lie in the bytes of a connection (RFC 6455).

The recorder hands over what each call sent or received; what is split over
several calls is put together again. Nothing is checked: this only reads. It is
imported when bytes begin like HTTP, and not before.
"""

from __future__ import annotations

import re
import zlib

LIMIT = 1 << 16  # bytes of a head, or of a compressed message, that are kept
MOST = 1 << 24  # bytes that a compressed message may grow to
PREVIEW = 40  # bytes of a payload that are told whole
OPCODES = {
    0: "CONTINUATION",
    1: "TEXT",
    2: "BINARY",
    8: "CLOSE",
    9: "PING",
    10: "PONG",
}
FIN, RSV, DEFLATED, MASKED, CONTROL = 0x80, 0x70, 0x40, 0x80, 8
UPGRADE = re.compile(rb"^upgrade:.*\bwebsocket\b", re.IGNORECASE | re.MULTILINE)
TELLTALE = re.compile(
    rb"^(?:upgrade: *websocket|sec-websocket-)", re.IGNORECASE | re.MULTILINE
)
DEFLATE = re.compile(
    rb"^sec-websocket-extensions:.*permessage-deflate(.*)$",
    re.IGNORECASE | re.MULTILINE,
)


def may_begin(data: bytes) -> bool:
    """Say whether the first bytes of a stream may be those of HTTP."""
    start = bytes(data[:4])
    return bool(start) and (b"GET ".startswith(start) or b"HTTP".startswith(start))


class Conversation:
    """One connection, as one process sees it: what it sent and what it received."""

    def __init__(self) -> None:
        """Begin before the handshake."""
        self.ways = {"sent": _Way(), "received": _Way()}
        self.asked = False
        self.over = False  # it is no WebSocket connection (any more)

    def feed(self, way: str, data: bytes) -> list[str]:
        """Take bytes that went that way; give the words of their frames."""
        if self.over:
            return []
        stream = self.ways[way]
        if not stream.head_is_read:
            return self._head(stream, data)
        return stream.feed(data)

    def _head(self, stream: _Way, data: bytes) -> list[str]:
        stream.head += data
        head, end, rest = stream.head.partition(b"\r\n\r\n")
        head += b"\r\n"
        if not may_begin(head) or len(head) > LIMIT:
            self.over = True
            return []
        request = head.startswith(b"G")
        part = "part of a request" if request else "part of an answer"
        if not end:
            return [part] if TELLTALE.search(head) else []
        asks = request and UPGRADE.search(head) is not None
        if not asks and (request or not self.asked):
            self.over = True
            return []
        self.asked = True
        first = head.partition(b"\r\n")[0].decode("ascii", "backslashreplace")
        words = [first]
        if not request and b" 101" not in head[:12]:
            self.over = True
            return words
        stream.head_is_read, stream.head, stream.masks = True, b"", request
        if not request:
            self._agree(head)
        return words + stream.feed(rest)

    def _agree(self, head: bytes) -> None:
        """Note how both ways are compressed from now on (RFC 7692)."""
        agreed = DEFLATE.search(head)
        if agreed is None:
            return
        for way in self.ways.values():
            # The answer may have been read before the request, never the frames.
            who = b"client" if way.masks else b"server"
            way.compresses = True
            way.forgets = who + b"_no_context_takeover" in agreed[1]


class _Way:
    """The bytes of one direction."""

    def __init__(self) -> None:
        self.head = b""
        self.head_is_read = False
        self.masks = False
        self.compresses = False
        self.forgets = False
        self.inflate: zlib._Decompress | None = None
        self.lost = False  # a compressed message was too long to be kept
        self.inside_deflated = False
        self.start = b""  # of a frame's header
        self.frame: _Frame | None = None

    def feed(self, data: bytes) -> list[str]:
        """Give the words for every frame that ends in these bytes, and for a part."""
        words = []
        view = memoryview(data)
        while view or (self.frame and not self.frame.left):
            if self.frame is None:
                view = self._header(view)
                if self.frame is None:
                    break
            view = self.frame.take(view)
            if not self.frame.left:
                words.append(self._words(self.frame))
                self.frame = None
        if self.frame is not None:
            words.append(f"part of {self.frame.name} {_bytes(self.frame.length)}")
        elif self.start:
            words.append("part of a frame")
        return words

    def _header(self, view: memoryview) -> memoryview:
        """Read a header (RFC 6455 section 5.2) as far as it is there."""
        size = 2
        while True:
            missing = max(0, size - len(self.start))
            self.start += bytes(view[:missing])
            view = view[missing:]
            if len(self.start) < size:
                return view
            short = self.start[1] & 0x7F
            long = {126: 2, 127: 8}.get(short, 0)
            whole = 2 + long + (4 if self.start[1] & MASKED else 0)
            if whole == size:
                break
            size = whole
        length = int.from_bytes(self.start[2 : 2 + long], "big") if long else short
        deflated = self._is_deflated(self.start[0])
        self.frame = _Frame(self.start, length, deflated=deflated)
        self.start = b""
        return view

    def _is_deflated(self, first: int) -> bool:
        if not self.compresses or first & CONTROL:
            return False
        if first & 0x0F:
            self.inside_deflated = bool(first & DEFLATED)
        return self.inside_deflated

    def _words(self, frame: _Frame) -> str:
        payload: bytes | None = frame.payload()
        size = frame.length
        notes = []
        if frame.deflated:
            payload = self._inflated(frame, payload)
            size = len(payload) if payload is not None else size
            notes.append("deflate")
        if frame.rsv and not (frame.deflated and frame.rsv == DEFLATED):
            notes += [f"RSV{n}" for n in (1, 2, 3) if frame.rsv & (FIN >> n)]
        if frame.masked != self.masks:
            notes.append("masked" if frame.masked else "not masked")
        if not frame.fin:
            notes.append("continues")
        said = _said(frame.opcode, payload, size)
        return f"{frame.name} {said}".strip() + (
            f" ({', '.join(notes)})" if notes else ""
        )

    def _inflated(self, frame: _Frame, payload: bytes | None) -> bytes | None:
        if payload is None or len(payload) < frame.length:
            self.lost = self.lost or not self.forgets
        if self.lost or payload is None or len(payload) < frame.length:
            return None
        self.inflate = self.inflate or zlib.decompressobj(-15)
        end = b"\0\0\xff\xff" if frame.fin else b""
        try:
            said = self.inflate.decompress(payload + end, MOST)
        except zlib.error:
            self.lost = True
            return None
        if self.inflate.unconsumed_tail:
            self.lost = True
            return None
        if frame.fin and self.forgets:
            self.inflate = None
        return said


class _Frame:
    """One frame: its header, and as much of its payload as will be told."""

    def __init__(self, header: bytes, length: int, *, deflated: bool) -> None:
        self.fin = bool(header[0] & FIN)
        self.rsv = header[0] & RSV
        self.opcode = header[0] & 0x0F
        self.masked = bool(header[1] & MASKED)
        self.mask = header[-4:] if self.masked else b""
        self.length = self.left = length
        self.deflated = deflated
        self.keeps = LIMIT if deflated else 128
        self.kept = b""
        self.name = OPCODES.get(self.opcode, f"opcode {self.opcode:#x}")

    def take(self, view: memoryview) -> memoryview:
        """Take what belongs to this frame and give back the rest."""
        own, rest = view[: self.left], view[self.left :]
        self.kept += bytes(own[: max(0, self.keeps - len(self.kept))])
        self.left -= len(own)
        return rest

    def payload(self) -> bytes:
        """Give the payload, unmasked, as far as it was kept."""
        if not self.masked:
            return self.kept
        size = len(self.kept)
        mask = (self.mask * (size // 4 + 1))[:size]
        whole = int.from_bytes(self.kept, "big") ^ int.from_bytes(mask, "big")
        return whole.to_bytes(size, "big")


def _said(opcode: int, payload: bytes | None, size: int) -> str:
    """Say what a payload holds, in a few words."""
    if payload is None:
        return f"{_bytes(size)} on the wire"
    if opcode == 8 and size >= 2:
        code = str(int.from_bytes(payload[:2], "big"))
        return f"{code} {_quoted(payload[2:])}" if size > 2 else code
    if opcode in {0, 1, 9, 10} and size and _readable(payload[:PREVIEW]):
        if size <= PREVIEW:
            return _quoted(payload)
        if opcode == 1:
            return f'{_quoted(payload[:PREVIEW])[:-1]}…" {_bytes(size)}'
    return _bytes(size) if size else ""


def _readable(data: bytes) -> bool:
    text = data.decode("utf-8", "ignore")
    # The last character may be cut through.
    return len(text.encode()) > len(data) - 4 and all(
        each.isprintable() or each in "\n\r\t" for each in text
    )


def _quoted(data: bytes) -> str:
    text = data.decode("utf-8", "ignore")
    if not text.isprintable():
        text = text.encode("unicode_escape").decode()
    return f'"{text}"'


def _bytes(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"
