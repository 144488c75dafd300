"""A client to copy: it says messages, prints what all say, and comes back by itself.

When the connection is lost it dials again, after pauses that grow up to --longest
seconds. The server sends what was missed, and what was said meanwhile is said again:
nothing is lost and nothing comes twice, or "lost:" says so. The other end is
feed_server.py, whose docstring has the protocol.

The messages are the arguments or else the lines of standard input; when the server
has published them all the client leaves. With --listen it stays until Ctrl-C.

Needs: pip install websockets
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import hashlib
import io
import json
import random
import secrets
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import process_exception
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.frames import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIRST = 5.0  # seconds: the limit of the first pause
WAITING = 100  # messages of ours that may be on their way
LONGEST = 10_000  # characters of a message: as JSON less than the server's 65536 bytes
SERVER_WILL_NOT = {  # what it would say again: coming back is of no use
    CloseCode.PROTOCOL_ERROR,
    CloseCode.INVALID_DATA,
    CloseCode.POLICY_VIOLATION,
    CloseCode.MESSAGE_TOO_BIG,
}


class RefusedError(Exception):
    """The server will not have us, or what we said."""


def pauses(longest: float) -> Iterator[float]:
    """Yield the seconds to wait before each attempt: backoff with full jitter.

    The limit doubles, and a pause is drawn from 0 up to the limit. So a thousand
    clients that have lost one server do not come back in one moment.
    """
    limit = min(FIRST, longest)
    while True:
        yield random.uniform(0, limit)  # noqa: S311 - this keeps no secret
        limit = min(2 * limit, longest)


def public(client: str) -> str:
    """Return the name under which others see a client; its own is a secret."""
    return hashlib.sha256(client.encode("utf-8", "surrogatepass")).hexdigest()[:16]


class FeedClient:
    """Speaks in a feed and hears it, through as many connections as it takes.

    Args:
        url: where the server is, such as ws://127.0.0.1:7777/.
        heard: called with each message in its turn.
        told: called with a line on what happens to the connection.
        timeout: seconds to open a connection, or to get a message out.
        longest: seconds: no pause before an attempt is longer.
    """

    def __init__(
        self,
        url: str,
        *,
        heard: Callable[[str], None],
        told: Callable[[str], None],
        timeout: float = 10.0,
        longest: float = 30.0,
    ) -> None:
        """Begin as a new client; run() does the dialling."""
        self._url = url
        self._heard = heard
        self._told = told
        self._timeout = timeout
        self._longest = longest
        self._me = secrets.token_hex(16)  # whoever knows it can speak for us
        self._feed: str | None = None
        self._after = 0
        self._count = 0
        self._unheard: dict[int, str] = {}  # ours that have not come back yet
        self._changed = asyncio.Condition()
        self._works = False

    async def say(self, text: str) -> None:
        """Give a message to be sent; waits while too many are on their way.

        Raises:
            ValueError: it is longer than LONGEST.
        """
        if len(text) > LONGEST:
            raise ValueError(f"a message of more than {LONGEST} characters")
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._unheard) < WAITING)
            self._count += 1
            self._unheard[self._count] = text
            self._changed.notify_all()

    async def all_heard(self) -> None:
        """Wait until the server has published everything that was said."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._unheard)

    async def run(self) -> None:
        """Stay connected; cancel it to leave.

        Raises:
            RefusedError: the server says what it would say again another time.
            InvalidHandshake, InvalidURI: so does whatever answers there.
        """
        pause = pauses(self._longest)
        while True:
            self._works = False
            try:
                connection = await connect(self._url, open_timeout=self._timeout)
            except Exception as error:
                if process_exception(error) is not None:
                    raise
                reason = str(error)
            else:
                reason = await self._converse(connection)
            if self._works:
                pause = pauses(self._longest)  # so the next pause may be short again
            seconds = next(pause)
            self._told(f"disconnected: {reason}; next attempt in {seconds:.1f} s")
            await asyncio.sleep(seconds)  # waits: a server needs room to come back

    async def _converse(self, connection: ClientConnection) -> str:
        """Introduce ourselves; read and write until the end, and return its reason."""
        writer = asyncio.create_task(self._write(connection))
        try:
            async for message in connection:
                await self._take(message)
        except ConnectionClosed:
            pass
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            try:
                async with asyncio.timeout(self._timeout):
                    await connection.close()
            except TimeoutError:
                connection.transport.abort()
        reason = f"{connection.close_code} {connection.close_reason}".rstrip()
        if connection.close_code in SERVER_WILL_NOT:
            raise RefusedError(reason)
        return reason

    async def _take(self, message: str | bytes) -> None:
        """Take in one message of the server.

        Raises:
            RefusedError: it is none.
        """
        try:
            found = json.loads(message)
            if "id" in found:
                if found["id"] <= self._after:
                    return
                self._after = found["id"]
                said = found["n"] if found["client"] == public(self._me) else 0
                self._heard(found["text"])
            else:
                said = found["said"]
                if "lost" in found:
                    lost = found["lost"]
                    self._told(f"lost: {'unknown' if lost is None else lost}")
                elif self._feed != found["feed"]:
                    # Of the first feed we hear what comes from now on; of one that
                    # took its place, all that it still has.
                    self._after = 0 if self._feed else found["at"]
                    self._feed = found["feed"]
        except (ValueError, TypeError, KeyError) as error:
            raise RefusedError("the server does not speak our protocol") from error
        self._works = True
        async with self._changed:
            for n in [n for n in self._unheard if n <= said]:
                del self._unheard[n]
            self._changed.notify_all()

    async def _write(self, connection: ClientConnection) -> None:
        """Introduce ourselves; then say all that was not heard, and what is new."""
        hello = {"client": self._me, "feed": self._feed, "after": self._after}
        sent = 0
        try:
            await self._send(connection, hello)
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._works)
                    after_it = functools.partial(self._next, sent)
                    sent = await self._changed.wait_for(after_it)
                    text = self._unheard[sent]
                await self._send(connection, {"n": sent, "text": text})
        except TimeoutError:
            connection.transport.abort()
        except ConnectionClosed:
            pass

    def _next(self, sent: int) -> int:
        """Return the first "n" after sent that is not heard yet, or 0."""
        return next((n for n in self._unheard if n > sent), 0)

    async def _send(self, connection: ClientConnection, message: object) -> None:
        async with asyncio.timeout(self._timeout):
            # What is no text, such as half of a surrogate pair, becomes "?".
            words = json.dumps(message, ensure_ascii=False)
            await connection.send(words.encode("utf-8", "replace").decode())


