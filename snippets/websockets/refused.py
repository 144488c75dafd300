"""Ask wrongly for a WebSocket, in nine ways, and see what the core answers.

Needs: rfc6455.py
"""

from rfc6455 import HandshakeError, Request, ServerConnection

RIGHT = b"""\
GET /chat HTTP/1.1
Host: 127.0.0.1
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Sec-WebSocket-Version: 13

""".replace(b"\n", b"\r\n")
CHANGES = {
    "nothing wrong": (b"", b""),
    "no Upgrade": (b"Upgrade: websocket\r\n", b""),
    "Connection: keep-alive": (b"Connection: Upgrade", b"Connection: keep-alive"),
    "version 12": (b"13\r\n", b"12\r\n"),
    "no key": (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "a key of 3 bytes": (b"dGhlIHNhbXBsZSBub25jZQ==", b"a2V5"),
    "no Host": (b"Host: 127.0.0.1\r\n", b""),
    "POST": (b"GET", b"POST"),
    "HTTP/1.0": (b"HTTP/1.1", b"HTTP/1.0"),
    "17 kB of head": (b"Host", b"Cookie: " + b"x" * 17_000 + b"\r\nHost"),
}


def answer(request: bytes) -> str:
    """Return the first line of what a server says to this request."""
    server = ServerConnection()
    server.feed(request)
    for event in server.events():
        if isinstance(event, Request):
            try:
                server.accept()
            except HandshakeError as error:
                server.respond(error.status, f"{error}\n")
    head, _, body = server.data_to_send().decode().partition("\r\n\r\n")
    return f"{head.splitlines()[0]:44}  {body.strip()}".rstrip()


for what, (old, new) in CHANGES.items():
    print(f"{what:22}  {answer(RIGHT.replace(old, new, 1))}")
