"""What one client may take: bytes, time, connections, messages.

Needs: pip install websockets
"""

import asyncio
import collections
import contextlib
import time
from http import HTTPStatus

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response

EACH = 2  # connections for one address
BURST, RATE = 5, 0.1  # messages at once, and messages a second in the long run
in_use: collections.Counter[str] = collections.Counter()


class Counted(ServerConnection):
    """Counts its address from TCP's handshake to TCP's end, whatever comes between."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count one more."""
        super().connection_made(transport)
        self.address = str(self.remote_address[0])
        in_use[self.address] += 1
        if in_use[self.address] > 2 * EACH:  # too many even to be told so
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count one less."""
        in_use[self.address] -= 1
        if not in_use[self.address]:
            del in_use[self.address]
        super().connection_lost(exc)


def admit(websocket: ServerConnection, _: Request) -> Response | None:
    """Refuse an address that has all the connections that it may have."""
    if in_use[str(websocket.remote_address[0])] > EACH:
        return websocket.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many\n")
    return None


class Bucket:
    """Holds up to `size` tokens; `rate` of them come back each second."""

    def __init__(self, size: float, rate: float) -> None:
        """Begin full."""
        self.size, self.rate = size, rate
        self.level, self.since = size, time.monotonic()

    def take(self) -> bool:
        """Take a token, or say that there is none."""
        now = time.monotonic()
        self.level = min(self.size, self.level + (now - self.since) * self.rate)
        self.since = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


async def answer(websocket: ServerConnection) -> None:
    """Answer each message, and close when they come too fast."""
    bucket = Bucket(BURST, RATE)
    with contextlib.suppress(ConnectionClosed):  # else each is a traceback in the log
        async for message in websocket:
            if not bucket.take():
                await websocket.close(1008, "too fast")
                return
            await websocket.send(f"{len(message)} taken")


async def tell(uri: str, *messages: str) -> str:
    """Send the messages; say how many were answered, and how it ended."""
    taken = 0
    try:
        async with connect(uri, proxy=None) as websocket:
            with contextlib.suppress(ConnectionClosed):
                for message in messages:
                    await websocket.send(message)
                    await websocket.recv()
                    taken += 1
    except InvalidStatus as refused:
        return f"{refused.response.status_code} {refused.response.reason_phrase}"
    why = websocket.close_reason or "in order"
    return f"{taken} taken, then {websocket.close_code} {why}"


async def main() -> None:
    """Ask for too much of each."""
    serving = serve(
        *(answer, "127.0.0.1", 0),
        create_connection=Counted,
        process_request=admit,
        max_size=2_000,  # bytes of a message; 1 MiB unless you say so
        open_timeout=0.3,  # seconds for the handshake; 10 unless you say so
    )
    async with asyncio.timeout(5), serving as server:
        host, port = server.sockets[0].getsockname()[:2]
        uri = f"ws://{host}:{port}/"
        print("2,000 bytes:", await tell(uri, "x" * 2_000))
        print("2,001 bytes:", await tell(uri, "x" * 2_001))
        print("7 messages:", await tell(uri, *"1234567"))
        async with connect(uri, proxy=None), connect(uri, proxy=None):
            print("third connection:", await tell(uri, "x"))
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\nHost: ")  # and nothing more
        print("half a handshake:", await reader.read())
        writer.close()


if __name__ == "__main__":
    asyncio.run(main())
