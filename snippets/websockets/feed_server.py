"""A server to copy: what one client says all get, and who was away gets it later.

The history is everybody's queue: each client has a place in it and goes through it
at its own pace, so a slow one stops nobody and costs no memory. Who falls out of the
history is told how much is lost. Who takes nothing for --timeout seconds is cut off.
Ctrl-C or SIGTERM sends what is left, and closes each connection with 1001.

There is no login: whoever can connect may speak. Let process_request ask for a token
first, see the part on trust.

Protocol, JSON in text messages. A client introduces itself; then "n" counts what it
says, so that what it says again after a broken connection is published once. Its
name is a secret of its own, for with it anybody could use up its "n"; the others see
the first 16 digits of the name's SHA-256:
    {"client": "4e1b", "feed": null, "after": 0}   or the feed it had, up to which id
    {"n": 1, "text": "hello"}
The server:
    {"feed": "9c2f", "at": 7, "said": 0}        a new name with each start; newest id
    {"id": 8, "client": "8dfc", "n": 1, "text": "hello"}
    {"lost": 3, "said": 1}                      so many are gone; null: nobody knows

Needs: pip install websockets
Pair: server = feed_server.py --port 0
Pair: client = feed_client.py --port {port} "hello, everybody"
Port: listening on 127.0.0.1 port {port}
Varies: "client": "{hex}
Varies: "feed": "{hex}
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import secrets
import signal
import sys
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from websockets.asyncio.server import Server
    from websockets.http11 import Request, Response

MAX_SIZE = 65_536  # bytes of a message from a client
RATE, BURST = 20, 40  # messages a second from one client, and how many at once
SPEAKERS = 10_000  # clients whose last "n" is remembered
LINGER = 5.0  # seconds for a handshake, and for the last words to a client


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


class RefusedError(Exception):
    """A client does not keep to the protocol."""


def public(client: str) -> str:
    """Return the name under which others see a client; its own is a secret."""
    return hashlib.sha256(client.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class Feed:
    """Numbered messages, of which the newest are kept. Nothing here waits."""

    def __init__(self, keep: int) -> None:
        """Begin without messages, under a new name: ids of another run mean nothing."""
        self.name = secrets.token_hex(8)
        self.newest = 0
        self._kept: deque[str] = deque(maxlen=keep)
        self._said: OrderedDict[str, int] = OrderedDict()

    @property
    def oldest(self) -> int:
        """The id of the oldest message that is kept, or else of the next one."""
        return self.newest - len(self._kept) + 1

    def add(self, me: str, n: int, text: str) -> bool:
        """Publish a message; return False if this client has said it before."""
        if n <= self.said(me):
            return False
        self._said[me] = n
        self._said.move_to_end(me)
        if len(self._said) > SPEAKERS:
            self._said.popitem(last=False)
        self.newest += 1
        message = {"id": self.newest, "client": public(me), "n": n, "text": text}
        self._kept.append(json.dumps(message))
        return True

    def place(self, name: str, after: int) -> int | None:
        """Return the place of who has had this feed up to an id; None if it cannot."""
        known = name == self.name and after <= self.newest
        return after + 1 if known else None

    def get(self, number: int) -> str:
        """Return a message that is kept, as it is sent."""
        return self._kept[number - self.oldest]

    def said(self, me: str) -> int:
        """Return up to which "n" a client's messages have been published."""
        return self._said.get(me, 0)


