"""A WebSocket server behind nginx and TLS, and what it learns of its clients.

Needs: Linux, nginx, chat.conf, through_nginx.py
Needs: pip install websockets, pip install trustme
"""

import asyncio
import signal
import socket
import ssl
import sys
import tempfile
from pathlib import Path

import trustme
from through_nginx import PROGRAM, nginx
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

NAME = "chat.example"
TOLD = ("Host", "Upgrade", "Connection", "X-Forwarded-For", "X-Forwarded-Proto")


def my_site(port: int, backend: int, folder: str) -> str:
    """Put the ports and files of this run into chat.conf."""
    site = Path(__file__).with_name("chat.conf").read_text()
    for theirs, ours in {
        "server 127.0.0.1:8002;": "",
        "listen [::]:443 ssl;": "",
        "127.0.0.1:8001": f"127.0.0.1:{backend}",
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/nginx/": f"{folder}/",
    }.items():
        site = site.replace(theirs, ours)
    return site


def make_certificate(folder: str) -> ssl.SSLContext:
    """Write a certificate and its key; give a client's context that trusts it."""
    authority = trustme.CA()
    made = authority.issue_cert(NAME)
    chain = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    Path(folder, "chat.pem").write_bytes(chain)
    made.private_key_pem.write_to_path(Path(folder, "chat.key"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return trusting


async def describe(websocket: ServerConnection) -> None:
    """Send back the header lines that tell of the client and of the proxy."""
    assert websocket.request is not None
    for name in TOLD:
        await websocket.send(f"{name}: {websocket.request.headers.get(name)}")
    await websocket.send(f"the connection comes from {websocket.remote_address[0]}")


async def main() -> None:
    """Dial wss through nginx, with a header that claims to be another address."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        trusting = make_certificate(folder)
        port = door.getsockname()[1]
        async with asyncio.timeout(60), serve(describe, "127.0.0.1", 0) as server:
            backend = server.sockets[0].getsockname()[1]
            with nginx(door, my_site(port, backend, folder)):
                async with connect(
                    f"wss://{NAME}:{port}/",
                    host="127.0.0.1",  # here no resolver knows the name
                    ssl=trusting,
                    proxy=None,
                    additional_headers={"X-Forwarded-For": "203.0.113.9"},
                ) as websocket:
                    async for line in websocket:
                        print(line)


if sys.platform != "linux" or PROGRAM is None:
    print("This program needs Linux and nginx.")
else:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    asyncio.run(main())
