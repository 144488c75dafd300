"""A client to copy that speaks in messages: it sends each and prints the answer.

The messages are the arguments, or the lines of standard input if there are
none. The other end is framed_server.py, whose docstring has the protocol.

Needs: framing.py
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

from framing import FramingError, LengthFramer

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 65_536  # bytes read at a time
LONGEST = 1_048_576  # bytes of a message, and of an answer without its mark


class RefusedError(Exception):
    """The server has refused a message and said why."""


class FramedClient:
    """Asks a framed server; connection is new, and has a time-out."""

    def __init__(self, connection: socket.socket) -> None:
        """Begin a conversation."""
        self._connection = connection
        self._framer = LengthFramer(max_size=LONGEST + 200)

    def ask(self, message: bytes) -> bytes:
        """Send a message and return its answer.

        Raises:
            RefusedError: the server said no, and why.
            FramingError: the message is too long, or the answer is no message.
            OSError: the server closed, or the connection broke or was too slow.
        """
        self._connection.sendall(self._framer.encode(message))
        answer = self._receive()
        if answer is None:
            raise ConnectionError("the server closed without an answer")
        if answer.startswith(b"-"):
            raise RefusedError(legible(answer[1:]))
        if not answer.startswith(b"+"):
            raise FramingError("an answer without its mark")
        return answer[1:]

    def finish(self) -> None:
        """End our half of the stream and wait until the server has ended its half."""
        self._connection.shutdown(socket.SHUT_WR)
        if self._receive() is not None:
            raise ConnectionError("the server sent more than answers")

    def _receive(self) -> bytes | None:
        """Return the next message, or None if the server has ended the stream."""
        data = b"?"
        while data:
            answer = next(self._framer.events(), None)
            if answer is not None:
                return answer
            data = self._connection.recv(CHUNK)
            if data:
                self._framer.feed(data)
        self._framer.feed_eof()
        return next(self._framer.events(), None)  # or it was cut short


def legible(data: bytes) -> str:
    r"""Return data as text, with \x.. for what is not UTF-8 or cannot be printed."""
    text = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def port_number(text: str) -> int:
    """Return text as a port that one can connect to.

    Checked here because create_connection() may make 70000 into port 4464.
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


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def lines_of_input() -> Iterator[bytes]:
    """Yield the lines of standard input as bytes, without their line ends.

    Raises:
        FramingError: a line is longer than a message may be.
    """
    while line := sys.stdin.buffer.readline(LONGEST + 3):  # and its line end
        message = line.removesuffix(b"\n").removesuffix(b"\r")
        if len(message) > LONGEST:
            raise FramingError(f"a line of more than {LONGEST} bytes")
        yield message


def main() -> None:
    """Parse the command line and ask each message."""
    parser = OneLineParser(description="Send messages to a framed server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, required=True)
    parser.add_argument("--timeout", type=positive, default=10.0, help="seconds a wait")
    parser.add_argument("messages", nargs="*", help="none: the lines of standard input")
    options = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that lacks a character gets its escape, not an exception.
        sys.stdout.reconfigure(errors="backslashreplace")
    messages = [os.fsencode(message) for message in options.messages]
    where = f"{options.host} port {options.port}"
    try:
        with socket.create_connection(
            (options.host, options.port), timeout=options.timeout
        ) as connection:
            client = FramedClient(connection)
            for message in messages or lines_of_input():
                print(legible(client.ask(message)), flush=True)
            client.finish()
    except RefusedError as error:
        sys.exit(f"{parser.prog}: {where}: refused: {error}")
    except (OSError, UnicodeError, FramingError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: {where}: {reason}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT


if __name__ == "__main__":
    main()
