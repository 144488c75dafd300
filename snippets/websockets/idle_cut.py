"""nginx cuts a WebSocket over which nothing is said for too long.

Needs: Linux, nginx, through_nginx.py, pip install websockets
"""

import asyncio
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path

from through_nginx import PROGRAM, nginx
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed

# [site]
SITE = """
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://unix:{folder}/chat.sock;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection "upgrade";
        proxy_read_timeout 1s;  # 60s unless you say another
    }}
}}
"""
# [/site]


async def until_the_end(port: int, ping_interval: float | None) -> None:
    """Print what comes, and how it ends."""
    async with connect(
        f"ws://127.0.0.1:{port}/", ping_interval=ping_interval, proxy=None
    ) as websocket:
        try:
            while True:
                print("client:", await websocket.recv())
        except ConnectionClosed as error:
            print("client:", error)
        print("client: code", websocket.close_code)


async def main(ping_interval: float | None = None) -> None:
    """Let a server be silent for 1.4 seconds, behind an nginx that waits for 1."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    server_saw: asyncio.Queue[str] = asyncio.Queue()

    async def news(websocket: ServerConnection) -> None:
        await websocket.send("first")
        try:
            async with asyncio.timeout(1.4):
                await websocket.recv()
        except TimeoutError:
            await websocket.send("second")
            server_saw.put_nowait("has said all")
        except ConnectionClosed as error:
            server_saw.put_nowait(str(error))

    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        port = door.getsockname()[1]
        serving = unix_serve(news, f"{folder}/chat.sock", ping_interval=None)
        async with asyncio.timeout(60), serving:
            with nginx(door, SITE.format(port=port, folder=folder)) as logs:
                await until_the_end(port, ping_interval)
                print("server:", await server_saw.get())
                log = await asyncio.to_thread(Path(logs, "error.log").read_text)
                for line in re.findall(r"upstream timed out.*?(?=, client)", log):
                    print("nginx:", line)


if __name__ == "__main__":
    if sys.platform != "linux" or PROGRAM is None:
        print("This program needs Linux and nginx.")
    else:
        asyncio.run(main())