def lines_of_input(loop: asyncio.AbstractEventLoop) -> asyncio.Queue[str | None]:
    """Read standard input in a thread of its own; None is its end.

    Nothing can cancel a read, so Ctrl-C must not have to wait for the thread. It
    reads no further ahead than the queue has room.
    """
    lines: asyncio.Queue[str | None] = asyncio.Queue(WAITING)

    def put(line: str | None) -> None:
        putting = lines.put(line)
        try:
            asyncio.run_coroutine_threadsafe(putting, loop).result()
        except RuntimeError:  # the loop is closed: we are leaving
            putting.close()

    def read() -> None:
        # Not sys.stdin, which Python closes at its end, however long a read takes.
        with open(0, encoding="utf-8", errors="replace", closefd=False) as file:
            while line := file.readline(LONGEST + 1):
                put(line.removesuffix("\n"))
        put(None)

    threading.Thread(target=read, name="input", daemon=True).start()
    return lines


def legible(text: str) -> str:
    r"""Return text with \x.. for what cannot be printed."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """Return text as a port that one can connect to.

    Checked here because getaddrinfo() may take 70000 and silently make it 4464.
    """
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port from 1 to 65535: {text!r}")
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


async def say_all(client: FeedClient, options: argparse.Namespace) -> None:
    """Say the messages; return when all are published, with --listen never."""
    if options.messages or options.listen:
        for message in options.messages:
            await client.say(message)
    else:
        lines = lines_of_input(asyncio.get_running_loop())
        while (line := await lines.get()) is not None:
            await client.say(line)
    await client.all_heard()
    if options.listen:
        await asyncio.Event().wait()  # waits: until Ctrl-C


async def run(options: argparse.Namespace) -> None:
    """Speak and listen until everything is said, or until Ctrl-C."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    client = FeedClient(
        f"ws://{host}:{options.port}/",
        heard=lambda text: print(legible(text), flush=True),
        told=lambda line: print(legible(line), file=sys.stderr, flush=True),
        timeout=options.timeout,
        longest=options.longest,
    )
    tasks = [
        asyncio.create_task(client.run()),
        asyncio.create_task(say_all(client, options)),
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


def main() -> None:
    """Parse the command line and take part."""
    parser = OneLineParser(description="Speak in a feed and hear it.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, required=True)
    parser.add_argument("--timeout", type=positive, default=10.0, help="seconds a wait")
    parser.add_argument("--longest", type=positive, default=30.0, help="pause, seconds")
    parser.add_argument("--listen", action="store_true", help="stay until Ctrl-C")
    parser.add_argument("messages", nargs="*", help="none: the lines of standard input")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character gets its escape, not an exception.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        asyncio.run(run(options))
    except (OSError, ValueError, WebSocketException, RefusedError) as error:
        sys.exit(f"{parser.prog}: {options.host} port {options.port}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT


if __name__ == "__main__":
    main()
