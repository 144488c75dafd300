"""Wrong on purpose: one client that does not read stops a loop of await send().

Needs: pip install websockets
"""

import asyncio
import socket

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

PICTURE = bytes(1_000_000)  # more than the buffers between two programs hold here


async def main() -> None:
    """Send to three clients, of which the second has stopped reading."""
    members: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        members.append(connection)
        await connection.send("joined")
        await connection.wait_closed()

    async def tell_all(message: bytes) -> None:
        for member in members:
            await member.send(message)

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)  # accept() copies
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        asyncio.timeout(5),
        serve(handler, sock=listener, compression=None),
        connect(url, compression=None) as ann,
        connect(url, compression=None) as ben,
        connect(url, compression=None) as eve,
    ):
        for client in (ann, ben, eve):
            await client.recv()
        ben.transport.pause_reading()  # his phone is in a lift
        telling = asyncio.create_task(tell_all(PICTURE), name="tell all")
        print("ann got", len(await ann.recv()), "bytes")
        try:
            async with asyncio.timeout(0.5):
                print("eve got", len(await eve.recv()), "bytes")
        except TimeoutError:
            print("eve got nothing in 0.5 seconds")
        waiting = members[1].transport.get_write_buffer_size()
        print("more than 500000 bytes wait here for ben:", waiting > 500_000)
        print("tell_all() has returned:", telling.done())

        ben.transport.resume_reading()
        print("ben reads again, and eve got", len(await eve.recv()), "bytes")
        await telling


asyncio.run(main())
