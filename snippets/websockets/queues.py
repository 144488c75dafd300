"""A short queue and a writer for each client: the slow one misses, the rest do not.

Needs: pip install websockets
"""

import asyncio
import contextlib
import socket
from collections import deque

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

KEPT = 3  # messages that may wait for one client
PADDING = bytes(500_000)  # makes a message larger than the buffers below it


class Member:
    """One client, and what waits for it.

    When the queue is full, the oldest message gives way: right for prices and
    positions, where the newest makes the others worthless. Where each message
    counts, cut the client off instead and let it come back for the rest.
    """

    def __init__(self, connection: ServerConnection) -> None:
        """Begin with an empty queue."""
        self.connection = connection
        self.dropped = 0
        self._waiting: deque[bytes] = deque(maxlen=KEPT)
        self._more = asyncio.Event()

    def post(self, message: bytes) -> None:
        """Queue a message; this never waits, so one client cannot stop another."""
        self.dropped += len(self._waiting) == KEPT
        self._waiting.append(message)
        self._more.set()

    async def write(self) -> None:
        """Send what is queued, at the pace of this client, until it is gone."""
        with contextlib.suppress(ConnectionClosed):
            while await self._more.wait():
                self._more.clear()
                while self._waiting:
                    await self.connection.send(self._waiting.popleft())


async def number(client: ClientConnection) -> int:
    """Receive one message; return its number, which is its first byte."""
    message = await client.recv(decode=False)
    return message[0]


async def main() -> None:
    """Send eight messages; ben reads none of them until all are sent."""
    members: list[Member] = []

    async def handler(connection: ServerConnection) -> None:
        member = Member(connection)
        members.append(member)
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(member.write(), name="writer")
            await connection.wait_closed()
            writer.cancel()

    serving = serve(handler, "127.0.0.1", 0, compression=None)
    async with asyncio.timeout(5), serving as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with connect(url) as ann, connect(url) as ben:
            in_kernel = members[1].connection.transport.get_extra_info("socket")
            in_kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            ben.transport.pause_reading()
            got = []
            for count in range(1, 9):
                for member in members:
                    member.post(bytes([count]) + PADDING)
                got.append(await number(ann))
            print("ann got", *got)
            print("dropped for ann:", members[0].dropped)
            print("dropped for ben:", members[1].dropped)
            ben.transport.resume_reading()
            print("ben got", *[await number(ben) for _ in range(1 + KEPT)])


asyncio.run(main())
