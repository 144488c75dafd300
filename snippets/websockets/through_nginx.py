"""What nginx does to a WebSocket handshake until three lines tell it otherwise.

Needs: Linux, nginx, pip install websockets
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import InvalidStatus

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
AROUND = """
daemon off;
{user}
pid {folder}/pid;
error_log {folder}/error.log info;
events {{}}
http {{
access_log {folder}/access.log;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{site}
}}
"""
# [steps]
STEPS = {
    "proxy_pass alone": "",
    "and HTTP/1.1": "proxy_http_version 1.1;",
    "and two headers": "proxy_http_version 1.1;"
    'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
}
# [/steps]


@contextlib.contextmanager
def nginx(listener: socket.socket, site: str) -> Iterator[Path]:
    """Run nginx with `site` inside http {}; give the folder of its logs.

    It takes over a socket that listens already, as at its own upgrades. So nobody
    can take the port in between, and clients may dial before nginx is up.

    Raises:
        OSError: nginx has ended by itself; the text is its log.
    """
    with tempfile.TemporaryDirectory() as folder:
        user = "user root;" if os.geteuid() == 0 else ""  # who may read the folder
        conf = Path(folder, "nginx.conf")
        conf.write_text(AROUND.format(user=user, folder=folder, site=site))
        with subprocess.Popen(
            [str(PROGRAM), "-p", folder, "-e", f"{folder}/error.log", "-c", conf],
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
        ) as process:
            listener.close()  # if nginx does not start, its clients shall notice
            try:
                yield Path(folder)
            finally:
                if process.poll():
                    raise OSError(Path(folder, "error.log").read_text())
                process.terminate()
                process.wait(5)


async def greet(websocket: ServerConnection) -> None:
    """Say one word."""
    await websocket.send("hello")


async def dial(port: int) -> str:
    """Dial nginx, and say what becomes of the handshake."""
    try:
        async with connect(
            f"ws://127.0.0.1:{port}/", user_agent_header=None, proxy=None
        ) as websocket:
            return f"101  {await websocket.recv()!r}"
    except InvalidStatus as refused:
        answer = (refused.response.body or b"").decode().splitlines()[0]
        return f"{refused.response.status_code}  {answer}"


async def main() -> None:
    """Add to the configuration, line by line, and dial each time."""
    with tempfile.TemporaryDirectory() as folder:
        serving = unix_serve(greet, f"{folder}/chat.sock", server_header=None)
        async with asyncio.timeout(10), serving:
            for name, lines in STEPS.items():
                with socket.create_server(("127.0.0.1", 0)) as door:
                    port = door.getsockname()[1]
                    target = f"proxy_pass http://unix:{folder}/chat.sock; {lines}"
                    site = f"listen 127.0.0.1:{port}; location / {{ {target} }}"
                    with nginx(door, f"server {{ {site} }}"):
                        print(f"{name}  {await dial(port)}")


if __name__ == "__main__":
    if sys.platform != "linux" or PROGRAM is None:
        print("This program needs Linux and nginx.")
    else:
        asyncio.run(main())
