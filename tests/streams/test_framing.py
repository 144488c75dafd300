"""The claims of "Framing", and that framing.py holds whatever is fed to it."""

from __future__ import annotations

import importlib.util
import itertools
import json
import runpy
import socket
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from handbook.claims import cited, claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    Ends = tuple[socket.socket, socket.socket]

SNIPPETS = Path(__file__).resolve().parents[2] / "snippets" / "streams"
LIMIT = 6  # bytes of a message in most of these tests

# The same examples in every run: a failure here is never a matter of luck.
stable = settings(deadline=None, database=None, derandomize=True, max_examples=300)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SNIPPETS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


framing = load("framing")


def framers() -> list[Any]:
    """Return a new framer of each kind."""
    return [
        framing.LengthFramer(max_size=LIMIT),
        framing.LengthFramer(max_size=LIMIT, width=1),
        framing.DelimiterFramer(max_size=LIMIT),
        framing.DelimiterFramer(max_size=LIMIT, delimiter=b"\r\n"),
        framing.DelimiterFramer(max_size=LIMIT, delimiter=b"aba"),
    ]


KINDS = range(len(framers()))
# Few different bytes, so that lengths and delimiters come up by chance.
short_bytes = st.lists(st.sampled_from(b"ab\r\n\x00\x01\x02"), max_size=40).map(bytes)
cuts = st.lists(st.integers(min_value=0, max_value=40))


def pieces(stream: bytes, at: Iterable[int]) -> list[bytes]:
    """Cut a stream at some places."""
    ends = sorted({0, len(stream), *(cut for cut in at if cut < len(stream))})
    return [stream[one:other] for one, other in itertools.pairwise(ends)]


def outcome(framer: Any, fed: Iterable[bytes]) -> tuple[list[bytes], str]:
    """Say what comes of a stream: its messages, and the error at its end."""
    messages: list[bytes] = []
    try:
        for piece in fed:
            framer.feed(piece)
            for message in framer.events():
                messages.append(message)  # noqa: PERF402 - an error may come between
            held = len(framer._buffer) - framer._start
            assert held <= LIMIT + 4  # a message and what marks it
        framer.feed_eof()
        messages += framer.events()
    except framing.FramingError as error:
        with pytest.raises(type(error)):
            next(framer.events())  # it says so again
        return messages, f"{type(error).__name__}: {error}"
    return messages, "whole"


# The parser


@stable
@given(kind=st.sampled_from(KINDS), messages=st.lists(short_bytes), at=cuts)
@example(kind=4, messages=[b"ab"], at=[])
def test_what_was_encoded_comes_back(
    kind: int, messages: list[bytes], at: list[int]
) -> None:
    framer = framers()[kind]
    sent = []
    for message in messages:
        try:
            sent.append((message, framer.encode(message)))
        except ValueError:
            continue
    stream = b"".join(encoded for _, encoded in sent)
    expected = [message for message, _ in sent], "whole"
    assert outcome(framer, pieces(stream, at)) == expected


@stable
@given(message=short_bytes)
def test_encode_refuses_just_what_would_not_come_back(message: bytes) -> None:
    assume(len(message) <= LIMIT)
    for delimiter in (b"\n", b"\r\n", b"aba", b"aa"):
        framer = framing.DelimiterFramer(max_size=LIMIT, delimiter=delimiter)
        comes_back = outcome(framer, [message + delimiter]) == ([message], "whole")
        try:
            framer.encode(message)
        except ValueError:
            assert not comes_back
        else:
            assert comes_back


@stable
@given(kind=st.sampled_from(KINDS), stream=short_bytes, at=cuts)
@example(kind=2, stream=b"x" * 7 + b"\n", at=[])
@example(kind=3, stream=b"x" * 6 + b"\r\n", at=[7])
@claim("framing-ignores-the-cuts", "RFC 9293 section 2.2")
def test_the_cuts_do_not_matter(kind: int, stream: bytes, at: list[int]) -> None:
    """The same bytes give the same messages and the same error, however they are cut.

    It makes no difference to a framer whether they come one by one or all at once.
    """
    whole = outcome(framers()[kind], [stream])
    assert outcome(framers()[kind], pieces(stream, at)) == whole
    assert outcome(framers()[kind], pieces(stream, range(len(stream)))) == whole


def test_the_check_of_the_cuts_can_fail() -> None:
    class OneRecv:
        """Takes one piece for one message."""

        _buffer, _start = b"", 0

        def feed(self, data: bytes) -> None:
            self.data = data

        def feed_eof(self) -> None:
            self.data = b""

        def events(self) -> Iterator[bytes]:
            if self.data:
                yield self.data

    assert outcome(OneRecv(), [b"ab\n"]) != outcome(OneRecv(), [b"a", b"b\n"])


