"""Poison the cache of a careless proxy by a WebSocket, without a mask and with one.

Needs: rfc6455.py
"""

import re
import secrets

from rfc6455 import Header, Opcode, apply_mask

# What a page of the attacker lets the victim's browser send as a message.
MESSAGE = b"GET /jquery.js HTTP/1.1\r\nHost: cdn.example\r\n\r\n"
# What the attacker's own server sends back, at the same time.
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nalert('owned')"


def careless_proxy(to_server: bytes, to_client: bytes) -> dict[str, bytes]:
    """Cache each answer under the request before it, wherever it finds one."""
    requests = re.findall(rb"GET (\S+) HTTP/1\.1\r\nHost: (\S+)\r\n", to_server)
    answers = re.findall(rb"HTTP/1\.1 200 OK\r\n.*?\r\n\r\n(.*)", to_client, re.DOTALL)
    return {
        f"http://{host.decode()}{path.decode()}": body
        for (path, host), body in zip(requests, answers, strict=False)
    }


for key in (None, secrets.token_bytes(4)):
    payload = apply_mask(MESSAGE, key) if key else MESSAGE
    frame = Header(Opcode.TEXT, len(payload), key=key).encode() + payload
    cache = careless_proxy(to_server=frame, to_client=ANSWER)
    print("with a mask:   " if key else "without a mask:", cache)
