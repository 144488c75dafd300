"""What nginx does to a WebSocket handshake until three lines tell it otherwise.

The defaults are those of nginx until 1.29.6, written out so that newer ones do the
same.

Needs: Linux, nginx, pip install websockets
"""

import asyncio
import contextlib
import os
import shutil
import signal
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
pid pid;
error_log error.log info;
events {{}}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {site}
}}
"""
# [steps]
DEFAULTS = """
proxy_http_version 1.0;
proxy_set_header Connection close;
"""
LINES = (
    "",  # proxy_pass alone
    "proxy_http_version 1.1;",
    'proxy_set_header Connection "upgrade";',
    "proxy_set_header Upgrade $http_upgrade;",
)
# [/steps]


@contextlib.contextmanager
def nginx(listener: socket.socket, site: str) -> Iterator[Path]:
    """Run nginx with `site` inside http {}; give the folder of its logs.

    It takes over a socket that listens already, as at its own upgrades: nobody can
    take the port in between, and clients may dial at once.

    Raises:
        OSError: nginx has ended by itself; the text is its log.
    """
    # nginx leaves it as it is. Else a worker that lost the race for a client would
    # sleep in accept(), with all its WebSockets.
    listener.settimeout(0)
    with tempfile.TemporaryDirectory() as folder:
        user = "user root;" if os.geteuid() == 0 else ""  # who may read the folder
        Path(folder, "nginx.conf").write_text(AROUND.format(user=user, site=site))
        with subprocess.Popen(
            [str(PROGRAM), "-p", folder, "-e", "error.log", "-c", "nginx.conf"],
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
        ) as process:
            listener.close()  # if nginx does not start, its clients shall notice
            try:
                yield Path(folder)
            finally:
                process.terminate()
                if process.wait(5) > 0:  # it had ended by itself
                    raise OSError(Path(folder, "error.log").read_text())


async def stay(websocket: ServerConnection) -> None:
    """Hold the connection until the client leaves."""
    await websocket.wait_closed()


async def dial(port: int) -> str:
    """Ask for a WebSocket, and say what the answer is."""
    try:
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None):
            return "101  Switching Protocols"
    except InvalidStatus as refused:
        told = (refused.response.body or b"").decode()
        return f"{refused.response.status_code}  {told.splitlines()[0]}"


async def main() -> None:
    """Add to the configuration, line by line, and dial each time."""
    with tempfile.TemporaryDirectory() as folder:
        serving = unix_serve(stay, f"{folder}/chat.sock", server_header=None)
        async with asyncio.timeout(60), serving:
            lines = f"proxy_pass http://unix:{folder}/chat.sock;"
            for line in LINES:
                lines += line
                with socket.create_server(("127.0.0.1", 0)) as door:
                    port = door.getsockname()[1]
                    site = f"listen 127.0.0.1:{port}; location / {{ {lines} }}"
                    with nginx(door, f"{DEFAULTS} server {{ {site} }}"):
                        told = await dial(port)
                print(f"{line or 'proxy_pass alone'}  {told}")


if __name__ == "__main__":
    if sys.platform != "linux" or PROGRAM is None:
        print("This program needs Linux and nginx.")
    else:
        # As at Ctrl-C: asyncio cancels main(), which ends nginx.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        asyncio.run(main())
