"""broadcast() waits for nobody: what a client does not read piles up in the server.

Neither ping_timeout nor close_timeout ends that connection (websockets 17.4).

Needs: pip install websockets
Varies: recv() -> {int} bytes of what the kernel had room for
"""

import asyncio
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

PICTURE = bytes(500_000)
members: list[ServerConnection] = []


async def handler(connection: ServerConnection) -> None:
    """Keep the connection until it is closed; broadcast() does the sending."""
    members.append(connection)
    await connection.wait_closed()


async def main() -> None:
    """Broadcast five times to a client that reads and to one that does not."""
    serving = serve(
        handler,
        "127.0.0.1",
        0,
        compression=None,
        ping_interval=0.5,
        ping_timeout=0.2,
        close_timeout=0.2,
    )
    async with asyncio.timeout(5), serving as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url) as ben:
            [for_ben] = members
            in_kernel = for_ben.transport.get_extra_info("socket")
            in_kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ben.transport.pause_reading()
            async with connect(url) as ann:
                for _ in range(5):
                    broadcast(members, PICTURE)
                    await ann.recv()
                print("ann has got 5 pictures")
            waiting = for_ben.transport.get_write_buffer_size()
            print("more than 2000000 bytes wait here for ben:", waiting > 2_000_000)
            await asyncio.sleep(1)  # waits: longer than ping_interval and ping_timeout
            print("a second later his connection is", for_ben.state.name)
            try:
                async with asyncio.timeout(0.5):
                    await for_ben.close()
            except TimeoutError:
                print("close() has not returned in 0.5 seconds")
            for_ben.transport.abort()
            ben.transport.resume_reading()
            try:
                while True:
                    await ben.recv()
            except ConnectionClosed as closed:
                print("after abort() ben's recv() says:", closed)


asyncio.run(main())
