"""A WebSocket server to copy, with asyncio: it sends each message back.

The protocol is in rfc6455.py; here are the streams and the clock. A client has
--timeout seconds for the opening handshake, for taking an answer, and for answering
a Close frame. After --ping-after seconds of silence it gets a ping, and after as many
more it is given up. Ctrl-C or SIGTERM closes every connection with 1001.

Needs: rfc6455.py
Pair: server = ws_aio_server.py --port 0
Pair: client = ws_aio_client.py --port {port} hello "two words"
Port: listening on 127.0.0.1 port {port}
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from dataclasses import dataclass
from typing import NoReturn

from rfc6455 import (
    Binary,
    Closed,
    Code,
    HandshakeError,
    Request,
    ServerConnection,
    State,
    Text,
)

CHUNK = 65_536  # bytes read at a time
LINGER = 2.0  # seconds that a client has to close after us


async def answer(message: str | bytes) -> str | bytes | None:
    """Return the answer to a message, or None for none; your own work goes here.

    An exception closes this client's connection with 1011, and a line on stderr
    tells which it was.
    """
    return message


@dataclass(frozen=True)
class Limits:
    """What one client may take.

    Attributes:
        max_message: bytes of the longest message.
        timeout: seconds for the handshake, for taking an answer, for the close.
        ping_after: seconds of silence before a ping.
    """

    max_message: int = 1_048_576
    timeout: float = 10.0
    ping_after: float = 20.0


class Peer:
    """One client."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limits: Limits
    ) -> None:
        """Begin before the opening handshake."""
        self._reader = reader
        self._writer = writer
        self._limits = limits
        self._connection = ServerConnection(max_message=limits.max_message)
        self._goodbye: str | None = None
        # drain() shall wait until all has gone, and not only until there is room.
        writer.transport.set_write_buffer_limits(high=0)
        self._end = "no answer to the close"

    async def run(self) -> str:
        """Talk until the connection is closed; return how it ended."""
        try:
            await self._talk()
            await self._hang_up()
        except TimeoutError:
            return f"too slow while {self._connection.state.value}"
        except OSError as error:
            return error.strerror or str(error)
        finally:
            self._writer.transport.abort()  # nothing is left, or nobody takes it
        return self._end

    def say_goodbye(self, reason: str) -> None:
        """Begin to close with 1001; run() goes on until the client has answered."""
        self._goodbye = reason  # for one that is still shaking hands
        if self._connection.state is State.OPEN:
            self._connection.close(Code.GOING_AWAY, reason)
            self._writer.write(self._connection.data_to_send())

    # [talk]
    async def _talk(self) -> None:
        """Go from one state to the next, each with its own patience."""
        connection, timeout = self._connection, self._limits.timeout
        async with asyncio.timeout(timeout):
            while connection.state is State.CONNECTING:
                await self._take(await self._reader.read(CHUNK))
        if self._goodbye is not None:
            self.say_goodbye(self._goodbye)
        pinged = False
        while connection.state is State.OPEN:
            try:
                async with asyncio.timeout(self._limits.ping_after):
                    data = await self._reader.read(CHUNK)
            except TimeoutError:
                if connection.state is not State.OPEN:
                    break  # say_goodbye() came meanwhile
                if pinged:
                    connection.close(Code.INTERNAL_ERROR, "no pong")
                else:
                    connection.ping()
                pinged = True
                await self._flush()
            else:
                pinged = False
                await self._take(data)
        async with asyncio.timeout(timeout):
            while connection.state is State.CLOSING:
                await self._take(await self._reader.read(CHUNK))

    # [/talk]

    async def _take(self, data: bytes) -> None:
        """Go through the events in what has come, and send the answers."""
        if data:
            self._connection.feed(data)
        else:
            self._connection.feed_eof()
        for event in self._connection.events():
            if isinstance(event, Request):
                self._welcome(event)
            elif isinstance(event, Text | Binary):
                await self._answer(event.data)
            elif isinstance(event, Closed):
                self._end = event.error or f"closed with {event.code}"
            await self._flush()  # at once: answers may be long

    def _welcome(self, request: Request) -> None:
        """Open the connection, or say why not; your own rules go here.

        The request has the path as `target`, and `headers` such as "origin".
        """
        del request  # this server takes all
        try:
            self._connection.accept()
        except HandshakeError as error:
            self._connection.respond(error.status, f"{error}\n")
            self._end = str(error)

    async def _answer(self, message: str | bytes) -> None:
        """Send what answer() returns; its mistakes are told here and not there."""
        try:
            reply = await answer(message)
            # A Close frame may have gone out meanwhile: nothing comes after it.
            if reply is not None and self._connection.state is State.OPEN:
                self._connection.send(reply)
        except Exception as error:  # noqa: BLE001 - whatever answer() may raise
            print(f"answer(): {type(error).__name__}: {error}", file=sys.stderr)
            self._connection.close(Code.INTERNAL_ERROR)

    async def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())
        async with asyncio.timeout(self._limits.timeout):
            await self._writer.drain()  # waits while the client takes nothing

    async def _hang_up(self) -> None:
        """End the stream, and let the client read what was sent before it goes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                if not self._writer.can_write_eof():  # TLS says goodbye itself
                    self._writer.close()
                    await self._writer.wait_closed()
                    return
                self._writer.write_eof()
                while await self._reader.read(CHUNK):
                    pass


class Server:
    """Serve clients, each in a task; who comes when max_clients are there is cut."""

    def __init__(self, limits: Limits, max_clients: int = 1000) -> None:
        """Begin without a client."""
        self._limits = limits
        self._max_clients = max_clients
        self._peers: dict[Peer, asyncio.Task[None]] = {}
        self._closing = False

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Talk with one client; asyncio.start_server() calls this."""
        task = asyncio.current_task()
        if task is None or self._closing or len(self._peers) >= self._max_clients:
            writer.transport.abort()
            return
        peer = Peer(reader, writer, self._limits)
        self._peers[peer] = task
        host, port = writer.get_extra_info("peername")[:2]
        try:
            end = await peer.run()
        except asyncio.CancelledError:
            end = "cut off"
        finally:
            del self._peers[peer]
        print(f"left: {host} port {port}, {end}", flush=True)

    async def shut_down(self, reason: str) -> None:
        """Say goodbye to every client, wait until they have gone, cut off the rest."""
        self._closing = True
        for peer in self._peers:
            peer.say_goodbye(reason)
        tasks = list(self._peers.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self._limits.timeout + LINGER)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """Return text as a port; 0 lets the kernel choose."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port from 0 to 65535: {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Return text as a number above 0 and of seconds in one day at most."""
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


async def main() -> None:
    """Parse the command line, serve until a signal comes, leave in order."""
    parser = OneLineParser(description="Send every WebSocket message back.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument("--timeout", type=positive, default=10.0, help="seconds")
    parser.add_argument("--ping-after", type=positive, default=20.0, help="seconds")
    parser.add_argument("--max-clients", type=at_least_one, default=1000)
    parser.add_argument(
        "--max-message", type=at_least_one, default=1_048_576, help="bytes"
    )
    options = parser.parse_args()
    limits = Limits(options.max_message, options.timeout, options.ping_after)
    server = Server(limits, options.max_clients)
    try:
        listening = await asyncio.start_server(server.serve, options.host, options.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot listen on {options.host}: {reason}")
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_signal(number: int) -> None:
        if not told.done():
            told.set_result(f"stopped by {signal.Signals(number).name}")

    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)
    host, port = listening.sockets[0].getsockname()[:2]
    print(f"listening on {host} port {port}", flush=True)
    reason = await told
    listening.close()
    await server.shut_down(reason)
    print(reason, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
