"""A WebSocket server to copy, with sockets and threads: it sends each message back.

The protocol is in rfc6455.py; here are the sockets and the clock. A client has
--timeout seconds for the opening handshake, for taking an answer, and for answering
a Close frame. After --ping-after seconds of silence it gets a ping, and after as many
more it is given up. Ctrl-C or SIGTERM closes every connection with 1001.

Needs: rfc6455.py
Pair: server = ws_server.py --port 0
Pair: client = ws_client.py --port {port} hello "two words"
Port: listening on 127.0.0.1 port {port}
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from rfc6455 import Event

CHUNK = 65_536  # bytes read at a time
TICK = 0.25  # seconds between two looks at whether a signal has come
LINGER = 2.0  # seconds that a client has to close after us


def answer(message: str | bytes) -> str | bytes | None:
    """Return the answer to a message, or None for none; your own work goes here.

    An exception closes this client's connection with 1011, and a line on stderr
    tells which it was.
    """
    return message


def say(text: str) -> None:
    """Print a line in one piece, so that the lines of two threads do not mix."""
    print(f"{text}\n", end="", flush=True)


class Server:
    """Serve the clients of one listening socket, each in a thread.

    Args:
        listener: a socket that listens; close() closes it.
        max_clients: how many clients are served at the same time; who comes then
            waits in the kernel's queue.
        max_message: bytes of the longest message.
        timeout: seconds for the handshake, for taking an answer, for the close.
        ping_after: seconds of silence before a ping.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        max_clients: int,
        max_message: int,
        timeout: float,
        ping_after: float,
    ) -> None:
        """Take over listener; no client is accepted before run()."""
        self._listener = listener
        self._max_message = max_message
        self._timeout = timeout
        self._ping_after = ping_after
        self._slots = threading.Semaphore(max_clients)
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()  # guards _threads
        self._stop: str | None = None

    def stop(self, reason: str) -> None:
        """Make run() return; only sets a variable, so a signal handler may call it."""
        self._stop = reason

    def run(self) -> str:
        """Serve until stop() is called; return its reason."""
        self._listener.settimeout(TICK)
        while self._stop is None:
            # Without a free slot the client is better off in the kernel's queue.
            if self._slots.acquire(timeout=TICK) and not self._take_one():
                self._slots.release()
        return self._stop

    def close(self) -> None:
        """Close the listening socket; the threads see stop() and say goodbye.

        There is one deadline for all of them. A thread that does not come back from
        answer() by then ends with the process: it is a daemon.
        """
        self._listener.close()
        deadline = time.monotonic() + self._timeout + LINGER + 1
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        if stuck := sum(thread.is_alive() for thread in threads):
            say(f"cut off: {stuck} clients")

    def _take_one(self) -> bool:
        """Accept one client and start its thread; return whether that was done."""
        try:
            sock, address = self._listener.accept()
        except TimeoutError:
            return False
        except OSError as error:
            # EMFILE leaves the client in the queue: without a pause this would spin.
            say(f"cannot accept: {error.strerror}")
            time.sleep(TICK)  # waits: for another client to free a descriptor
            return False
        who = f"{address[0]} port {address[1]}"
        thread = threading.Thread(
            target=self._serve, args=(sock, who), name="connection", daemon=True
        )
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:
            say(f"cannot serve: {error}")
            with self._lock:
                self._threads.remove(thread)
            sock.close()
            return False
        return True

    def _serve(self, sock: socket.socket, who: str) -> None:
        """Talk with one client until the connection is closed."""
        messages, end = 0, "no answer to the close"
        connection = ServerConnection(max_message=self._max_message)
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for event in self._events(sock, connection):
                    if isinstance(event, Request):
                        end = self._welcome(connection, event)
                    elif isinstance(event, Text | Binary):
                        messages += 1
                        self._answer(connection, event.data)
                    elif isinstance(event, Closed):
                        end = event.error or f"closed with {event.code}"
                self._hang_up(sock)
        except OSError as error:
            end = error.strerror or str(error)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())
            self._slots.release()
            say(f"left: {who}, {messages} messages, {end}")

    def _welcome(self, connection: ServerConnection, request: Request) -> str:
        """Open the connection, or say why not; your own rules go here.

        The request has the path as `target`, and `headers` such as "origin".
        """
        del request  # this server takes all
        try:
            connection.accept()
        except HandshakeError as error:
            connection.respond(error.status, f"{error}\n")
            return str(error)
        return "no answer to the close"

    def _answer(self, connection: ServerConnection, message: str | bytes) -> None:
        """Send what answer() returns; its mistakes are told here and not there."""
        if connection.state is not State.OPEN:
            return  # it came after our Close frame
        try:
            reply = answer(message)
            if reply is not None:
                connection.send(reply)
        except Exception as error:  # noqa: BLE001 - whatever answer() may raise
            print(f"answer(): {type(error).__name__}: {error}", file=sys.stderr)
            connection.close(Code.INTERNAL_ERROR)

    # [events]
    def _events(
        self, sock: socket.socket, connection: ServerConnection
    ) -> Iterator[Event]:
        """Yield what the client says, and send what there is to be sent.

        Raises:
            OSError: the connection broke, or the client was too slow.
        """
        began = heard = time.monotonic()  # of this state; when a byte last came
        state, pinged = connection.state, False
        while True:
            for event in connection.events():
                yield event
                self._flush(sock, connection)  # at once: answers may be long
            if connection.state is not state:
                state, began = connection.state, time.monotonic()
            if state is not State.OPEN and time.monotonic() - began > self._timeout:
                raise TimeoutError(f"too slow while {state.value}")
            if state is State.OPEN:
                pinged = self._look_at_clock(connection, heard, pinged=pinged)
            self._flush(sock, connection)
            if connection.state is State.CLOSED:
                return
            sock.settimeout(TICK)
            with contextlib.suppress(TimeoutError):
                data = sock.recv(CHUNK)
                heard, pinged = time.monotonic(), False
                if data:
                    connection.feed(data)
                else:
                    connection.feed_eof()

    # [/events]

    def _look_at_clock(
        self, connection: ServerConnection, heard: float, *, pinged: bool
    ) -> bool:
        """Ping after silence, give up after more of it; return whether it is pinged."""
        if self._stop is not None:
            connection.close(Code.GOING_AWAY, self._stop)
        elif time.monotonic() - heard > self._ping_after * (1 + pinged):
            if pinged:
                connection.close(Code.INTERNAL_ERROR, "no pong")
            else:
                connection.ping()
            return True
        return pinged

    def _flush(self, sock: socket.socket, connection: ServerConnection) -> None:
        """Send what there is to be sent, and wait while the client takes nothing."""
        if data := connection.data_to_send():
            sock.settimeout(self._timeout)
            sock.sendall(data)

    # [hang-up]
    def _hang_up(self, sock: socket.socket) -> None:
        """End the stream, and let the client read what was sent before it goes.

        close() with unread bytes sends RST, which may wipe out the Close frame on
        its way. So what still comes is read and thrown away (RFC 6455 section 7.1.1).
        """
        deadline = time.monotonic() + LINGER
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                if not sock.recv(CHUNK):
                    break

    # [/hang-up]


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


def main() -> None:
    """Parse the command line, serve until a signal comes, leave in order."""
    parser = OneLineParser(description="Send every WebSocket message back.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument("--timeout", type=positive, default=10.0, help="seconds")
    parser.add_argument("--ping-after", type=positive, default=20.0, help="seconds")
    parser.add_argument("--max-clients", type=at_least_one, default=100)
    parser.add_argument(
        "--max-message", type=at_least_one, default=1_048_576, help="bytes"
    )
    options = parser.parse_args()
    try:
        family, *_, address = socket.getaddrinfo(
            options.host,
            options.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        listener = socket.create_server(address, family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot listen on {options.host}: {reason}")
    with listener:
        server = Server(
            listener,
            max_clients=options.max_clients,
            max_message=options.max_message,
            timeout=options.timeout,
            ping_after=options.ping_after,
        )

        def on_signal(number: int, _frame: FrameType | None) -> None:
            server.stop(f"stopped by {signal.Signals(number).name}")

        signal.signal(signal.SIGINT, on_signal)
        signal.signal(signal.SIGTERM, on_signal)
        host, port = listener.getsockname()[:2]
        say(f"listening on {host} port {port}")
        say(server.run())
        server.close()


if __name__ == "__main__":
    main()
