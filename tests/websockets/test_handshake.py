"""The claims of the chapter on the WebSocket handshake."""

from __future__ import annotations

import base64
import hashlib

from handbook.claims import claim

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@claim("accept-is-sha1-of-key-and-guid", "RFC 6455 section 1.3 and 4.2.2")
def test_the_accept_value_of_the_rfc() -> None:
    """Sec-WebSocket-Accept is base64(SHA-1(key + a fixed GUID)), nothing secret."""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    digest = hashlib.sha1(key + GUID, usedforsecurity=False).digest()
    assert base64.b64encode(digest) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
