"""A WebSocket client to copy, with asyncio: it sends each message, prints each answer.

The other end is any WebSocket server that answers each message once.

Needs: rfc6455.py
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from typing import TYPE_CHECKING, NoReturn, Self
from urllib.parse import quote, urlsplit

from rfc6455 import (
    MAX_MESSAGE,
    Binary,
    ClientConnection,
    Closed,
    Code,
    Opened,
    State,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rfc6455 import Event

CHUNK = 65_536  # bytes read at a time
SAFE = "/?%:@!$&'()*+,;=~"  # in a URL these stay as they are (RFC 3986)


class ClosedError(ConnectionError):
    """The connection is closed; event says how."""

    def __init__(self, event: Closed) -> None:
        """Take the event that ended the connection."""
        why = event.error or event.reason
        super().__init__(f"closed with {event.code}" + (f": {why}" if why else ""))
        self.event = event


class WebSocket:
    """A connection to a server; make it with await WebSocket.connect(url).

    One task may call recv() while another calls send(). Pings are answered while
    recv() is being awaited, and not otherwise.
    """

    subprotocol: str | None = None

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: ClientConnection,
        wait: float,
    ) -> None:
        """Begin on an open stream; connect() does this."""
        self._reader = reader
        self._writer = writer
        self._connection = connection
        self._wait = wait
        self._reading = asyncio.Lock()
        self._event: Event | None = None  # taken, and not delivered yet

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        wait: float = 10.0,
        subprotocols: Sequence[str] = (),
        max_message: int = MAX_MESSAGE,
    ) -> Self:
        """Connect to ws://host:port/path, or wss://, which checks the certificate.

        Args:
            url: where to.
            wait: seconds for connecting, for sending a message, for closing. How
                long recv() may wait is for its caller to say: asyncio.timeout().
            subprotocols: what this client speaks, the one it likes best first.
            max_message: bytes of the longest message that is taken.

        Raises:
            OSError: nobody there, a time-out, or a certificate that is not in order.
            ClosedError: there is no WebSocket at this address.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.fragment:
            raise ValueError(f"not the URL of a WebSocket: {url!r}")
        secure = ssl.create_default_context() if parts.scheme == "wss" else None
        connection = ClientConnection(
            parts.netloc.rpartition("@")[2],
            quote(parts.path or "/", safe=SAFE)
            + (f"?{quote(parts.query, safe=SAFE)}" if parts.query else ""),
            subprotocols=subprotocols,
            max_message=max_message,
        )
        port = parts.port or (443 if secure else 80)
        async with asyncio.timeout(wait):
            reader, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=secure
            )
            websocket = cls(reader, writer, connection, wait)
            try:
                await websocket._open()
            except BaseException:
                writer.transport.abort()
                raise
        return websocket

    async def __aenter__(self) -> Self:
        """Be closed at the end of the async with statement."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close, in order if that is still possible."""
        await self.close()

    async def send(self, message: str | bytes) -> None:
        """Send text, or binary data; wait while the server takes nothing.

        Raises:
            RuntimeError: it is closed.
            OSError: the connection broke, or the server takes nothing any more.
        """
        self._connection.send(message)
        async with asyncio.timeout(self._wait):
            await self._flush()

    async def recv(self) -> str | bytes:
        """Return the next message.

        Raises:
            ClosedError: there will be none.
            OSError: the connection broke.
        """
        event: Event | None
        while event := await self._next_event():
            if isinstance(event, Text | Binary):
                return event.data
            if isinstance(event, Closed):
                raise ClosedError(event)
        raise ClosedError(Closed(Code.ABNORMAL, error="it was closed before"))

    async def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """Say goodbye, wait for the answer and for the server's FIN, and close."""
        try:
            async with asyncio.timeout(self._wait):
                if self._connection.state is State.OPEN:
                    self._connection.close(code, reason)
                    await self._flush()
                while await self._next_event():
                    pass  # what was on its way when we said goodbye
                async with self._reading:
                    if self._writer.can_write_eof():  # TLS cannot
                        self._writer.write_eof()
                    while await self._reader.read(CHUNK):
                        pass  # the server closes first (RFC 6455 section 7.1.1)
        except OSError:
            pass  # TimeoutError too: it is over, in order or not
        finally:
            self._writer.transport.abort()

    async def _open(self) -> None:
        """Wait for the answer to the handshake."""
        event = await self._next_event()
        if isinstance(event, Closed):
            raise ClosedError(event)
        if isinstance(event, Opened):
            self.subprotocol = event.subprotocol

    async def _flush(self) -> None:
        self._writer.write(self._connection.data_to_send())
        await self._writer.drain()

    async def _next_event(self) -> Event | None:
        """Wait for what the server says next; None if it is over.

        One task at a time: close() waits until a recv() elsewhere has its event.
        Whoever is cancelled meanwhile leaves the event to the next.
        """
        async with self._reading:
            while True:
                if self._event is None:
                    self._event = next(self._connection.events(), None)
                try:
                    await self._flush()
                except OSError:
                    if self._event is None:  # else it had come before the end
                        raise
                event, self._event = self._event, None
                if event is not None or self._connection.state is State.CLOSED:
                    return event
                data = await self._reader.read(CHUNK)
                if data:
                    self._connection.feed(data)
                else:
                    self._connection.feed_eof()


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


async def main() -> None:
    """Parse the command line, send each message, print each answer."""
    parser = OneLineParser(description="Send messages to a WebSocket server.")
    parser.add_argument("--url", help="ws:// or wss://")
    parser.add_argument("--host", default="127.0.0.1", help="if there is no --url")
    parser.add_argument("--port", type=int, help="if there is no --url")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("messages", nargs="+")
    options = parser.parse_args()
    if (options.url is None) is (options.port is None):
        parser.error("either --url or --port")
    host = f"[{options.host}]" if ":" in options.host else options.host  # IPv6
    url = options.url or f"ws://{host}:{options.port}/"
    try:
        async with await WebSocket.connect(url, wait=options.timeout) as websocket:
            for message in options.messages:
                await websocket.send(message)
                async with asyncio.timeout(options.timeout):
                    print(f"{message!r} -> {await websocket.recv()!r}", flush=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        sys.exit(f"{parser.prog}: {url}: {reason}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT
