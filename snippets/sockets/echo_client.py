"""An echo client to copy: it sends messages and prints what comes back.

The messages are the arguments, or the lines of standard input if there are
none. TCP may deliver an answer in pieces, so each is read until all of its
bytes are there. The other end: echo_server.py, or any echo service (RFC 862).
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 16_384  # bytes sent before reading: few enough to fit in the buffers
LONGEST = 1_048_576  # bytes; a longer line of input is sent as several messages


def receive_exactly(connection: socket.socket, size: int) -> bytes:
    """Return the next size bytes of the stream, however they arrive.

    Raises:
        ConnectionError: the stream ended before.
        OSError: the connection broke, or a wait was too long.
    """
    received = bytearray()
    while len(received) < size:
        data = connection.recv(size - len(received))
        if not data:
            raise ConnectionError(f"closed after {len(received)} of {size} bytes")
        received += data
    return bytes(received)


def echo(connection: socket.socket, message: bytes) -> bytes:
    """Send message to an echo server and return its answer, of the same length.

    Sending all and then reading would hang with a long message: the server
    cannot send while we do not read, and stops reading when it cannot send.

    Raises:
        OSError: as for receive_exactly().
    """
    answer = bytearray()
    for start in range(0, len(message), PIECE):
        piece = message[start : start + PIECE]
        connection.sendall(piece)
        answer += receive_exactly(connection, len(piece))
    return bytes(answer)


def finish(connection: socket.socket) -> None:
    """End our half of the stream and wait until the server has ended its half.

    Raises:
        ConnectionError: the server sent more than it was sent.
        OSError: the connection broke, or a wait was too long.
    """
    connection.shutdown(socket.SHUT_WR)
    if connection.recv(1):
        raise ConnectionError("the server sent more than it got")


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
    """Yield the lines of standard input as bytes, without their line ends."""
    while line := sys.stdin.buffer.readline(LONGEST):
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def main() -> None:
    """Parse the command line and echo each message."""
    parser = OneLineParser(description="Send messages to an echo server.")
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
            for message in messages or lines_of_input():
                answer = echo(connection, message)
                if answer != message:
                    raise ConnectionError("the server sent back something else")
                print(legible(answer), flush=True)
            finish(connection)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: {where}: {reason}")
    except KeyboardInterrupt:
        sys.exit(130)  # as the shell has it: 128 and the number of SIGINT


if __name__ == "__main__":
    main()