@pytest.mark.parametrize("kind", KINDS)
@claim("framing-knows-half-a-message", "RFC 9112 section 8")
def test_a_stream_may_end_between_messages_only(kind: int) -> None:
    """A framer can tell an end between messages from an end within one."""
    framer = framers()[kind]
    stream = framer.encode(b"one") + framer.encode(b"")
    middle = len(framer.encode(b"one"))
    for cut in range(len(stream) + 1):
        messages, end = outcome(framers()[kind], [stream[:cut]])
        assert messages == [b"one", b""][: (cut >= middle) + (cut == len(stream))]
        assert (end == "whole") == (cut in (0, middle, len(stream)))
        assert end == "whole" or end.startswith("CutShortError: ended ")


def test_the_limit_is_exact() -> None:
    for framer in framers():
        assert outcome(framer, [framer.encode(b"x" * LIMIT)])[1] == "whole"
        with pytest.raises(framing.TooLongError):
            framer.encode(b"x" * (LIMIT + 1))
    assert outcome(framers()[0], [b"\x00\x00\x00\x07"])[1].startswith("TooLongError")
    assert outcome(framers()[1], [b"\x07"])[1].startswith("TooLongError")
    assert outcome(framers()[2], [b"x" * 8])[1].startswith("TooLongError")
    assert outcome(framers()[3], [b"x" * 7 + b"\r\n"])[1].startswith("TooLongError")


def test_whole_messages_come_before_the_error() -> None:
    stream = b"one\ntwo\n" + b"x" * 100 + b"\nmore\n"
    messages, end = outcome(framing.DelimiterFramer(max_size=LIMIT), [stream])
    assert messages == [b"one", b"two"]
    assert end.startswith("TooLongError")


def test_after_an_error_nothing_is_kept() -> None:
    framer = framing.LengthFramer(max_size=LIMIT)
    framer.feed(b"\xff\xff\xff\xff")
    for _ in range(3):
        with pytest.raises(framing.TooLongError):
            list(framer.events())
        framer.feed(b"more" * 1000)
        assert len(framer._buffer) == 0


def test_after_its_end_nothing_may_be_fed() -> None:
    framer = framing.DelimiterFramer(max_size=LIMIT)
    framer.feed_eof()
    assert list(framer.events()) == []
    with pytest.raises(RuntimeError):
        framer.feed(b"x")


def test_events_may_be_taken_one_at_a_time() -> None:
    framer = framing.DelimiterFramer(max_size=LIMIT)
    framer.feed(b"one\ntwo\nthr")
    assert next(framer.events()) == b"one"
    framer.feed(b"ee\n")
    assert list(framer.events()) == [b"two", b"three"]


def test_an_empty_delimiter_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        framing.DelimiterFramer(max_size=LIMIT, delimiter=b"")


class Counting(bytearray):
    """Counts the bytes that are searched, copied or moved."""

    work = 0

    def find(self, sub: Any, start: Any = 0, end: Any = sys.maxsize) -> int:
        found = super().find(sub, start, end)
        self.work += (found if found >= 0 else len(self)) - start
        return found

    def __getitem__(self, key: Any) -> Any:
        taken = super().__getitem__(key)
        self.work += len(taken)
        return taken

    def __delitem__(self, key: Any) -> None:
        if key.stop:  # bytes would have to move what stands behind; CPython's
            # bytearray moves its own beginning, which is cheaper
            self.work += len(self) - key.stop
        super().__delitem__(key)


def check_work_is_linear(make: Callable[[], Any]) -> None:
    """Fail if a framer handles the bytes of a stream many times over."""
    framer = make()
    for stream, step in (
        (framer.encode(b"x" * 20_000), 1),  # a long message, byte by byte
        (framer.encode(b"x") * 5_000, 1_000_000),  # many short ones at once
        (framer.encode(b"x" * 9) * 2_000, 7),
    ):
        framer._buffer = buffer = Counting()
        count = 0
        for at in range(0, len(stream), step):
            framer.feed(stream[at : at + step])
            count += len(list(framer.events()))
        assert count in (1, 5_000, 2_000)
        # A length is looked at again with each piece: 4 bytes.
        assert buffer.work <= 6 * len(stream), (buffer.work, len(stream))


@pytest.mark.parametrize("kind", ["LengthFramer", "DelimiterFramer"])
def test_no_byte_is_handled_many_times(kind: str) -> None:
    check_work_is_linear(lambda: getattr(framing, kind)(max_size=20_000))


