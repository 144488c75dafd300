"""What the chapter @part@/@chapter@ claims."""

from __future__ import annotations

import socket

from handbook.claims import claim

SECONDS = 5.0


# To do: put your claim here: an id, its source, the sentence, and a test that can fail.
@claim(
    "@chapter@-last-words",
    "RFC 9293 section 3.6",
    "recv(2)",
    often_said="When the client closes, what the server has not read yet is lost.",
)
def test_bytes_sent_before_close_are_still_read(listener: socket.socket) -> None:
    """What a client sent before it closed can still be read, and then comes the end."""
    address = listener.getsockname()
    with socket.create_connection(address, SECONDS) as client:
        client.sendall(b"last words")
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(SECONDS)
        read = b""
        while data := connection.recv(1024):
            read += data
    assert read == b"last words"
