"""A client that comes back by itself: backoff that doubles, with full jitter.

Needs: pip install websockets
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator

from websockets.asyncio.client import connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.client import process_exception
from websockets.exceptions import ConnectionClosed

FIRST, LONGEST = 5.0, 30.0  # seconds: the limit of the first pause, and of all


def pauses(first: float = FIRST) -> Iterator[float]:
    """Yield the seconds to wait before each attempt.

    The limit doubles, and a pause is drawn from 0 up to the limit. So a thousand
    clients that have lost one server do not come back in one moment.
    """
    limit = first
    while True:
        yield random.uniform(0, limit)  # noqa: S311 - this keeps no secret
        limit = min(2 * limit, LONGEST)


async def listen(
    url: str,
    got: Callable[[str | bytes], Awaitable[None]],
    lost: Callable[[str], Awaitable[None]],
    first: float = FIRST,
) -> None:
    """Call got() with each message and lost() with each reason; cancel it to end it.

    What a new attempt would meet again, such as status 403, is raised; so is what
    got() and lost() raise.
    """
    pause = pauses(first)
    while True:
        try:
            connection = await connect(url, open_timeout=5)
        except Exception as error:
            if process_exception(error) is not None:
                raise
            reason = str(error)
        else:
            async with connection:
                with contextlib.suppress(ConnectionClosed):
                    async for message in connection:
                        pause = pauses(first)  # it works: pauses may be short again
                        await got(message)
            reason = f"closed with {connection.close_code}"
        await lost(reason)
        await asyncio.sleep(next(pause))  # waits: so that the server gets its breath


async def main() -> None:
    """Stop the server under a client, and start it again after two refusals."""
    servers: list[Server] = []
    reasons: list[str] = []
    welcome = asyncio.Event()

    async def handler(connection: ServerConnection) -> None:
        await connection.send("welcome")
        await connection.wait_closed()

    async def start(port: int = 0) -> int:
        servers.append(await serve(handler, "127.0.0.1", port))
        return int(servers[-1].sockets[0].getsockname()[1])

    async def got(message: str | bytes) -> None:
        print("client: got", message)
        welcome.set()

    async def lost(reason: str) -> None:
        print("client:", reason)
        reasons.append(reason)
        if len(reasons) == 3:
            print("server: starts again")
            await start(port)

    async with asyncio.timeout(5):
        port = await start()
        url = f"ws://127.0.0.1:{port}"
        task = asyncio.create_task(listen(url, got, lost, first=0.1))
        await welcome.wait()
        welcome.clear()
        print("server: closes")
        servers[0].close()
        await welcome.wait()
        task.cancel()
        await asyncio.wait([task])
        servers[1].close()
        await servers[1].wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