def test_the_check_of_the_work_can_fail() -> None:
    class SearchesAgain(framing.DelimiterFramer):  # type: ignore[misc, name-defined]
        def _take(self) -> Any:
            self._searched = 0
            return super()._take()

    class MovesForEach(framing.LengthFramer):  # type: ignore[misc, name-defined]
        _start: int

        def _take(self) -> Any:
            del self._buffer[: self._start]
            self._start = 0
            return super()._take()

    for wrong in (SearchesAgain, MovesForEach):
        with pytest.raises(AssertionError):
            check_work_is_linear(lambda wrong=wrong: wrong(max_size=20_000))  # type: ignore[misc]


# The claims


@claim(
    "framing-is-needed",
    "RFC 9293 section 2.2",
    "Python docs: Socket Programming HOWTO, Using a Socket",
)
def test_other_messages_can_be_the_same_bytes(dial: Callable[[], Ends]) -> None:
    """A stream needs framing: other messages can be the same bytes.

    The receiver can find their ends only by a rule that both sides follow.
    """

    def received(sent: Iterable[bytes]) -> bytes:
        sender, receiver = dial()
        for message in sent:
            sender.sendall(message)
        sender.close()
        return b"".join(iter(lambda: receiver.recv(1024), b""))

    ours, theirs = (b"to", b"gether"), (b"toget", b"her")
    assert received(ours) == received(theirs)
    for framer in framers():
        ours_framed, theirs_framed = (
            received(map(framer.encode, sent)) for sent in (ours, theirs)
        )
        assert ours_framed != theirs_framed
        assert outcome(framer, [ours_framed]) == (list(ours), "whole")


def check_finds_the_end(read: Callable[[socket.socket], bytes], ends: Ends) -> None:
    """Fail unless a message that comes in two parts is read whole."""
    sender, receiver = ends
    framer = framing.DelimiterFramer(max_size=10_000)
    message = b"first part, " * 100 + b"second part"
    encoded = framer.encode(message)
    sender.sendall(encoded[:1200])
    result: list[bytes] = []
    reader = threading.Thread(target=lambda: result.append(read(receiver)))
    reader.start()
    reader.join(0.2)  # waits: a reader that stops too early is to have the time
    sender.sendall(encoded[1200:])
    reader.join(PATIENCE)
    assert result == [message]


def read_by_framing(connection: socket.socket) -> bytes:
    framer = framing.DelimiterFramer(max_size=10_000)
    message: bytes | None = None
    while message is None:
        framer.feed(connection.recv(1024))
        message = next(framer.events(), None)
    return message


def read_until_less_comes(connection: socket.socket) -> bytes:
    message = b""
    while True:
        data = connection.recv(1024)
        message += data
        if len(data) < 1024:
            return message


@claim(
    "a-short-recv-ends-the-message",
    "recv(2)",
    "RFC 9293 section 3.9.1.3",
    often_said="When recv() returns less than you asked for, the message is over.",
)
def test_a_short_recv_is_no_end(ends: Ends) -> None:
    """How much recv() returns says nothing about where a message ends.

    Less than was asked for may be half of it, and a full buffer may be all of it.
    """
    check_finds_the_end(read_by_framing, ends)


def test_the_check_of_the_end_can_fail(dial: Callable[[], Ends]) -> None:
    with pytest.raises(AssertionError):
        check_finds_the_end(read_until_less_comes, dial())
    sender, receiver = dial()
    receiver.settimeout(0.2)
    sender.sendall(b"x" * 1024)  # all of a message, and the reader waits for more
    with pytest.raises(TimeoutError):
        read_until_less_comes(receiver)


@claim("delimiter-must-not-be-in-message", "RFC 5321 section 4.5.2")
def test_a_delimiter_in_a_message_makes_two() -> None:
    """A delimiter must not stand in a message: the receiver would see two.

    So it has to be refused or escaped. A length allows any byte.
    """
    lengths = framing.LengthFramer(max_size=LIMIT)
    assert outcome(lengths, [lengths.encode(b"a\nb\n")]) == ([b"a\nb\n"], "whole")
    lines = framing.DelimiterFramer(max_size=LIMIT)
    assert outcome(lines, [b"a\nb\n"]) == ([b"a", b"b"], "whole")
    with pytest.raises(ValueError, match="in the message"):
        lines.encode(b"a\nb")


def check_bomb_is_refused(read: Callable[[socket.socket], object], ends: Ends) -> None:
    """Fail unless a length of 50 MB is refused without room being made for it."""
    sender, receiver = ends
    sender.sendall((50_000_000).to_bytes(4, "big"))
    receiver.settimeout(0.2)
    tracemalloc.start()
    try:
        with pytest.raises((framing.TooLongError, TimeoutError)) as caught:
            read(receiver)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.type is framing.TooLongError, "it waits for all of it"
    assert most < 1_000_000


def read_with_a_limit(connection: socket.socket) -> None:
    framer = framing.LengthFramer(max_size=1_000_000)
    framer.feed(connection.recv(1024))
    list(framer.events())


