"""Recording: tasks and loops as lanes, and WebSocket frames in words."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from handbook import compare, record, recordings, snippet, timeline

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from handbook.snippet import Snippet

    Write = Callable[..., Snippet]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="recordings are made on Linux"),
    pytest.mark.usefixtures("any_conduct"),
]

STREAMS = '''
    """A server and two clients in one event loop."""

    import asyncio


    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        while data := await reader.readline():
            writer.write(data.upper())
        writer.close()
        await writer.wait_closed()


    async def talk(port: int, words: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        print(await reader.readline())
        writer.close()
        await writer.wait_closed()


    async def main() -> None:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, asyncio.timeout(5):
            await asyncio.create_task(talk(port, b"one\\n"), name="client")
            await talk(port, b"two two\\n")
        try:
            await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            print("refused")


    asyncio.run(main())
'''


def of(made: recordings.Recording, lane: str, call: str) -> list[recordings.Event]:
    return [e for e in made.events if e["lane"] == lane and e["call"] == call]


def test_a_task_is_a_lane_and_the_line_is_its_await(program: Write) -> None:
    made = record.run(program(STREAMS))
    assert set(made.lanes) == {"main", "client", "handle", "handle 2"}
    assert [e["line"] for e in of(made, "client", "connect")] == [14]
    assert [e["line"] for e in of(made, "client", "send")] == [15]
    (received,) = of(made, "client", "recv")
    assert (received["line"], received["by"]) == (16, "loop")
    assert [e["line"] for e in of(made, "handle", "recv")] == [7, 7]
    assert [e["line"] for e in of(made, "client", "close")] == [17]


def test_the_task_waits_and_not_the_call_of_its_loop(program: Write) -> None:
    made = record.run(program(STREAMS))
    (received,) = of(made, "client", "recv")
    (answered,) = of(made, "handle", "send")
    assert received["blocked"]
    assert received["begin"] < answered["begin"] < received["end"]


def test_the_sockets_of_asyncio_itself_are_left_out(program: Write) -> None:
    made = record.run(program(STREAMS))
    families = {e["made"][0] for e in made.events if "made" in e}
    assert families == {"AF_INET"}
    assert not [e for e in made.events if e.get("result") == {"starts": "b'\\x00'"}]
    assert all(e.get("error", {}).get("errno") != "EAGAIN" for e in made.events)


def test_a_connect_that_asyncio_began_is_seen_as_it_ended(program: Write) -> None:
    made = record.run(program(STREAMS))
    assert "error" not in of(made, "client", "connect")[0]
    assert [e["error"]["errno"] for e in of(made, "main", "connect")[1:]] == [
        "ECONNREFUSED"
    ]


def test_a_stream_cut_in_another_way_is_no_difference(program: Write) -> None:
    read = program(STREAMS)
    made = record.run(read)
    (whole,) = of(made, "client", "recv")
    first = b"ONE\n"[:2]
    pieces = [
        whole
        | {
            "result": {"bytes": 2, "starts": repr(data)},
            "stream": {"bytes": size, "crc": zlib.crc32(b"ONE\n"[:size])},
        }
        for data, size in ((first, 2), (b"E\n", 4))
    ]
    events: list[recordings.Event] = []
    for event in made.events:
        events += pieces if event is whole else [event]
    cut = dataclasses.replace(made, events=tuple(events))
    assert compare.diff(made, cut, read) == ""
    pieces[1]["stream"] = {"bytes": 4, "crc": zlib.crc32(b"ONE!")}
    assert "calls of the client" in compare.diff(made, cut, read)


def test_whether_a_loop_read_the_fin_before_it_closed_is_no_difference(
    program: Write,
) -> None:
    read = program(STREAMS)
    made = record.run(read)
    ends = [e for e in of(made, "handle", "recv") if e["result"]["bytes"] == 0]
    assert ends
    unread = [event for event in made.events if event not in ends]
    closed_first = dataclasses.replace(made, events=tuple(unread))
    assert compare.diff(made, closed_first, read) == ""


def test_which_line_a_task_is_at_when_its_library_closes_is_no_difference(
    program: Write,
) -> None:
    """It depends on the Python, while an exception is on its way."""
    read = program(STREAMS)
    made = record.run(read)
    (closed,) = of(made, "client", "close")
    events = [
        event | {"line": 0} if event is closed else event for event in made.events
    ]
    unknown = dataclasses.replace(made, events=tuple(events))
    assert compare.diff(made, unknown, read) == ""


def test_another_line_of_a_task_is_a_difference(program: Write) -> None:
    made = record.run(program(STREAMS))
    changed = program(
        STREAMS.replace("        writer.write(words)", "\n        writer.write(words)")
    )
    assert "send" in compare.diff(made, record.run(changed), changed)


def test_what_no_line_did_has_no_link(program: Write) -> None:
    made = record.run(program(STREAMS))
    drawn = timeline.draw(made, title="x", link=lambda e: f"#line-{e['line']}")
    assert "#line-0" not in drawn.svg
    accepted = [words for words in drawn.words if "accept()" in words[1]]
    assert [words[0] for words in accepted] == [0, 0]
    assert accepted[0][1].startswith("The event loop calls accept() for main")


def test_a_loop_that_no_task_waits_for_has_a_lane_of_its_own(program: Write) -> None:
    made = record.run(
        program('''
            """Callbacks only."""

            import asyncio


            class Echo(asyncio.Protocol):
                def connection_made(self, transport: asyncio.BaseTransport) -> None:
                    self.transport = transport

                def data_received(self, data: bytes) -> None:
                    self.transport.write(data)


            async def main() -> None:
                loop = asyncio.get_running_loop()
                server = await loop.create_server(Echo, "127.0.0.1", 0)
                port = server.sockets[0].getsockname()[1]
                async with server, asyncio.timeout(5):
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(b"x")
                    print(await reader.readexactly(1))
                    writer.close()
                    await writer.wait_closed()


            asyncio.run(main())
        ''')
    )
    assert set(made.lanes) == {"main", recordings.EVENT_LOOP}
    assert [e["line"] for e in of(made, recordings.EVENT_LOOP, "send")] == [11]
    assert [e["line"] for e in of(made, recordings.EVENT_LOOP, "recv")][:1] == [0]


SELECTS = '''
    """A loop that select()s."""

    import selectors
    import socket
    import threading


    def dial(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"x")
            print(client.recv(9))


    with socket.create_server(("127.0.0.1", 0)) as listener:
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            print(selector.select(0), selector.select(0.01))
            client = threading.Thread(
                target=dial, args=[listener.getsockname()[1]], name="client"
            )
            client.start()
            selector.select(timeout=5)
            conn, _ = listener.accept()
            with conn:
                conn.sendall(conn.recv(9))
            client.join()
'''


def test_a_select_is_seen_with_its_line_and_its_wait(program: Write) -> None:
    read = program(SELECTS)
    made = record.run(read)
    waits = of(made, "server", "select")
    assert [(e["line"], e["result"]) for e in waits] == [(17, 0), (22, 1)]
    assert waits[0]["blocked"]
    drawn = timeline.draw(made, title="x")
    said = " ".join(words for _, words, _ in drawn.words)
    assert "select()" in said
    assert "1 ready" in said
    quiet = [e for e in made.events if e["call"] != "select"]
    without = dataclasses.replace(made, events=tuple(quiet))
    assert compare.diff(made, without, read) == "", (
        "when a loop wakes is up to the clock"
    )


def test_the_loop_of_asyncio_is_no_select_of_the_program(program: Write) -> None:
    made = record.run(program(STREAMS))
    assert not [e for e in made.events if e["call"] == "select"]


# WebSocket frames


def frames_module() -> ModuleType:
    path = record.TRACED / "_handbook_frames.py"
    spec = importlib.util.spec_from_file_location("_handbook_frames", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REQUEST = b"GET /chat HTTP/1.1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n%s\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


def upgraded(headers: bytes = b"") -> Any:
    talk = frames_module().Conversation()
    assert talk.feed("sent", REQUEST) == ["GET /chat HTTP/1.1"]
    answer = talk.feed("received", ANSWER % headers)
    assert answer == ["HTTP/1.1 101 Switching Protocols"]
    return talk


def frame(first: int, payload: bytes, mask: bytes = b"") -> bytes:
    size = len(payload)
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 1 << 16:
        head = bytes([first, flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + size.to_bytes(8, "big")
    if mask:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return head + mask + payload


MASK = b"\x01\x7f\xfe\x80"
FRAMES = [
    (frame(0x81, b"Hello"), 'TEXT "Hello"'),
    (frame(0x81, b""), "TEXT"),
    (frame(0x82, bytes(300)), "BINARY 300 bytes"),
    (frame(0x82, bytes(70_000)), "BINARY 70000 bytes"),
    (frame(0x81, b"a" * 50), 'TEXT "' + "a" * 40 + '…" 50 bytes'),
    (frame(0x01, b"Hel"), 'TEXT "Hel" (continues)'),
    (frame(0x80, b"lo"), 'CONTINUATION "lo"'),
    (frame(0x89, b"x"), 'PING "x"'),
    (frame(0x8A, b"\x00\xff"), "PONG 2 bytes"),
    (frame(0x88, b""), "CLOSE"),
    (frame(0x88, b"\x03\xe8bye"), 'CLOSE 1000 "bye"'),
    (frame(0x83, b"12345"), "opcode 0x3 5 bytes"),
    (frame(0xC1, b"x"), 'TEXT "x" (RSV1)'),
    (frame(0x81, "é\n".encode()), r'TEXT "\xe9\n"'),
]


@pytest.mark.parametrize(("data", "words"), FRAMES)
def test_a_frame_is_told_in_words(data: bytes, words: str) -> None:
    assert upgraded().feed("received", data) == [words]


def test_a_mask_is_taken_off_and_its_lack_is_told() -> None:
    assert upgraded().feed("sent", frame(0x81, b"Hello", MASK)) == ['TEXT "Hello"']
    assert upgraded().feed("sent", frame(0x81, b"x")) == ['TEXT "x" (not masked)']
    assert upgraded().feed("received", frame(0x81, b"x", MASK)) == ['TEXT "x" (masked)']


def test_frames_are_found_wherever_the_stream_is_cut() -> None:
    stream = b"".join(data for data, _ in FRAMES if len(data) < 1000)
    wanted = [words for data, words in FRAMES if len(data) < 1000]
    assert upgraded().feed("received", stream) == wanted
    for size in (1, 2, 3, 7):
        talk = upgraded()
        found = []
        for start in range(0, len(stream), size):
            found += talk.feed("received", stream[start : start + size])
        assert [words for words in found if not words.startswith("part of")] == wanted


def test_a_part_says_of_what() -> None:
    talk = upgraded()
    data = frame(0x82, bytes(70_000))
    assert talk.feed("received", data[:1]) == ["part of a frame"]
    assert talk.feed("received", data[1:500]) == ["part of BINARY 70000 bytes"]
    assert talk.feed("received", data[500:]) == ["BINARY 70000 bytes"]


def test_frames_may_come_with_the_answer() -> None:
    talk = frames_module().Conversation()
    talk.feed("received", REQUEST)
    data = ANSWER % b"" + frame(0x81, b"early")
    assert talk.feed("sent", data)[1:] == ['TEXT "early"']


def test_what_is_compressed_is_told_as_it_was_meant() -> None:
    squeeze = zlib.compressobj(wbits=-15)
    talk = upgraded(DEFLATE)
    for text in (b"hello hello hello", b"hello again"):
        data = squeeze.compress(text) + squeeze.flush(zlib.Z_SYNC_FLUSH)
        (words,) = talk.feed("received", frame(0xC1, data[:-4]))
        assert words == f'TEXT "{text.decode()}" (deflate)'


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SSH-2.0-x\r\n",
        bytes(range(200)),
        b"GET " + b"x" * 70_000,
    ],
)
def test_what_is_no_websocket_stays_as_it_is(first: bytes) -> None:
    talk = frames_module().Conversation()
    assert talk.feed("sent", first) == []
    assert talk.over
    assert talk.feed("received", frame(0x81, b"x")) == []


def test_a_refused_upgrade_ends_the_frames() -> None:
    talk = frames_module().Conversation()
    talk.feed("sent", REQUEST)
    assert talk.feed("received", b"HTTP/1.1 403 Forbidden\r\n\r\nno") == [
        "HTTP/1.1 403 Forbidden"
    ]
    assert talk.feed("received", b"\x81\x01x") == []


@pytest.mark.parametrize("seed", range(20))
def test_no_bytes_break_it(seed: int) -> None:
    talk = upgraded(DEFLATE)
    state = seed
    for _ in range(50):
        state = zlib.crc32(b"x", state)
        data = bytes((state >> (i % 24)) & 0xFF for i in range(state % 40 + 1))
        assert talk.feed("sent", data)


WEBSOCKET = '''
    """A conversation in frames."""

    import asyncio

    from websockets.asyncio.client import connect
    from websockets.asyncio.server import ServerConnection, serve


    async def handle(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message.upper())


    async def main() -> None:
        async with asyncio.timeout(5), serve(handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/chat") as websocket:
                await websocket.send("hello")
                print(await websocket.recv())
                await (await websocket.ping())


    asyncio.run(main())
'''


def test_the_frames_of_a_run_are_recorded_and_drawn(program: Write) -> None:
    pytest.importorskip("websockets")
    read = program(WEBSOCKET)
    made = record.record(read, times=3)
    assert set(made.lanes) == {"main", "handle"}
    sent = [words for e in of(made, "main", "send") for words in e.get("frames", [])]
    assert sent[0] == "GET /chat HTTP/1.1"
    assert sent[1] == 'TEXT "hello" (deflate)'
    assert sent[2].startswith("PING")
    assert sent[3:] == ["CLOSE 1000"]
    answered = of(made, "handle", "send")
    assert answered[1]["frames"] == ['TEXT "HELLO" (deflate)']
    assert answered[1]["line"] == 11
    received = of(made, "handle", "recv")
    assert received[1]["line"] == 10
    drawn = timeline.draw(made, title="x")
    assert '>TEXT "hello"<' in drawn.svg.replace("&quot;", '"')
    assert ">101 Switching Proto…<" in drawn.svg
    said = " ".join(words for _, words, _ in drawn.words)
    assert 'with 13 bytes: TEXT "hello" (deflate)' in said
    assert "\\x" not in said


def came(size: int, *frames: str, **more: Any) -> recordings.Event:
    """Return a recv() of a client, which brought frames of a WebSocket connection."""
    return {
        "lane": "client",
        "call": "recv",
        "line": 3,
        "socket": 1,
        "fd": 3,
        "begin": 1,
        "end": 2,
        "arguments": [100],
        "frames": list(frames),
        "result": {"bytes": size, "starts": "b'...'"},
        **more,
    }


def made_of(*events: recordings.Event) -> recordings.Recording:
    lanes, none = ("client", "server"), frozenset[int]()
    return recordings.Recording("x", {"": ""}, lanes, events, none, none, alone=False)


def test_frames_of_a_thread_may_come_in_one_call_or_two() -> None:
    path = snippet.ROOT / "snippets/sockets/conversation.py"
    program = snippet.read(path)
    one = made_of(came(12, 'TEXT "a"', 'TEXT "bcd"'))
    two = made_of(came(5, 'TEXT "a"', "part of TEXT 3 bytes"), came(7, 'TEXT "bcd"'))
    assert compare.diff(one, two, program) == ""
    other = made_of(came(5, 'TEXT "a"'), came(7, 'TEXT "xyz"'))
    assert compare.diff(one, other, program)


def test_other_words_in_a_frame_are_a_difference(program: Write) -> None:
    pytest.importorskip("websockets")
    made = record.run(program(WEBSOCKET))
    changed = program(WEBSOCKET.replace('"hello"', '"hallo"'))
    difference = compare.diff(made, record.run(changed), changed)
    assert "HELLO" in difference or "hello" in difference


def test_the_threads_of_a_library_are_lanes_named_by_what_they_do(
    program: Write,
) -> None:
    pytest.importorskip("websockets")
    made = record.run(
        program('''
            """The same with threads."""

            import threading

            from websockets.sync.client import connect
            from websockets.sync.server import ServerConnection, serve


            def handle(websocket: ServerConnection) -> None:
                websocket.send(websocket.recv(timeout=5))


            with serve(handle, "127.0.0.1", 0) as server:
                port = server.socket.getsockname()[1]
                thread = threading.Thread(target=server.serve_forever, name="server")
                thread.start()
                with connect(f"ws://127.0.0.1:{port}") as websocket:
                    websocket.send("hello")
                    print(websocket.recv(timeout=5))
                server.shutdown()
                thread.join()
        ''')
    )
    assert "recv_events" in made.lanes
    received = [
        words
        for event in made.events
        if event["lane"].startswith("recv_events") and event["call"] == "recv"
        for words in event.get("frames", [])
    ]
    assert received.count('TEXT "hello" (deflate)') == 2
    assert "AF_UNIX" not in str(made.events)


SEALED = '''
    """Two ends speak TLS over memory, and the bytes over a socket of asyncio.{needs}"""

    import asyncio
    import os


    async def handle(reader, writer):
        await reader.read(1000)
        writer.close()


    async def main():
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"{begin}" + os.urandom(50 + os.getpid() % 10))
            writer.close()
            await writer.wait_closed()
        print("said")


    asyncio.run(main())
'''


@pytest.mark.parametrize(
    ("needs", "begin", "same"),
    [
        ("", r"\x16\x03\x01", True),  # a record of TLS
        ("", "other", False),
        ("\n\n    Needs: chromium\n    ", "other", True),  # only what it printed counts
    ],
)
def test_what_nobody_can_read_is_no_difference(
    program: Write,
    needs: str,
    begin: str,
    same: bool,  # noqa: FBT001
) -> None:
    written = program(SEALED.replace("{needs}", needs).replace("{begin}", begin))
    first, second = (compare.masked(record.run(written), written) for _ in range(2))
    assert (first == second) is same
    if "chromium" in written.needs:
        assert first["lanes"] == {}


ASKS = '''
    """A request that is refused, with a new key and a date each time."""

    import os
    import socket
    import time

    request = b"GET / HTTP/1.1\\r\\nSec-WebSocket-Key: %s\\r\\nX: {word}\\r\\n\\r\\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname(), 5) as client:
            client.sendall(request % os.urandom(8).hex().encode())
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                date = time.ctime(time.time_ns() % 10**9).encode().rjust(30)
                connection.sendall(b"HTTP/1.1 426 No\\r\\nDate: %s\\r\\n\\r\\n" % date)
            print(len(client.recv(1000)))
'''


def test_keys_and_dates_of_http_are_no_difference(program: Write) -> None:
    def told(word: str) -> Any:
        written = program(ASKS.replace("{word}", word))
        return compare.masked(record.run(written), written)

    assert told("one") == told("one")
    assert told("one") != told("two")


@pytest.mark.parametrize(
    ("frames", "same"),
    [
        (['TEXT "a"', "PONG", "PONG", "CLOSE 1000"], True),
        (["PONG", 'TEXT "a"', "CLOSE 1000", "PONG"], True),
        (['TEXT "a"', "CLOSE 1000"], False),
        (['TEXT "b"', "PONG", "CLOSE 1000"], False),
    ],
)
def test_how_often_a_heart_beats_is_no_difference(
    frames: list[str],
    same: bool,  # noqa: FBT001
) -> None:
    def received(*frames: str) -> recordings.Recording:
        stream = {"bytes": 9 + 2 * len(frames), "crc": 9}
        return made_of(came(9, *frames, by="loop", stream=stream))

    program = snippet.read(snippet.ROOT / "snippets/sockets/conversation.py")
    one = received('TEXT "a"', "PONG", "CLOSE 1000")
    assert (compare.diff(one, received(*frames), program) == "") is same


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (['TEXT "a"'], ['TEXT "a"', "PING"], True),
        (['TEXT "a"'], ["PONG", 'TEXT "a"', "PING"], True),
        (['TEXT "a"'], ['TEXT "b"', "PING"], False),
        (['TEXT "a"', "PING"], ['TEXT "a"'], False),
        (['TEXT "a"', "PING"], ['TEXT "a"', "PONG"], False),
        ([], ["PING"], True),
    ],
)
def test_a_beat_that_a_slow_machine_brings_is_no_difference(
    before: list[str],
    after: list[str],
    same: bool,  # noqa: FBT001
) -> None:
    def received(*frames: str) -> recordings.Recording:
        stream = {"bytes": 9 + 2 * len(frames), "crc": 9}
        whole = [came(9, *frames, by="loop", stream=stream)] if frames else []
        return made_of(came(1, 'TEXT "x"', socket=2, by="loop"), *whole)

    program = snippet.read(snippet.ROOT / "snippets/sockets/conversation.py")
    found = compare.diff(received(*before), received(*after), program)
    assert (found == "") is same


def test_a_ping_that_the_program_sends_itself_is_compared() -> None:
    def sent(*frames: str) -> recordings.Recording:
        return made_of(came(9, *frames))

    program = snippet.read(snippet.ROOT / "snippets/sockets/conversation.py")
    assert compare.diff(sent('TEXT "a"'), sent('TEXT "a"', "PING"), program) != ""
