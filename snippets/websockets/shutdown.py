"""A server closes: the client gets what was sent before, and then code 1001.

Needs: pip install websockets
"""

import asyncio

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def handler(connection: ServerConnection) -> None:
    """Send three messages; then stay until the connection is closed."""
    for number in (1, 2, 3):
        await connection.send(f"message {number}")
    await connection.wait_closed()


async def main() -> None:
    """Close the server before the client has read anything."""
    async with asyncio.timeout(5), serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as client:
            server.close()  # 1001 to everybody; await wait_closed() for their answers
            try:
                while True:
                    print("client: recv() ->", await client.recv())
            except ConnectionClosed as closed:
                print("client: recv() raises", type(closed).__name__)
                print("       ", closed)
            try:
                await client.send("one more")
            except ConnectionClosed as closed:
                print("client: send() raises", type(closed).__name__)
        await server.wait_closed()
        print("server: closed")


asyncio.run(main())