def read_what_is_announced(connection: socket.socket) -> bytes:
    size = int.from_bytes(connection.recv(4), "big")
    return connection.recv(size)


@claim(
    "length-prefix-bounded",
    "RFC 9113 section 4.2",
    "RFC 6455 section 10.4",
    often_said="The length comes first, so I know how much memory to reserve.",
)
def test_a_length_is_refused_before_room_is_made(ends: Ends) -> None:
    """A length is what the peer claims: four bytes can announce 4 GiB.

    Compare it with a limit of your own before you keep or allocate anything.
    """
    check_bomb_is_refused(read_with_a_limit, ends)


def test_the_check_of_the_bomb_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="waits for all"):
        check_bomb_is_refused(read_what_is_announced, ends)


@claim("makefile-readline-bounded", "Python docs: io.IOBase.readline")
def test_readline_takes_what_it_gets_or_what_it_is_told(
    dial: Callable[[], Ends],
) -> None:
    """readline() without a size keeps whatever comes until a newline does.

    With a size it returns after that many bytes.
    """
    size = 5_000_000
    for limit, expected in ((-1, size), (100, 100)):
        sender, receiver = dial()

        def flood(sender: socket.socket = sender) -> None:
            sender.sendall(b"x" * size)
            sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=flood, name="sender")
        thread.start()
        with receiver.makefile("rb") as stream:
            assert len(stream.readline(limit)) == expected
            assert len(stream.read()) == size - expected
        thread.join(PATIENCE)


@claim("makefile-dies-of-a-time-out", "Python docs: socket.makefile")
def test_after_a_time_out_makefile_cannot_go_on(ends: Ends) -> None:
    """After a time-out the file of makefile() cannot be read any more."""
    sender, receiver = ends
    sender.sendall(b"half a ")
    receiver.settimeout(0.2)
    with receiver.makefile("rb") as stream:
        with pytest.raises(TimeoutError):
            stream.readline(100)
        sender.sendall(b"line\n")
        with pytest.raises(OSError, match="cannot read from timed out object"):
            stream.readline(100)


cited(
    "http-frames-by-both",
    "HTTP/1.1 ends its header by an empty line, and its body by a length or by chunks "
    "with lengths. An answer that has neither ends when the server closes.",
    "RFC 9112 section 2.1",
    "RFC 9112 section 6.3",
)
cited(
    "http-1-0-ends-by-closing",
    "In HTTP/1.0 a body without a length ends when the server closes.",
    "RFC 1945 section 7.2.2",
)
cited(
    "records-of-tls-have-a-length",
    "Each record of TLS and each frame of HTTP/2 tells its length in its first bytes.",
    "RFC 8446 section 5.1",
    "RFC 9113 section 4.1",
)
cited(
    "a-reset-may-wipe-out-the-answer",
    "If a server closes while the client still sends, a reset may wipe out its last "
    "answer.",
    "RFC 9112 section 9.6",
    "RFC 9293 section 3.6.1",
)
cited(
    "websocket-frames-have-a-length",
    "A frame of WebSocket has its length near its beginning: in 7 bits, or in 2 or 8 "
    "bytes after them.",
    "RFC 6455 section 5.2",
)


@stable
@given(value=st.recursive(st.text(), st.lists, max_leaves=5))
@example(value="first\nsecond\r\u2028")
@claim("json-fits-on-a-line", "RFC 8259 section 7", "Python docs: json.dumps")
def test_json_has_no_newline(value: object) -> None:
    """json.dumps() writes no newline, if it is not told to indent."""
    text = json.dumps(value).encode()
    assert b"\n" not in text
    assert b"\r" not in text


def test_lines_cut_as_their_docstring_says(dial: Callable[[], Ends]) -> None:
    lines = runpy.run_path(str(SNIPPETS / "lines.py"))["lines"]
    for sent, expected in (
        (b"one\n\ntwo\n", "whole"),
        (b"x" * 20 + b"\n", "whole"),
        (b"x" * 21 + b"\n", "too long a line"),
        (b"one\nhal", "half a line"),
    ):
        sender, receiver = dial()
        sender.sendall(sent)
        sender.close()
        end = "whole"
        received = []
        try:
            for line in lines(receiver):
                received.append(line)  # noqa: PERF402 - an error may come between
        except ValueError as error:
            end = str(error)
        assert end == expected
        whole = sent.split(b"\n")[:-1]
        assert received == [line for line in whole if len(line) <= 20]


def test_a_million_messages_take_no_lasting_memory() -> None:
    framer = framing.LengthFramer(max_size=LIMIT)
    block = framer.encode(b"hello") * 1000
    tracemalloc.start()
    try:
        for _ in range(100):
            framer.feed(block)
            assert sum(1 for _ in framer.events()) == 1000
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 100_000
