"""The first message is the token: who sends another one, or none, is out.

Needs: pip install websockets
Varies: chat_{text}"
"""

import asyncio
import contextlib
import secrets

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

PATIENCE = 0.3  # seconds for the first message; some 5 on a real network
tokens: dict[str, str] = {}  # a token -> whose it is


def issue(user: str) -> str:
    """Make a token; in your project the page gets it from its login, by HTTPS."""
    token = "chat_" + secrets.token_urlsafe(16)  # a prefix that leak scanners find
    tokens[token] = user
    return token


async def handle(websocket: ServerConnection) -> None:
    """Serve one client, once it has said who it is."""
    try:
        async with asyncio.timeout(PATIENCE):
            first = await websocket.recv()
    except TimeoutError:
        await websocket.close(1008, "no token came")
        return
    user = tokens.get(str(first))
    if user is None:
        await websocket.close(1008, "bad token")
        return
    await websocket.send(f"welcome, {user}")


async def dial(uri: str, *messages: str) -> None:
    """Send the messages, and print what comes until the server closes."""
    async with connect(uri, proxy=None) as websocket:
        for message in messages:
            await websocket.send(message)
        with contextlib.suppress(ConnectionClosedError):
            async for answer in websocket:
                print(answer, end=" -> ")
        print(websocket.close_code, websocket.close_reason or "in order")


async def main() -> None:
    """Dial with a token, with a guess, and without a word."""
    async with asyncio.timeout(5), serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await dial(uri, issue("alice"))
        await dial(uri, "a guess")
        await dial(uri)


asyncio.run(main())