class FeedServer:
    """Serves a feed; handle() and admit() are made for serve() of websockets.

    Args:
        keep: messages that the feed keeps.
        timeout: seconds a client has to introduce itself, and to take a message.
        max_clients: further ones are refused with status 503.
        told: called with a line on each client that comes or goes.
    """

    def __init__(
        self,
        *,
        keep: int,
        timeout: float,
        max_clients: int,
        told: Callable[[str], None] = say,
    ) -> None:
        """Begin a feed without messages or clients."""
        self.feed = Feed(keep)
        self._timeout = timeout
        self._max_clients = max_clients
        self._told = told
        self._clients: set[ServerConnection] = set()
        self._news = asyncio.Event()  # replaced whenever it is set
        self._stopping = False

    def admit(self, connection: ServerConnection, _: Request) -> Response | None:
        """Refuse a handshake if there are too many clients."""
        if len(self._clients) < self._max_clients:
            return None
        return connection.respond(503, "too many clients\n")

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one client to its end."""
        host, port = (connection.remote_address or ("nowhere", 0))[:2]
        who = f"{host} port {port}"
        self._clients.add(connection)
        self._told(f"joined: {who}")
        code, why, end = CloseCode.GOING_AWAY, "", ""
        try:
            await self._converse(connection)
        except RefusedError as error:
            code, why = CloseCode.POLICY_VIOLATION, str(error)
        except TimeoutError:
            # In websockets 17.4 close() would first wait for room in a full buffer.
            connection.transport.abort()
            end = f"too slow: waited {self._timeout:g} seconds"
        except ConnectionClosed as closed:
            end = str(closed)
        except Exception as error:  # noqa: BLE001 - our own mistake, told in one line
            code, why = CloseCode.INTERNAL_ERROR, "a mistake of the server"
            self._told(f"error: {who}, {type(error).__name__}: {error}")
        finally:
            await close(connection, code, why)
            self._clients.discard(connection)
            end = end or f"{connection.close_code} {why}".rstrip()
            self._told(f"left: {who}, {end}")

    async def stop(self, server: Server) -> None:
        """Send what is left and close with 1001; cut off who does not take it."""
        self._stopping = True
        self._news.set()
        server.close(close_connections=False)  # handle() does that, after the rest
        try:
            async with asyncio.timeout(LINGER):
                await server.wait_closed()
        except TimeoutError:
            for connection in self._clients:
                connection.transport.abort()

    async def _converse(self, connection: ServerConnection) -> None:
        """Greet a client; then read and write until one of the two ends."""
        async with asyncio.timeout(self._timeout):
            asked = parsed(await connection.recv())
        me, name, after = asked.get("client"), asked.get("feed"), asked.get("after")
        if not (is_name(me) and is_name(name or "none") and is_count(after)):
            raise RefusedError("not an introduction")
        # From here to the tasks nothing waits, so nothing can be missed or come twice.
        feed = self.feed
        hello: list[object] = [
            {"feed": feed.name, "at": feed.newest, "said": feed.said(me)}
        ]
        place = feed.place(name, after) if name else feed.newest + 1
        if place is None:  # another feed: its ids say nothing about this one
            place = feed.oldest
            hello.append({"lost": None, "said": 0})
        tasks = [
            asyncio.create_task(self._read(connection, me)),
            asyncio.create_task(self._write(connection, me, place, hello)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    async def _read(self, connection: ServerConnection, me: str) -> None:
        """Publish what a client says, at most RATE messages a second.

        While this sleeps nothing is read, and the client's own buffers fill.
        """
        clock = asyncio.get_running_loop().time
        due = 0.0
        async for message in connection:
            said = parsed(message)
            n, text = said.get("n"), said.get("text")
            if not (is_count(n) and isinstance(text, str)):
                raise RefusedError("not a message")
            if not self._stopping and self.feed.add(me, n, text):
                self._news.set()
                self._news = asyncio.Event()
            due = max(due, clock() - BURST / RATE) + 1 / RATE
            await asyncio.sleep(due - clock())  # waits: the pace of one client

    async def _write(
        self, connection: ServerConnection, me: str, place: int, hello: list[object]
    ) -> None:
        """Send the greeting, then the feed from a place on, until the server stops.

        Raises:
            TimeoutError: the client did not take a message in time.
        """
        feed = self.feed
        for greeting in hello:
            await self._send(connection, json.dumps(greeting))
        while True:
            news = self._news
            if place < feed.oldest:
                lost = {"lost": feed.oldest - place, "said": feed.said(me)}
                place = feed.oldest
                await self._send(connection, json.dumps(lost))
            elif place <= feed.newest:
                place += 1
                await self._send(connection, feed.get(place - 1))
            elif self._stopping:
                return
            else:
                await news.wait()

    async def _send(self, connection: ServerConnection, message: str) -> None:
        async with asyncio.timeout(self._timeout):
            await connection.send(message)


async def close(connection: ServerConnection, code: int, reason: str) -> None:
    """Close a connection, in LINGER seconds at most."""
    try:
        async with asyncio.timeout(LINGER):
            await connection.close(code, reason)
    except TimeoutError:
        connection.transport.abort()


def parsed(message: str | bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        RefusedError: the message is none.
    """
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError("not a JSON object")
    return found


def is_name(value: object) -> TypeGuard[str]:
    """Say whether a field is a name as secrets.token_hex() makes them, or like it."""
    return isinstance(value, str) and 0 < len(value) <= 64


def is_count(value: object) -> TypeGuard[int]:
    """Say whether a field is a whole number that JavaScript can count to as well."""
    return type(value) is int and 0 <= value < 2**53


class OneLine(logging.Formatter):
    """Tells an error of the library or of asyncio in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message and what was raised, without a traceback."""
        error = record.exc_info[1] if record.exc_info else None
        cause = f": {type(error).__name__}: {error}" if error else ""
        return f"{record.name}: {record.getMessage()}{cause}".replace("\n", " ")


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """Return text as a port; 0 lets the kernel choose.

    Checked here because getaddrinfo() may take 70000 and silently make it 4464.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port from 0 to 65535: {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Return text as a number of seconds above 0 and at most one day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return seconds


def at_least_one(text: str) -> int:
    """Return text as a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a whole number above 0: {text!r}")
    return int(text)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal comes, and leave in order.

    Raises:
        OSError: the port is taken or not permitted, or the name is unknown.
    """
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(signals.put_nowait, number)

    feeds = FeedServer(
        keep=options.keep, timeout=options.timeout, max_clients=options.max_clients
    )
    async with serve(
        feeds.handle,
        options.host,
        options.port,
        origins=[None],  # no pages: a browser names its origin, see the part on trust
        process_request=feeds.admit,
        max_size=MAX_SIZE,
        compression=None,  # it would cost memory for each client
        open_timeout=LINGER,
        close_timeout=LINGER,
    ) as server:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, on_signal)
        host, port = server.sockets[0].getsockname()[:2]
        say(f"listening on {host} port {port}")
        say(f"stopped by {signal.Signals(await signals.get()).name}")
        await feeds.stop(server)


def main() -> None:
    """Parse the command line and serve."""
    parser = OneLineParser(description="Publish what each client says to all.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument("--timeout", type=positive, default=60.0, help="seconds")
    parser.add_argument("--max-clients", type=at_least_one, default=1000)
    parser.add_argument("--keep", type=at_least_one, default=1000, help="messages")
    options = parser.parse_args()
    told = logging.StreamHandler()
    told.setFormatter(OneLine())
    logging.basicConfig(handlers=[told], level=logging.ERROR)
    try:
        asyncio.run(run(options))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot listen on {options.host}: {reason}")


if __name__ == "__main__":
    main()
