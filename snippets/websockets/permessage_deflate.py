"""Compression of WebSocket messages to copy: permessage-deflate (RFC 7692).

An extension for rfc6455.py: make a new one for each connection. It prints what
compression does to four messages, and what it costs in memory.

Needs: rfc6455.py
"""

from __future__ import annotations

import re
import zlib
from http import HTTPStatus

from rfc6455 import Code, Extension, HandshakeError, ProtocolError, tokens

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"  # ends what a sync flush gives, and is left out
MAX_STREAMS = 100  # that end within one piece of a message
FLAGS = {"server_no_context_takeover", "client_no_context_takeover"}
BITS = {"server_max_window_bits", "client_max_window_bits"}
Parameters = dict[str, int | None]


def parse(extension: str) -> Parameters | None:
    """Read `permessage-deflate; name; name=value`; None if it is not in order."""
    name, *pieces = (piece.strip(" \t") for piece in extension.split(";"))
    found: Parameters = {}
    for piece in pieces:
        key, equals, value = (part.strip(" \t") for part in piece.partition("="))
        value = value.removeprefix('"').removesuffix('"')
        bits = re.fullmatch("[89]|1[0-5]", value)
        fits = bits if equals else key in FLAGS or key == "client_max_window_bits"
        if key in found or key not in FLAGS | BITS or not fits:
            return None
        if equals and key in FLAGS:
            return None
        found[key] = int(value) if equals else None
    return found if name == NAME else None


class PermessageDeflate(Extension):
    """Compresses the messages of one connection.

    Args:
        window_bits: 9 to 15; how far back, as a power of 2, a repetition is found.
        takeover: whether a message may repeat what earlier messages said. Without,
            every message is compressed alone, and nothing is kept between them.
    """

    def __init__(self, *, window_bits: int = 12, takeover: bool = True) -> None:
        """Begin without having agreed on anything."""
        if not 9 <= window_bits <= 15:  # zlib has no raw stream with 8
            raise ValueError(f"window_bits {window_bits}, not 9 to 15")
        self._bits_out = self._bits_in = window_bits
        self._takeover_out = self._takeover_in = takeover
        self._compressor: zlib._Compress | None = None
        self._decompressor: zlib._Decompress | None = None

    def offer(self) -> str:
        """Offer to use a smaller window if the server wants that."""
        offered = f"{NAME}; client_max_window_bits"
        if not self._takeover_in:
            offered += "; server_no_context_takeover"
        if not self._takeover_out:
            offered += "; client_no_context_takeover"
        return offered

    def answer(self, offered: str) -> str | None:
        """Take the first offer that can be met (RFC 7692 section 7.1)."""
        for extension in tokens(offered):
            asked = parse(extension)
            bits = asked and asked.get("server_max_window_bits")
            if asked is None or bits == 8:
                continue
            self._bits_out = min(self._bits_out, bits or 15)
            chosen = [NAME, f"server_max_window_bits={self._bits_out}"]
            if "server_no_context_takeover" in asked or not self._takeover_out:
                self._takeover_out = False
                chosen.append("server_no_context_takeover")
            if "client_no_context_takeover" in asked or not self._takeover_in:
                self._takeover_in = False
                chosen.append("client_no_context_takeover")
            if "client_max_window_bits" in asked:
                bits = min(self._bits_in, asked["client_max_window_bits"] or 15)
                self._bits_in = max(9, bits)  # zlib reads 8 with 9
                chosen.append(f"client_max_window_bits={bits}")
            else:
                self._bits_in = 15  # the client has not said that it can use less
            return "; ".join(chosen)
        return None

    def confirm(self, answered: str) -> None:
        """Take what the server chose; HandshakeError if it was not on offer."""
        agreed = parse(answered)
        if agreed is None or agreed.get("client_max_window_bits", 9) in {None, 8}:
            raise HandshakeError(HTTPStatus.BAD_GATEWAY, f"not on offer: {answered}")
        if not self._takeover_in and "server_no_context_takeover" not in agreed:
            raise HandshakeError(HTTPStatus.BAD_GATEWAY, "the server keeps its context")
        self._bits_out = min(
            self._bits_out, agreed.get("client_max_window_bits") or self._bits_out
        )
        self._bits_in = max(9, agreed.get("server_max_window_bits") or 15)
        if "client_no_context_takeover" in agreed:
            self._takeover_out = False
        self._takeover_in = "server_no_context_takeover" not in agreed

    def encode(self, data: bytes, *, fin: bool) -> bytes:
        """Compress the payload of a frame (section 7.2.1)."""
        if self._compressor is None:
            self._compressor = zlib.compressobj(
                wbits=-self._bits_out, memLevel=self._bits_out - 7
            )
        packed = self._compressor.compress(data)
        packed += self._compressor.flush(zlib.Z_SYNC_FLUSH)
        if not fin:
            return packed
        if not self._takeover_out:
            self._compressor = None
        return packed.removesuffix(TAIL) or b"\x00"

    def decode(self, data: bytes, *, fin: bool, limit: int) -> bytes:
        """Expand what came of a message, and never much more than limit (7.2.2)."""
        data += TAIL if fin else b""
        expanded = b""
        streams = 0
        try:
            while data:
                if self._decompressor is None:
                    self._decompressor = zlib.decompressobj(-self._bits_in)
                room = limit + 1 - len(expanded)
                expanded += self._decompressor.decompress(data, room)
                if len(expanded) > limit:
                    raise ProtocolError(Code.TOO_BIG, "message too long, expanded")
                data = self._decompressor.unconsumed_tail
                if self._decompressor.eof:  # a sender may end its stream (7.2.3.4)
                    streams += 1
                    if streams > MAX_STREAMS:
                        raise ProtocolError(Code.PROTOCOL_ERROR, "too many streams")
                    data, self._decompressor = self._decompressor.unused_data, None
        except zlib.error:
            raise ProtocolError(Code.INVALID_DATA, "not compressed data") from None
        if fin and not self._takeover_in:
            self._decompressor = None
        return expanded


def main() -> None:
    """Compress four messages, one after the other and each alone."""
    tick = b'{"symbol": "ABC", "price": 101.25, "size": 300}'
    messages = [b"Hello", tick, tick.replace(b"101.25", b"101.50"), bytes(100_000)]
    kept, alone = PermessageDeflate(), PermessageDeflate(takeover=False)
    for extension in (kept, alone):
        extension.answer(extension.offer())
    print("  bytes  with context  alone")
    for message in messages:
        sizes = [len(e.encode(message, fin=True)) for e in (kept, alone)]
        print(f"{len(message):7,}  {sizes[0]:12,}  {sizes[1]:5,}")


if __name__ == "__main__":
    main()
