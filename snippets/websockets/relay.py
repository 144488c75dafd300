"""Whoever forwards your bytes reads ws:// and its masked frames, and not wss://.

Needs: pip install websockets, pip install trustme
"""

import asyncio
import ssl

import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

NAME, TICKET, SECRET = "bank.example", "ticket=s3cret", "pay 100 to bob"


class Relay:
    """Stands on the path, as a Wi-Fi or a proxy does, and keeps what passes by."""

    def __init__(self, port: int) -> None:
        """Forward to this port."""
        self.port = port
        self.heard = b""

    async def forward(
        self, client: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> None:
        """Carry the bytes of one connection, both ways."""
        server, there = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self.carry(client, there))
            both.create_task(self.carry(server, back))

    async def carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter
    ) -> None:
        """Carry one direction to its end."""
        while data := await source.read(65_536):
            self.heard += data
            target.write(data)
            await target.drain()
        target.close()

    def reads(self, words: str) -> str:
        """Look for words, also under every mask: the key lies before its frame."""
        plain = words.encode()
        if plain in self.heard:
            return "read as it is"
        for at in range(len(self.heard) - len(plain) - 3):
            key, data = self.heard[at : at + 4], self.heard[at + 4 :][: len(plain)]
            if bytes(byte ^ key[i % 4] for i, byte in enumerate(data)) == plain:
                return "read after XOR with the 4 bytes before it"
        return "not to be found"


async def listen(websocket: ServerConnection) -> None:
    """Take one message, and answer with another."""
    await websocket.recv()
    await websocket.send("done")


async def overheard(
    client: ssl.SSLContext | None, server: ssl.SSLContext | None
) -> None:
    """Hold one conversation through the relay, and print what the relay has of it."""
    async with serve(listen, "127.0.0.1", 0, ssl=server, compression=None) as it:
        relay = Relay(it.sockets[0].getsockname()[1])
        async with await asyncio.start_server(relay.forward, "127.0.0.1", 0) as door:
            port = door.sockets[0].getsockname()[1]
            uri = f"{'wss' if client else 'ws'}://{NAME}:{port}/?{TICKET}"
            async with connect(
                uri, host="127.0.0.1", ssl=client, proxy=None, compression=None
            ) as websocket:
                await websocket.send(SECRET)
                await websocket.recv()
    for words in NAME, TICKET, SECRET:
        print(f"{uri.partition(':')[0]}  {words}  {relay.reads(words)}")


async def main() -> None:
    """Talk once without TLS and once with it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with asyncio.timeout(5):
        await overheard(None, None)
        await overheard(client, server)


asyncio.run(main())
