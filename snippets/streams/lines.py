"""Lines: a newline ends each message, and readline() gets a limit."""

import socket
from collections.abc import Iterator

LONGEST = 20  # bytes of a line, without its newline


def lines(connection: socket.socket) -> Iterator[bytes]:
    """Yield the lines of a stream, without their newlines.

    Raises:
        ValueError: a line is too long, or the stream ended within one.
        OSError: the connection broke, or a wait was too long.
    """
    with connection.makefile("rb") as stream:
        while line := stream.readline(LONGEST + 1):
            if not line.endswith(b"\n"):
                too_long = len(line) > LONGEST
                raise ValueError("too long a line" if too_long else "half a line")
            yield line[:-1]


def main() -> None:
    """Send four messages, of which two do not fit this framing."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as sender,
    ):
        listener.settimeout(5)
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(5)
            messages = (b"one", b"two words", b"first\nsecond", b"x" * 1000)
            sender.sendall(b"".join(message + b"\n" for message in messages))
            try:
                for line in lines(receiver):
                    print("a message:", line)
            except ValueError as error:
                print("refused:", error)


if __name__ == "__main__":
    main()
