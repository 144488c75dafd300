"""Wrong on purpose: one client that does not read stops a loop of await send().

Needs: pip install websockets
"""

import asyncio
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

PICTURE = bytes(500_000)
members: list[ServerConnection] = []


async def handler(connection: ServerConnection) -> None:
    """Keep the connection until it is closed; tell_all() does the sending."""
    members.append(connection)
    await connection.wait_closed()


async def tell_all(message: bytes) -> None:
    """Send to one client after the other."""
    for member in members:
        await member.send(message)


async def main() -> None:
    """Send a picture to three clients, of which the second has stopped reading."""
    async with (
        asyncio.timeout(5),
        serve(handler, "127.0.0.1", 0, compression=None) as server,
    ):
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url) as ann, connect(url) as ben, connect(url) as eve:
            for_ben = members[1].transport
            in_kernel = for_ben.get_extra_info("socket")
            in_kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ben.transport.pause_reading()  # his phone is in a lift
            telling = asyncio.create_task(tell_all(PICTURE), name="tell_all")
            print("ann got", len(await ann.recv()), "bytes")
            try:
                async with asyncio.timeout(0.5):
                    print("eve got", len(await eve.recv()), "bytes")
            except TimeoutError:
                print("eve got nothing in 0.5 seconds")
            waiting = for_ben.get_write_buffer_size()
            print("more than 250000 bytes wait here for ben:", waiting > 250_000)
            print("tell_all() has returned:", telling.done())

            ben.transport.resume_reading()
            print("ben reads again, and eve got", len(await eve.recv()), "bytes")
            await telling


asyncio.run(main())
