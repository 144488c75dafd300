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
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from chat_server import OneLineParser, Page, Service, port_number

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

EVERY = 0.1  # seconds from one price to the next
SHOWN = 300  # prices that a new page gets at once
PATIENCE = 20.0  # seconds a client has to take a price


class Ticker(Service):
    """One price for all who look."""

    def __init__(self, page: Page) -> None:
        """Begin at 100."""
        super().__init__(page)
        self._prices = deque([100.0], SHOWN)
        self._news = asyncio.Event()  # replaced whenever it is set
        self._stopping = False

    async def make_prices(self) -> None:
        """Go up or down a little, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)  # waits: for the next price
            step = random.gauss(0, 0.5)
            self._prices.append(round(self._prices[-1] + step, 2))
            self._news.set()
            self._news = asyncio.Event()

    async def converse(self, connection: ServerConnection) -> None:
        """Send the past, and then the newest price as often as the client takes it."""
        news, prices = self._news, list(self._prices)
        while not self._stopping:
            async with asyncio.timeout(PATIENCE):
                await connection.send(json.dumps(prices))
            await news.wait()
            news, prices = self._news, [self._prices[-1]]

    def dismiss_all(self) -> None:
        """Wake every converse(), so that it returns."""
        self._stopping = True
        self._news.set()


async def main(port: int) -> None:
    """Make prices and serve them."""
    ticker = Ticker(Page(Path(__file__).with_name("ticker.html")))
    making = asyncio.create_task(ticker.make_prices(), name="prices")
    try:
        await ticker.run("127.0.0.1", port)
    finally:
        making.cancel()


if __name__ == "__main__":
    parser = OneLineParser(description="Serve a price that moves.")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    options = parser.parse_args()
    try:
        asyncio.run(main(options.port))
    except OSError as error:
        sys.exit(f"{parser.prog}: port {options.port}: {error.strerror}")
