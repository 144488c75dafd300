"""A WebSocket by hand: two sockets, an HTTP request, its answer, and two frames."""

import base64
import hashlib
import re
import socket
import threading
from typing import BinaryIO

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
REQUEST = b"""\
GET /chat HTTP/1.1
Host: 127.0.0.1
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Version: 13

""".replace(b"\n", b"\r\n")
ANSWER = b"""\
HTTP/1.1 101 Switching Protocols
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Accept: %s

""".replace(b"\n", b"\r\n")


def read_head(stream: BinaryIO) -> bytes:
    """Read up to the empty line that ends the head of an HTTP message."""
    return b"".join(iter(stream.readline, b"\r\n"))


def serve(listener: socket.socket) -> None:
    """Answer one handshake, then read one frame and send one."""
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as stream:
        connection.settimeout(5)
        match = re.search(rb"Sec-WebSocket-Key: (\S+)", read_head(stream))
        assert match is not None
        digest = hashlib.sha1(match[1] + GUID, usedforsecurity=False).digest()
        connection.sendall(ANSWER % base64.b64encode(digest))
        print("server reads", stream.read(11).hex(" "))
        connection.sendall(b"\x81\x05Hello")


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    server = threading.Thread(target=serve, args=(listener,), name="server")
    server.start()
    client = socket.create_connection(listener.getsockname(), timeout=5)
    with client, client.makefile("rb") as stream:
        client.sendall(REQUEST)
        print(*read_head(stream).decode().splitlines(), sep="\n")
        client.sendall(bytes.fromhex("818537fa213d7f9f4d5158"))  # section 5.7
        print("client reads", stream.read(7))
    server.join()
