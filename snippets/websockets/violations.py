"""Send a server fourteen wrong frames, and see the code that it closes with.

Needs: rfc6455.py
"""

from rfc6455 import Closed, Request, ServerConnection, apply_mask

KEY = b"\x01\x02\x03\x04"
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def frame(first: int, payload: bytes = b"", length: bytes | None = None) -> bytes:
    """Make a masked frame of any first byte and any length field."""
    size = bytes([0x80 | len(payload)]) if length is None else length
    return bytes([first]) + size + KEY + apply_mask(payload, KEY)


WRONG = {
    "not masked": b"\x81\x05Hello",
    "a reserved bit": frame(0xC1, b"x"),
    "a reserved opcode": frame(0x83, b"x"),
    "a ping in fragments": frame(0x09, b"x"),
    "a ping of 126 bytes": frame(0x89, b"x" * 126, b"\xfe\x00\x7e"),
    "nothing to continue": frame(0x80, b"x"),
    "text within a message": frame(0x01, b"x") + frame(0x81, b"y"),
    "a length of 5 in 16 bits": frame(0x81, b"Hello", b"\xfe\x00\x05"),
    "a length of 2^63": frame(0x82, b"", b"\xff\x80" + bytes(7)),
    "a length of 2^63 - 1": frame(0x82, b"", b"\xff\x7f" + b"\xff" * 7),
    "text that is not UTF-8": frame(0x81, b"\xff"),
    "a close of 1 byte": frame(0x88, b"\x03"),
    "a close with 1006": frame(0x88, (1006).to_bytes(2, "big")),
    "a reason not in UTF-8": frame(0x88, b"\x03\xe8\xff"),
}

for what, data in WRONG.items():
    server = ServerConnection()
    server.feed(REQUEST)
    for event in server.events():
        if isinstance(event, Request):
            server.accept()
    server.feed(data)
    (closed,) = (event for event in server.events() if isinstance(event, Closed))
    print(f"{what:24}  {closed.sent}  {closed.error}")
