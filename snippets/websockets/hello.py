"""A WebSocket server and its client with the websockets library: send and receive.

Needs: pip install websockets
"""

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


async def handler(connection: ServerConnection) -> None:
    """Serve one client; the connection is closed when this returns."""
    await connection.send("welcome")  # nobody has asked
    async for message in connection:  # until the client closes
        await connection.send(f"{type(message).__name__} of {len(message)}")


async def main() -> None:
    """Start the server on a free port and talk to it."""
    async with asyncio.timeout(5), serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as client:
            print("client: recv() ->", await client.recv())
            for message in ("two words", "", b"\x00\x01\x02"):
                await client.send(message)
            print("client: sent three messages")
            for _ in range(3):
                print("client: recv() ->", await client.recv())
        print("client: closed with", client.close_code)


asyncio.run(main())
