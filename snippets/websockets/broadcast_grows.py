"""broadcast() waits for nobody: what a client does not read piles up in the server.

Neither ping_timeout nor close_timeout ends that connection (websockets 17.4).

Needs: pip install websockets
"""

import asyncio
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

PICTURE = bytes(1_000_000)


async def handler(connection: ServerConnection) -> None:
    """Keep the connection until it is closed; broadcast() does the sending."""
    await connection.wait_closed()


async def main() -> None:
    """Broadcast ten times to a client that reads and to one that does not."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # accept() copies
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        asyncio.timeout(5),
        serve(
            handler,
            sock=listener,
            compression=None,
            ping_interval=0.2,
            ping_timeout=0.2,
            close_timeout=0.2,
        ) as server,
        connect(url, compression=None) as ann,
        connect(url, compression=None) as ben,
    ):
        for_ben = next(
            c for c in server.connections if c.remote_address == ben.local_address
        )
        ben.transport.pause_reading()
        for _ in range(10):
            broadcast(server.connections, PICTURE)
            await ann.recv()
        print("ann has got 10 pictures")
        waiting = for_ben.transport.get_write_buffer_size()
        print("waiting in the server's memory for ben:", waiting // 1_000_000, "MB")
        await asyncio.sleep(1)  # waits: five times as long as ping_timeout
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
