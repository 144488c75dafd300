"""A server to copy that speaks in messages: it answers each in capital letters.

A message is its length, 4 bytes with the big end first, and then itself. An answer
begins with + or, if the message is too long, with - and the reason; then the server
hangs up. A client has --timeout seconds for a message, and is cut off without a word
if it takes longer. Whoever comes when --max-clients are there waits in
the kernel's queue. Ctrl-C or SIGTERM ends the server with exit status 0.

Needs: framing.py
Pair: server = framed_server.py --port 0 --max-size 20
Pair: client = framed_client.py --port {port} hello "two words"
Pair: attacker = framed_attack.py --port {port}
Port: listening on 127.0.0.1 port {port}
"""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from framing import CutShortError, LengthFramer, TooLongError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

CHUNK = 65_536  # bytes read at a time
TICK = 0.25  # seconds between two looks at whether a signal has come
LINGER = 2.0  # seconds that a refused client has to read why


def answer(message: bytes) -> bytes:
    """Return the answer to a message; your own work goes here.

    It may be as long as the longest message. An exception ends this client's
    connection, and a line on stderr tells which it was.
    """
    return message.upper()


def say(text: str) -> None:
    """Print a line in one piece, so that the lines of two threads do not mix."""
    print(f"{text}\n", end="", flush=True)


class FramedServer:
    """Answer the messages of the clients of one listening socket.

    Args:
        listener: a socket that listens; close() closes it.
        max_clients: how many clients are served at the same time.
        max_size: bytes of the longest message.
        timeout: seconds a client may take for a message, or to take an answer.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        max_clients: int,
        max_size: int,
        timeout: float,
    ) -> None:
        """Take over listener; no client is accepted before run()."""
        self._listener = listener
        self._max_size = max_size
        self._timeout = timeout
        # An answer is as long as its message, or a reason, with a byte before it.
        self._answers = LengthFramer(max_size=max_size + 200)
        self._slots = threading.Semaphore(max_clients)
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()  # guards _clients
        self._stop: str | None = None

    def stop(self, reason: str) -> None:
        """Make run() return; only sets a variable, so a signal handler may call it."""
        self._stop = reason

    def run(self) -> str:
        """Serve until stop() is called; return its reason."""
        self._listener.settimeout(0)  # if a client left meanwhile, do not wait for it
        while self._stop is None:
            # waits: no longer than a tick, to see whether stop() was called
            waiting, _, _ = select.select([self._listener], [], [], TICK)
            # Without a free slot the client is better off in the kernel's queue.
            if waiting and self._slots.acquire(timeout=TICK) and not self._take_one():
                self._slots.release()
        return self._stop

    def close(self) -> None:
        """Close the listening socket, cut off every client, wait for the threads.

        There is one deadline for all of them. A thread that does not come back from
        answer() by then ends with the process: it is a daemon.
        """
        self._listener.close()
        deadline = time.monotonic() + self._timeout
        with self._lock:
            threads = list(self._clients.values())
            for connection in self._clients:
                # Wakes a recv() or sendall() in its thread; close() would not.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
        if stuck := sum(thread.is_alive() for thread in threads):
            say(f"given up: {stuck} that did not come back from answer()")

    def _take_one(self) -> bool:
        """Accept one client and start its thread; return whether that was done."""
        try:
            connection, peer = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            # EMFILE leaves the client in the queue: without a pause this would spin.
            say(f"cannot accept: {error.strerror}")
            time.sleep(TICK)  # waits: for another client to free a descriptor
            return False
        who = f"{peer[0]} port {peer[1]}"
        thread = threading.Thread(
            target=self._serve, args=(connection, who), name="connection", daemon=True
        )
        with self._lock:
            self._clients[connection] = thread
        try:
            thread.start()
        except RuntimeError as error:
            say(f"cannot serve {who}: {error}")
            self._forget(connection)
            return False
        return True

    def _serve(self, connection: socket.socket, who: str) -> None:
        """Answer one client until it closes, fails, or breaks the rules."""
        answered = 0
        end = "it closed"
        say(f"joined: {who}")
        try:
            for message in self._messages(connection):
                reply = self._reply(message)
                if reply is None:
                    end = "answer() failed"
                    break
                connection.settimeout(self._timeout)
                connection.sendall(reply)
                answered += 1
        except TooLongError as error:
            end = f"refused: {error}"
            self._refuse(connection, str(error))
        except CutShortError as error:
            end = str(error)
        except TimeoutError as error:  # of the kernel, if it has a number
            waited = f"too slow: waited {self._timeout:g} seconds"
            end = waited if error.errno is None else str(error.strerror)
        except OSError as error:
            end = error.strerror or str(error)
        finally:
            say(f"left: {who}, {answered} answered, {self._stop or end}")
            self._forget(connection)
            self._slots.release()

    def _reply(self, message: bytes) -> bytes | None:
        """Return what to send for a message; None if your own work failed.

        Its mistakes are not the client's, so they are told here and not there.
        """
        try:
            return self._answers.encode(b"+" + answer(message))
        except Exception as error:  # noqa: BLE001 - whatever answer() may raise
            print(f"answer(): {type(error).__name__}: {error}", file=sys.stderr)
            return None

    def _messages(self, connection: socket.socket) -> Iterator[bytes]:
        """Yield each message; a client that drips has no more time than others.

        Raises:
            FramingError: the client breaks the rules, or stops within a message.
            OSError: the connection broke, or a message took too long.
        """
        framer = LengthFramer(max_size=self._max_size)
        deadline = time.monotonic() + self._timeout
        data = b"?"
        while data:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
            data = connection.recv(CHUNK)
            if data:
                framer.feed(data)
            else:
                framer.feed_eof()
            for message in framer.events():
                yield message
                deadline = time.monotonic() + self._timeout

    def _refuse(self, connection: socket.socket, reason: str) -> None:
        """Tell a client why, and give it time to read that.

        close() with unread bytes sends RST, which may wipe out the reason on its
        way (RFC 9112 section 9.6). So what still comes is read and thrown away.
        """
        deadline = time.monotonic() + LINGER
        with contextlib.suppress(OSError):
            connection.settimeout(LINGER)
            connection.sendall(self._answers.encode(b"-" + reason.encode()))
            connection.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                if not connection.recv(CHUNK):
                    break

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            del self._clients[connection]
            connection.close()


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


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the first address of host, IPv4 or IPv6.

    Raises:
        OSError: the name is unknown, the port is taken or not permitted.
        UnicodeError: the name cannot be a host name.
    """
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family)


def main() -> None:
    """Parse the command line, serve until a signal comes, leave in order."""
    parser = OneLineParser(description="Answer messages in capital letters.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument("--timeout", type=positive, default=60.0, help="seconds")
    parser.add_argument("--max-clients", type=at_least_one, default=100)
    parser.add_argument(
        "--max-size", type=at_least_one, default=1_048_576, help="bytes of a message"
    )
    options = parser.parse_args()
    try:
        listener = open_listener(options.host, options.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot listen on {options.host}: {reason}")
    with listener:
        server = FramedServer(
            listener,
            max_clients=options.max_clients,
            max_size=options.max_size,
            timeout=options.timeout,
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
