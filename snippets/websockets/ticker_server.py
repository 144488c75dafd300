"""A price that a page draws as it comes; a slow page gets fewer, and always the newest.

Nothing waits for a slow client but its own task: there is one newest price for all,
and each client gets it when it has taken the one before.

Needs: pip install websockets, chat_server.py, ticker.html
Pair: server = ticker_server.py --port 0
Port: listening on 127.0.0.1 port {port}
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from chat_server import LINGER, OneLineParser, Page, close, port_number, say
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

if TYPE_CHECKING:
    from types import FrameType

    from websockets.asyncio.server import Server
    from websockets.http11 import Request, Response

EVERY = 0.1  # seconds from one price to the next
SHOWN = 300  # prices that a new page gets at once
PATIENCE = 20.0  # seconds a client has to take a price


class Ticker:
    """One price for all who look."""

    def __init__(self, page: Page) -> None:
        """Begin at 100."""
        self._page = page
        self._clients: set[ServerConnection] = set()
        self._prices = deque([100.0], SHOWN)
        self._news = asyncio.Event()  # replaced whenever it is set
        self._stopping = False

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request with the page; None goes on with the handshake."""
        if request.path == "/":
            return self._page.response()
        origin = request.headers.get("Origin")
        if origin not in (None, f"http://{request.headers.get('Host')}"):
            return connection.respond(403, "not for pages from elsewhere\n")
        return None

    async def run(self) -> None:
        """Make prices until cancelled."""
        while True:
            await asyncio.sleep(EVERY)  # waits: for the next price
            step = random.gauss(0, 0.5)
            self._prices.append(round(self._prices[-1] + step, 2))
            self._news.set()
            self._news = asyncio.Event()

    async def handle(self, connection: ServerConnection) -> None:
        """Send one client the past, and then the newest price as often as it can."""
        self._clients.add(connection)
        news, prices = self._news, list(self._prices)
        try:
            while not self._stopping:
                async with asyncio.timeout(PATIENCE):
                    await connection.send(json.dumps(prices))
                await news.wait()
                news, prices = self._news, [self._prices[-1]]
        except ConnectionClosed:
            pass
        except TimeoutError:
            connection.transport.abort()
        finally:
            await close(connection, CloseCode.GOING_AWAY, "")
            self._clients.discard(connection)

    async def stop(self, server: Server) -> None:
        """Close with 1001; cut off who does not take it."""
        self._stopping = True
        self._news.set()
        server.close(close_connections=False)  # handle() does that
        try:
            async with asyncio.timeout(LINGER):
                await server.wait_closed()
        except TimeoutError:
            for connection in self._clients:
                connection.transport.abort()


async def run(host: str, port: int) -> None:
    """Serve until a signal comes."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(signals.put_nowait, number)

    ticker = Ticker(Page(Path(__file__).with_name("ticker.html")))
    async with serve(
        ticker.handle,
        host,
        port,
        process_request=ticker.answer,
        max_size=1000,
        open_timeout=LINGER,
        close_timeout=LINGER,
    ) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        prices = asyncio.create_task(ticker.run(), name="prices")
        host, port = server.sockets[0].getsockname()[:2]
        say(f"listening on {host} port {port}")
        say(f"stopped by {signal.Signals(await signals.get()).name}")
        prices.cancel()
        await ticker.stop(server)


if __name__ == "__main__":
    parser = OneLineParser(description="Serve a price that moves.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    options = parser.parse_args()
    try:
        asyncio.run(run(options.host, options.port))
    except OSError as error:
        sys.exit(f"{parser.prog}: cannot serve on {options.host}: {error.strerror}")
