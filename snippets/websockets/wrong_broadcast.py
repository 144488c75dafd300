"""Wrong on purpose: one client that does not read stops a loop of await send().

Needs: pip install websockets
"""

import asyncio
import contextlib
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PICTURE = bytes(400_000)
members: list[ServerConnection] = []


async def handler(connection: ServerConnection) -> None:
    """Keep the connection until it is closed; tell_all() does the sending."""
    members.append(connection)
    await connection.wait_closed()


async def tell_all(message: bytes) -> None:
    """Send to one client after the other."""
    for member in members:
        with contextlib.suppress(ConnectionClosed):
            await member.send(message)


async def main() -> None:
    """Send a picture to two clients, of which the first has stopped reading."""
    serving = serve(handler, "127.0.0.1", 0, ping_interval=None, compression=None)
    async with asyncio.timeout(5), serving as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url) as ben, connect(url) as eve:
            for_ben = members[0].transport
            in_kernel = for_ben.get_extra_info("socket")
            in_kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ben.transport.pause_reading()  # his phone is in a lift
            telling = asyncio.create_task(tell_all(PICTURE), name="tell_all")
            try:
                async with asyncio.timeout(0.5):
                    print("eve got", len(await eve.recv()), "bytes")
            except TimeoutError:
                print("eve got nothing in 0.5 seconds")
            print("tell_all() has returned:", telling.done())
            waiting = for_ben.get_write_buffer_size()
            print("more than 100000 bytes wait here for ben:", waiting > 100_000)

            for_ben.abort()
            print("ben is cut off, and eve got", len(await eve.recv()), "bytes")
            await telling
            ben.transport.abort()  # he reads nothing: a close would wait for him


asyncio.run(main())
