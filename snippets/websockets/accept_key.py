"""Compute the answer to a WebSocket key, with the example of the RFC."""

import base64
import hashlib

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def accept_value(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    digest = hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


key = "dGhlIHNhbXBsZSBub25jZQ=="
print("the key is", base64.b64decode(key))
print(key, "->", accept_value(key))
