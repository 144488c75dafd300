"""The first message is the token: who sends another one, or none, is out.

Needs: pip install websockets
Varies: chat_{text}"
"""

import asyncio
import contextlib
import secrets
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

PATIENCE = 0.3  # seconds for the first message; some 5 on a real network
tokens: dict[str, tuple[str, float]] = {}  # a token -> whose it is, and when it ends


def issue(user: str, seconds: float) -> str:
    """Make a token; in your project the page gets it from its login, by HTTPS."""
    token = "chat_" + secrets.token_urlsafe(16)  # a prefix that leak scanners find
    tokens[token] = user, time.monotonic() + seconds
    return token


async def handle(websocket: ServerConnection) -> None:
    """Serve one client, for as long as its token holds."""
    try:
        async with asyncio.timeout(PATIENCE):
            first = await websocket.recv()
    except TimeoutError:
        await websocket.close(1008, "no token came")
        return
    user, end = tokens.get(str(first), ("", 0))
    left = end - time.monotonic()
    if left <= 0:
        await websocket.close(1008, "bad token")
        return
    try:
        async with asyncio.timeout(left):
            await websocket.send(f"welcome, {user}")
            async for message in websocket:
                if message == "bye":
                    return
    except TimeoutError:
        await websocket.close(1008, "token has ended")


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
    """Dial four times."""
    async with asyncio.timeout(5), serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await dial(uri, issue("alice", 60), "bye")
        await dial(uri, "a guess")
        await dial(uri)
        await dial(uri, issue("bob", 0.2))


asyncio.run(main())
