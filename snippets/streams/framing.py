"""Framing to copy: bytes in, messages out, and no socket in sight.

Feed a framer whatever recv() returned. It keeps what is not whole yet, refuses a
message that is too long, and knows when a stream ended in the middle of one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

Event = TypeVar("Event")


class FramingError(ValueError):
    """The stream cannot be cut into messages any more: close the connection."""


class TooLongError(FramingError):
    """A message is longer than the limit."""


class CutShortError(FramingError):
    """The stream ended in the middle of a message."""


class Framer(ABC, Generic[Event]):
    """Cuts a stream of bytes. A subclass says in _take() where the cuts are.

    It holds at most one unfinished event and what was fed last, if events() is
    used up after each feed().
    """

    def __init__(self) -> None:
        """Begin with an empty stream."""
        self._buffer = bytearray()
        self._start = 0  # where in _buffer the next event begins
        self._ended = False
        self._error: FramingError | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream, as many as there are."""
        if self._ended:
            raise RuntimeError("fed after its end")
        del self._buffer[: self._start]  # once a feed and not once an event
        self._start = 0
        if self._error is None:
            self._buffer += data

    def feed_eof(self) -> None:
        """Take the end of the stream: recv() has returned b''."""
        self._ended = True

    def events(self) -> Iterator[Event]:
        """Yield what is whole, in order, and forget it.

        Raises:
            TooLongError: the next message is longer than the limit.
            CutShortError: the stream has ended within a message.
        """
        try:
            while self._error is None and (event := self._take()) is not None:
                yield event
            unfinished = len(self._buffer) - self._start
            if self._error is None and self._ended and unfinished:
                raise CutShortError(f"ended {unfinished} bytes into a message")
        except FramingError as error:
            self._error = error
            self._buffer.clear()
            self._start = 0
        if self._error is not None:
            raise self._error

    @abstractmethod
    def _take(self) -> Event | None:
        """Cut the next event off at _start and move that, or return None."""


class LengthFramer(Framer[bytes]):
    """A message is its length, in width bytes, big end first, and then itself.

    Args:
        max_size: bytes of the longest message that is taken or made.
        width: bytes of the length.
    """

    def __init__(self, *, max_size: int, width: int = 4) -> None:
        """Refuse messages longer than max_size."""
        super().__init__()
        self._max_size = min(max_size, 256**width - 1)
        self._width = width

    def encode(self, message: bytes) -> bytes:
        """Return what to send for a message; TooLongError if it is too long."""
        self._check(len(message))
        return len(message).to_bytes(self._width, "big") + message

    def _take(self) -> bytes | None:
        begin = self._start + self._width
        if len(self._buffer) < begin:
            return None
        size = int.from_bytes(self._buffer[self._start : begin], "big")
        self._check(size)  # before anybody waits for the rest of it
        if len(self._buffer) < begin + size:
            return None
        self._start = begin + size
        return bytes(self._buffer[begin : self._start])

    def _check(self, size: int) -> None:
        if size > self._max_size:
            raise TooLongError(f"{size} bytes, at most {self._max_size} are allowed")


class DelimiterFramer(Framer[bytes]):
    """A message ends with a delimiter, which it may not contain.

    Args:
        max_size: bytes of the longest message, without its delimiter.
        delimiter: the bytes between messages.
    """

    def __init__(self, *, max_size: int, delimiter: bytes = b"\n") -> None:
        """Refuse messages longer than max_size."""
        super().__init__()
        if not delimiter:
            raise ValueError("the delimiter is empty")
        self._max_size = max_size
        self._delimiter = delimiter
        self._searched = 0  # bytes of the next message that hold no delimiter

    def encode(self, message: bytes) -> bytes:
        """Return what to send for a message.

        Raises:
            TooLongError: it is longer than the limit.
            ValueError: the delimiter would not be found where it is.
        """
        self._check(len(message))
        sent = message + self._delimiter
        if sent.find(self._delimiter) != len(message):
            raise ValueError(f"{self._delimiter!r} in the message")
        return sent

    def _take(self) -> bytes | None:
        end = self._buffer.find(self._delimiter, self._start + self._searched)
        if end < 0:
            waiting = len(self._buffer) - self._start
            # A delimiter may have come in part: its bytes are searched again.
            self._searched = max(0, waiting - len(self._delimiter) + 1)
            self._check(self._searched)
            return None
        self._check(end - self._start)
        message = bytes(self._buffer[self._start : end])
        self._start = end + len(self._delimiter)
        self._searched = 0
        return message

    def _check(self, size: int) -> None:
        if size > self._max_size:
            raise TooLongError(f"no end within the {self._max_size} bytes allowed")


def main() -> None:
    """Show what two messages become, and that it does not matter how they come."""
    for framer in (DelimiterFramer(max_size=100), LengthFramer(max_size=100)):
        sent = b"".join(map(framer.encode, (b"one", b"two words")))
        print(type(framer).__name__, sent.hex(" "))
        framer.feed(sent)
        print("  all at once:  ", *framer.events())
        dripped: list[bytes] = []
        for byte in sent:
            framer.feed(bytes([byte]))
            dripped += framer.events()
        print("  byte by byte: ", *dripped)


if __name__ == "__main__":
    main()
