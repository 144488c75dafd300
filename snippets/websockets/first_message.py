"""The first message is the token, and the connection ends when the token does.

Needs: pip install websockets
Varies: chat_{text}"
"""

import asyncio
import contextlib
import secrets
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PATIENCE = 5.0  # seconds for the first message
tokens: dict[str, tuple[str, float]] = {}  # a token -> whose it is, and its end


def issue(user: str, seconds: float) -> str:
    """Make a token; in your project the page gets it from its login, by HTTPS."""
    for old in [old for old, (_, end) in tokens.items() if end < time.monotonic()]:
        del tokens[old]
    token = "chat_" + secrets.token_urlsafe(16)  # a prefix that leak scanners find
    tokens[token] = user, time.monotonic() + seconds
    return token


async def handle(websocket: ServerConnection) -> None:
    """Serve one client, for as long as its token holds."""
    try:
        async with asyncio.timeout(PATIENCE):
            token = str(await websocket.recv())
    except TimeoutError:
        await websocket.close(1008, "no token came")
        return
    except ConnectionClosed:
        return  # it has left: no error, and no traceback in the log
    user, end = tokens.get(token, ("", 0))
    left = end - time.monotonic()
    if left <= 0:
        await websocket.close(1008, "bad token")
        return
    try:
        async with asyncio.timeout(left) as clock:
            with contextlib.suppress(ConnectionClosed):
                await websocket.send(f"welcome, {user}")
                await websocket.wait_closed()  # in your project, the conversation
    except TimeoutError:
        if not clock.expired():
            raise  # from the conversation
        await websocket.close(1008, "token has ended")


async def main() -> None:
    """Send a token that holds for half a second, and stay."""
    async with asyncio.timeout(5), serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with connect(uri, proxy=None, compression=None) as websocket:
            await websocket.send(issue("alice", 0.5))
            try:
                while True:
                    print(await websocket.recv())
            except ConnectionClosed as end:
                print(end)


if __name__ == "__main__":
    asyncio.run(main())
