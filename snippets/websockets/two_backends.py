"""Which of two servers a WebSocket comes to, by the method that nginx is given.

Needs: Linux, nginx, through_nginx.py, pip install websockets
"""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable

from through_nginx import PROGRAM, nginx
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, unix_serve

SITE = """
upstream chat {{
    {method}
    zone chat 64k;
    server unix:{folder}/a.sock;
    server unix:{folder}/b.sock;
}}
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://chat;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
    }}
}}
"""
# [methods]
METHODS = {
    "round robin": "",
    "least_conn": "least_conn;",
    "ip_hash": "ip_hash;",
    "hash of the room": "hash $arg_room;",
}
# [/methods]


def named(name: str) -> Callable[[ServerConnection], Awaitable[None]]:
    """Make a handler that says which server it belongs to."""

    async def handle(websocket: ServerConnection) -> None:
        await websocket.send(name)
        await websocket.wait_closed()

    return handle


async def dial(port: int) -> str:
    """Open six WebSockets, two to a room, and say who answers each."""
    answers = []
    async with contextlib.AsyncExitStack() as stack:
        for room in "xxyyzz":
            uri = f"ws://127.0.0.1:{port}/?room={room}"
            websocket = await stack.enter_async_context(connect(uri, proxy=None))
            answers.append(str(await websocket.recv()))
    return " ".join(answers)


async def main() -> None:
    """Try each method."""
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name in "ab":
            path = f"{folder}/{name}.sock"
            await stack.enter_async_context(unix_serve(named(name.upper()), path))
        for name, method in METHODS.items():
            with socket.create_server(("127.0.0.1", 0)) as door:
                port = door.getsockname()[1]
                site = SITE.format(method=method, folder=folder, port=port)
                with nginx(door, site):
                    print(f"{name}  {await dial(port)}")


if sys.platform != "linux" or PROGRAM is None:
    print("This program needs Linux and nginx.")
else:
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    asyncio.run(main())
