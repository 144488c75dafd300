"""A connection outlives the token that opened it, unless the server ends it.

Needs: pip install websockets
"""

import asyncio
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ENDS = {"chat_3f9c": time.monotonic() + 0.5}  # when each token ends


async def handle(websocket: ServerConnection) -> None:
    """Serve one client until its token ends."""
    token = str(await websocket.recv())  # with a limit, as in first_message.py
    left = ENDS.get(token, 0) - time.monotonic()
    if left <= 0:
        await websocket.close(1008, "bad token")
        return
    try:
        async with asyncio.timeout(left):
            await websocket.send("welcome")
            await websocket.wait_closed()  # in your project, the conversation
    except TimeoutError:
        await websocket.close(1008, "token has ended")


async def main() -> None:
    """Send the token, and stay."""
    async with asyncio.timeout(5), serve(handle, "127.0.0.1", 0) as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with connect(uri, proxy=None, compression=None) as websocket:
            await websocket.send("chat_3f9c")
            try:
                while True:
                    print(await websocket.recv())
            except ConnectionClosed as end:
                print(end)


asyncio.run(main())
