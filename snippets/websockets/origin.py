"""A server takes the pages of its own origin, and refuses those of any other.

Needs: pip install websockets
"""

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

OURS = Origin("https://app.example")


async def greet(websocket: ServerConnection) -> None:
    """Say what only a page of ours may read."""
    await websocket.send("the balance is 100")


async def dial(uri: str, origin: Origin | None) -> str:
    """Do what a browser does for a page of this origin, and say what comes of it."""
    try:
        async with connect(uri, origin=origin, proxy=None) as websocket:
            return f"101  {await websocket.recv()!r}"
    except InvalidStatus as refused:
        why = (refused.response.body or b"").decode().rpartition("connection: ")[2]
        return f"{refused.response.status_code}  {why.strip()}"


async def main() -> None:
    """Knock with the right origin, with some that resemble it, and with none."""
    async with asyncio.timeout(5), serve(greet, "127.0.0.1", 0, origins=[OURS]) as it:
        uri = f"ws://127.0.0.1:{it.sockets[0].getsockname()[1]}/"
        for end in ("", ":8443", ".evil.example"):
            print(f"{OURS}{end}  {await dial(uri, Origin(OURS + end))}")
        print(f"http://app.example  {await dial(uri, Origin('http://app.example'))}")
        print(f"null  {await dial(uri, Origin('null'))}")
        print(f"none at all  {await dial(uri, None)}")


asyncio.run(main())
