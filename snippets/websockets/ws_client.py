"""A WebSocket client to copy, with a socket: it sends each message and prints answers.

The messages are the arguments, or the lines of standard input if there are none.
The other end is any WebSocket server that answers each message once.

Needs: rfc6455.py
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import sys
import time
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
    """A connection to a server, for one thread.

    Pings are answered while recv() is being called, and not otherwise.

    Args:
        url: ws://host:port/path?query, or wss://, which checks the certificate.
        timeout: seconds for connecting, for the handshake, and for each call.
        subprotocols: what this client speaks, the one it likes best first.
        max_message: bytes of the longest message that is taken.

    Raises:
        OSError: nobody there, a time-out, or a certificate that is not in order.
        ClosedError: there is no WebSocket at this address.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 10.0,
        subprotocols: Sequence[str] = (),
        max_message: int = MAX_MESSAGE,
    ) -> None:
        """Connect, and do the opening handshake."""
        parts = urlsplit(url)
        if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.fragment:
            raise ValueError(f"not the URL of a WebSocket: {url!r}")
        secure = parts.scheme == "wss"
        target = quote(parts.path or "/", safe=SAFE)
        if parts.query:
            target += f"?{quote(parts.query, safe=SAFE)}"
        self._connection = ClientConnection(
            parts.netloc.rpartition("@")[2],
            target,
            subprotocols=subprotocols,
            max_message=max_message,
        )
        self._timeout = timeout
        port = parts.port or (443 if secure else 80)
        self._sock = socket.create_connection((parts.hostname, port), timeout)
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                context = ssl.create_default_context()
                self._sock = context.wrap_socket(
                    self._sock, server_hostname=parts.hostname
                )
            self.subprotocol = self._open()
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        """Be closed at the end of the with statement."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close, in order if that is still possible."""
        self.close()

    def send(self, message: str | bytes) -> None:
        """Send text, or binary data.

        Raises:
            RuntimeError: it is closed.
            OSError: it broke, or the server takes no more; half a frame may be out.
        """
        self._connection.send(message)
        self._flush()

    def recv(self) -> str | bytes:
        """Return the next message.

        Raises:
            ClosedError: there will be none.
            OSError: the connection broke, or no whole message came in time; what has
                come of one is kept for the next call.
        """
        deadline = time.monotonic() + self._timeout
        while event := self._next_event(deadline):
            if isinstance(event, Text | Binary):
                return event.data
            if isinstance(event, Closed):
                raise ClosedError(event)
        raise ClosedError(Closed(Code.ABNORMAL, error="it was closed before"))

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """Say goodbye, wait for the answer and for the server's FIN, and close."""
        deadline = time.monotonic() + self._timeout
        with contextlib.suppress(OSError), self._sock:
            if self._connection.state is State.OPEN:
                self._connection.close(code, reason)
                self._flush()
            while self._next_event(deadline):
                pass  # what was on its way when we said goodbye
            self._sock.shutdown(socket.SHUT_WR)
            while self._recv(deadline):
                pass  # the server closes first (RFC 6455 section 7.1.1)

    def _open(self) -> str | None:
        """Wait for the answer to the handshake; return the subprotocol."""
        event = self._next_event(time.monotonic() + self._timeout)
        if isinstance(event, Closed):
            raise ClosedError(event)
        return event.subprotocol if isinstance(event, Opened) else None

    def _flush(self) -> None:
        if data := self._connection.data_to_send():
            self._sock.settimeout(self._timeout)
            self._sock.sendall(data)

    def _recv(self, deadline: float) -> bytes:
        """Receive what comes; TimeoutError if nothing comes by then."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._sock.recv(CHUNK)

    def _next_event(self, deadline: float) -> Event | None:
        """Wait for what the server says next; None if it is over.

        The deadline is the caller's: a server that pings, or sends a byte now and
        then, gains no time by it.
        """
        while True:
            event = next(self._connection.events(), None)
            try:
                self._flush()
            except OSError:
                if event is None:  # else it had come before the connection broke
                    raise
            if event is not None or self._connection.state is State.CLOSED:
                return event
            data = self._recv(deadline)
            if data:
                self._connection.feed(data)
            else:
                self._connection.feed_eof()


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> None:
    """Parse the command line, send each message, print each answer."""
    parser = OneLineParser(description="Send messages to a WebSocket server.")
    parser.add_argument("--url", help="ws:// or wss://")
    parser.add_argument("--host", default="127.0.0.1", help="if there is no --url")
    parser.add_argument("--port", type=int, help="if there is no --url")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds")
    parser.add_argument("messages", nargs="*", help="default: the lines of stdin")
    options = parser.parse_args()
    if (options.url is None) is (options.port is None):
        parser.error("either --url or --port")
    host = f"[{options.host}]" if ":" in options.host else options.host  # IPv6
    url = options.url or f"ws://{host}:{options.port}/"
    try:
        with WebSocket(url, timeout=options.timeout) as websocket:
            for message in options.messages or (
                line.rstrip("\n") for line in sys.stdin
            ):
                websocket.send(message)
                print(f"{message!r} -> {websocket.recv()!r}", flush=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "timed out"
        sys.exit(f"{parser.prog}: {url}: {reason}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT


if __name__ == "__main__":
    main()
