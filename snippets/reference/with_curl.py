"""What curl shows of a WebSocket handshake: the answer, word for word.

Needs: curl
Needs: pip install websockets
Varies: Date: {text}
"""

import asyncio
import shlex
import shutil
import subprocess

from websockets.asyncio.server import ServerConnection, serve

UPGRADE = [
    *("-H", "Connection: Upgrade", "-H", "Upgrade: websocket"),
    *("-H", "Sec-WebSocket-Version: 13"),
    *("-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
]


async def ask(port: int, *more: str) -> None:
    """Print what curl gets from a port: the status line and the headers."""
    command = ["curl", "--http1.1", "-sN", *more, "-o", "/dev/null", "-D", "-"]
    command += ["--connect-to", f"::127.0.0.1:{port}", "http://chat.example/"]
    print("$", shlex.join(command))
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await asyncio.wait_for(client.communicate(), 5)
    print("\n".join(out.decode().split("\r\n")).strip())


async def leave(websocket: ServerConnection) -> None:
    """Do nothing: the WebSocket is closed at once."""


async def main() -> None:
    """Ask a WebSocket server with and without the fields of a handshake."""
    async with serve(
        leave, "127.0.0.1", 0, server_header=None, compression=None, close_timeout=0.2
    ) as server:
        port = server.sockets[0].getsockname()[1]
        await ask(port)
        await ask(port, *UPGRADE)


if shutil.which("curl"):
    asyncio.run(main())
else:
    print("There is no curl here.")
