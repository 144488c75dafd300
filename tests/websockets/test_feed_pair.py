"""The feed server and client do what their docstrings say, whoever the peer is.

Most tests run the programs themselves, as processes, with every warning on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import feed_client
import feed_server
import pytest
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin
from websockets.utils import accept_key

from patience import BRIEF, PATIENCE
from processes import Running, command, run, running, without_slowness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from websockets.sync.client import ClientConnection

    Run = Callable[[Any], Any]

DEV = ("-X", "dev")
SERVER = command("websockets/feed_server.py")
# Without "-X dev": asyncio would warn, on a busy machine, of a step that took long.
CLIENT = [word for word in command("websockets/feed_client.py") if word not in DEV]
# A shell's background job, as a test run may be, is started without SIGINT.
WITH_SIGINT = [
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n",
]
HELLO = json.dumps({"client": "test", "feed": None, "after": 0})
BAD_PORTS = ["-1", "65536", "70000", "abc", "", " 80", "8_0", "+80", "٨٠", "1e3"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


class Client:
    """A running feed_client.py; its output and its errors are one list of lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._new: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="output")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if without_slowness(line):
                self._new.put(line.rstrip("\n"))

    def type(self, text: str) -> None:
        """Write to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_for(self, pattern: str) -> None:
        """Wait for a line that matches, a minute at most."""
        deadline = time.monotonic() + PATIENCE
        while not (self.lines and re.search(pattern, self.lines[-1])):
            try:
                left = max(0, deadline - time.monotonic())
                self.lines.append(self._new.get(timeout=left))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {self.lines}") from None

    def end(self) -> tuple[int, list[str]]:
        """Wait for its end; return the exit status and all lines."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while not self._new.empty():
            self.lines.append(self._new.get())
        return status, self.lines


@contextlib.contextmanager
def client_of(port: int, *arguments: str) -> Iterator[Client]:
    """Run the client beside the test; it is killed at the end."""
    with subprocess.Popen(
        [*WITH_SIGINT, *CLIENT, "--port", str(port), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


@contextlib.contextmanager
def feed(*arguments: str) -> Iterator[tuple[Running, int]]:
    """Run the server for the length of a with block; it must end cleanly."""
    program = "websockets/feed_server.py"
    with running(program, *arguments, prefix=WITH_SIGINT) as server:
        yield server, server.port


@contextlib.contextmanager
def join(port: int, hello: str = HELLO, **settings: Any) -> Iterator[ClientConnection]:
    """Connect and introduce ourselves; what comes back is not read."""
    usual = {"ping_interval": None, "close_timeout": PATIENCE, "max_size": None}
    settings = {**usual, **settings}
    with connect(f"ws://127.0.0.1:{port}/", **settings) as client:
        client.send(hello)
        yield client


def join_slow(port: int) -> contextlib.AbstractContextManager[ClientConnection]:
    """Join, and read no further than the first message."""
    return join(port, compression=None, max_queue=1, close_timeout=0.1)


def assert_one_line(text: str) -> None:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text


def assert_serves(port: int) -> None:
    """Fail unless a new client gets what it says."""
    assert run([*CLIENT, "--port", str(port), "still there?"]) == (
        0,
        "still there?\n",
        "",
    )


def test_messages_come_back() -> None:
    with feed() as (server, port):
        words = ["hello", "two words", "", "한글"]
        assert run([*CLIENT, "--port", str(port), *words]) == (
            0,
            "hello\ntwo words\n\n한글\n",
            "",
        )
        assert server.wait_for("^left: .* 1000$")


def test_lines_of_input_come_back() -> None:
    with feed() as (_, port):
        lines = b"one\ntwo\r\n\nno end \x1b[31m\xff"
        assert run([*CLIENT, "--port", str(port)], lines) == (
            0,
            "one\ntwo\n\nno end \\x1b[31m\ufffd\n",
            "",
        )


def test_all_hear_what_one_says() -> None:
    with (
        feed() as (server, port),
        client_of(port, "--listen", "I listen") as listener,
    ):
        listener.wait_for("^I listen$")
        assert run([*CLIENT, "--port", str(port), "news"])[0] == 0
        listener.wait_for("^news$")
        listener.process.send_signal(signal.SIGINT)
        assert listener.end() == (130, ["I listen", "news"])
        server.wait_for("^left: .* 1000$")


def test_a_message_said_twice_is_published_once() -> None:
    with feed() as (_, port), join(port) as client:
        assert json.loads(client.recv(PATIENCE))["said"] == 0
        for n in (1, 2, 2, 1, 3):
            client.send(json.dumps({"n": n, "text": f"number {n}"}))
        got = [json.loads(client.recv(PATIENCE)) for _ in range(3)]
        assert [message["text"] for message in got] == [
            "number 1",
            "number 2",
            "number 3",
        ]
        assert [message["id"] for message in got] == [1, 2, 3]
    with feed() as (_, port), join(port) as client:
        client.send(json.dumps({"n": 1, "text": "before"}))
        name = json.loads(client.recv(PATIENCE))["feed"]
        client.recv(PATIENCE)
        back = json.dumps({"client": "test", "feed": name, "after": 0})
        with join(port, back) as again:
            assert json.loads(again.recv(PATIENCE))["said"] == 1
            assert json.loads(again.recv(PATIENCE))["text"] == "before"


def check_nobody_is_silenced(port: int, name: str) -> None:
    """Fail if whoever uses this name can use up the numbers of "test"."""
    with (
        join(port) as victim,
        join(port, json.dumps({"client": name, "feed": None, "after": 0})) as rogue,
    ):
        victim.recv(PATIENCE)
        rogue.recv(PATIENCE)
        rogue.send(json.dumps({"n": 2**53 - 1, "text": "from now on be silent"}))
        victim.recv(PATIENCE)
        victim.send(json.dumps({"n": 2, "text": "still here"}))
        victim.send(json.dumps({"n": 2**53, "text": "which ends it, in 1008"}))
        with contextlib.suppress(ConnectionClosed):
            assert json.loads(victim.recv(PATIENCE))["text"] == "still here"
            return
        raise AssertionError("silenced")


def test_the_name_that_others_see_is_of_no_use_to_them() -> None:
    with feed() as (_, port):
        with join(port) as victim:
            victim.recv(PATIENCE)
            victim.send(json.dumps({"n": 1, "text": "hello"}))
            seen = json.loads(victim.recv(PATIENCE))["client"]
        assert seen != "test"
        check_nobody_is_silenced(port, seen)
        with pytest.raises(AssertionError, match="silenced"):
            check_nobody_is_silenced(port, "test")  # so the name must stay secret


def test_a_name_may_be_any_text() -> None:
    hello = json.dumps({"client": "\ud800", "feed": None, "after": 0})
    with feed() as (_, port), join(port, hello) as client:
        client.recv(PATIENCE)
        client.send(json.dumps({"n": 1, "text": "x"}))
        name = json.loads(client.recv(PATIENCE))["client"]
        assert name == feed_server.public("\ud800") == feed_client.public("\ud800")


@pytest.mark.parametrize(
    ("feed_name", "after", "expected"),
    [
        (None, 0, []),
        ("", 1, [{"id": 2}, {"id": 3}]),
        ("", 3, []),
        ("", 4, [{"lost": None}, {"id": 2}, {"id": 3}]),
        ("", 0, [{"lost": 1}, {"id": 2}, {"id": 3}]),
        ("of another run", 3, [{"lost": None}, {"id": 2}, {"id": 3}]),
    ],
    ids=["new", "in time", "nothing missed", "ahead", "too late", "restarted"],
)
def test_who_comes_back_gets_what_was_missed(
    feed_name: str | None, after: int, expected: list[dict[str, Any]]
) -> None:
    with feed("--keep", "2") as (_, port), join(port) as speaker:
        name = json.loads(speaker.recv(PATIENCE))["feed"]
        for n in (1, 2, 3):
            speaker.send(json.dumps({"n": n, "text": "x"}))
            speaker.recv(PATIENCE)
        asked = name if feed_name == "" else feed_name
        hello = json.dumps({"client": "back", "feed": asked, "after": after})
        with join(port, hello) as client:
            assert json.loads(client.recv(PATIENCE))["at"] == 3
            speaker.send(json.dumps({"n": 4, "text": "last"}))
            for part in [*expected, {"id": 4}]:
                message = json.loads(client.recv(PATIENCE))
                assert part.items() <= message.items(), message


@pytest.mark.parametrize(
    "hello",
    [
        "hello",
        "[]",
        "{}",
        b"\xff",
        "[" * 60_000,
        "1" * 5_000,
        json.dumps({"client": "", "feed": None, "after": 0}),
        json.dumps({"client": 7, "feed": None, "after": 0}),
        json.dumps({"client": "x" * 65, "feed": None, "after": 0}),
        json.dumps({"client": "x", "feed": [], "after": True}),
        json.dumps({"client": "x", "feed": {"a": 1}, "after": 0}),
        json.dumps({"client": "x", "feed": None, "after": -1}),
        json.dumps({"client": "x", "feed": None, "after": 2**53}),
        json.dumps({"client": "x", "feed": None, "after": 1.0}),
    ],
)
def test_a_wrong_introduction_is_refused_with_1008(hello: str | bytes) -> None:
    with feed() as (server, port):
        with connect(f"ws://127.0.0.1:{port}/") as client:
            client.send(hello)
            with pytest.raises(ConnectionClosed, match="received 1008"):
                client.recv(PATIENCE)
        server.wait_for("^left: .* 1008 not ")
        assert_serves(port)


@pytest.mark.parametrize(
    "message",
    ["?", "{}", '{"n": "1", "text": "x"}', '{"n": 1, "text": 1}', '{"n": true}'],
)
def test_a_wrong_message_is_refused_with_1008(message: str) -> None:
    with feed() as (_, port):
        with join(port) as client:
            client.recv(PATIENCE)
            client.send(message)
            with pytest.raises(ConnectionClosed, match="received 1008"):
                client.recv(PATIENCE)
        assert_serves(port)


def test_a_huge_message_is_refused_with_1009() -> None:
    with feed() as (server, port):
        with join(port) as client:
            client.recv(PATIENCE)
            client.send(json.dumps({"n": 1, "text": "x" * 70_000}))
            with pytest.raises(ConnectionClosed, match="received 1009"):
                client.recv(PATIENCE)
        server.wait_for("^left: .* 1009")
        assert_serves(port)


def test_the_largest_message_comes_back_however_it_is_written() -> None:
    with feed() as (_, port):
        for text in ("é" * 10_000, "\U0001f600" * 10_000, '"' * 10_000):
            assert run([*CLIENT, "--port", str(port)], text.encode()) == (
                0,
                f"{text}\n",
                "",
            )


def test_a_message_that_is_too_long_is_said_in_one_line() -> None:
    with feed() as (_, port):
        command = [*CLIENT, "--port", str(port)]
        for status, out, err in (
            run([*command, "x" * 10_001]),
            run(command, b"x" * 150_000),
        ):
            assert (status, out) == (1, "")
            assert_one_line(err)
            assert "more than 10000 characters" in err


@posix
def test_what_is_no_text_is_said_all_the_same() -> None:
    with feed() as (_, port):
        command = [os.fsencode(word) for word in (*CLIENT, "--port", str(port))]
        assert run([*command, b"\xff \xed\xa0\x80"]) == (0, "? ???\n", "")


def test_whoever_speaks_no_http_is_told_in_one_line() -> None:
    with feed() as (server, port):
        for words in (b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b""):
            with socket.create_connection(
                ("127.0.0.1", port), timeout=PATIENCE
            ) as rude:
                rude.sendall(words)
                rude.shutdown(socket.SHUT_WR)
                while rude.recv(1000):
                    pass
        assert_serves(port)
        status, errors = server.end(signal.SIGTERM)
        assert status == 0
        assert "Traceback" not in errors
        assert errors.count("\n") <= 3


def test_a_page_of_a_browser_is_refused() -> None:
    page = Origin("http://127.0.0.1")
    with feed() as (_, port), pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://127.0.0.1:{port}/", origin=page).__enter__()


def test_too_many_clients_are_refused_and_come_later() -> None:
    with feed("--max-clients", "1") as (_, port), join(port) as first:
        first.recv(PATIENCE)
        with pytest.raises(InvalidStatus, match="503"):
            connect(f"ws://127.0.0.1:{port}/").close()
        with client_of(port, "--longest", "1", "my turn") as second:
            second.wait_for("^disconnected: .*503")
            first.close()
            second.wait_for("^my turn$")
            assert second.end()[0] == 0


def test_a_client_that_says_nothing_is_cut_off() -> None:
    with feed("--timeout", "0.5") as (server, port):
        with (
            connect(f"ws://127.0.0.1:{port}/") as client,
            pytest.raises(ConnectionClosed, match="no close frame"),
        ):
            client.recv(PATIENCE)
        server.wait_for("^left: .* too slow: waited 0.5 seconds$")


@linux
def test_a_slow_client_stops_nobody_costs_little_and_is_cut_off() -> None:
    with feed("--timeout", str(BRIEF), "--keep", "20") as (server, port):
        assert_serves(port)
        before = server.status("VmRSS")
        with join_slow(port):
            flood(port)  # 14 MB, of which the feed keeps 1.2
            server.wait_for(f"^left: .* too slow: waited {BRIEF} seconds$")
            assert server.status("VmHWM") - before < 12_000  # kB
        assert_serves(port)


def test_a_flood_is_slowed_down_and_the_others_are_served() -> None:
    with feed() as (_, port), join(port) as flooder:
        flooder.recv(PATIENCE)
        begin = time.monotonic()
        for n in range(1, 61):
            flooder.send(json.dumps({"n": n, "text": "x"}))
        status, out, err = run([*CLIENT, "--port", str(port), "still there?"])
        assert (status, err) == (0, "")
        assert "still there?\n" in out  # and with it some of the flood
        while json.loads(flooder.recv(PATIENCE)).get("n") != 60:
            pass
        assert time.monotonic() - begin > 0.8  # 20 more than the 40 that go at once


@posix
def test_a_restarted_server_is_found_again_and_nothing_of_ours_is_lost() -> None:
    with contextlib.ExitStack() as stack:
        with feed() as (server, port):
            client = stack.enter_context(client_of(port, "--longest", "1"))
            client.type("before\n")
            client.wait_for("^before$")
            server.process.kill()  # no close frame, no flush: kill -9
            client.wait_for(r"^disconnected: 1006; next attempt in \d\.\d s$")
            client.type("during\n")
            client.wait_for("^disconnected: .*Connect call failed")
        with feed("--port", str(port)):
            client.wait_for("^lost: unknown$")
            client.wait_for("^during$")
            assert client.process.stdin is not None
            client.process.stdin.close()
            assert client.end()[0] == 0


@posix
def test_control_c_loses_nothing_that_was_published() -> None:
    # Without a limit to what they have read and not yet given to us.
    with (
        feed() as (server, port),
        join(port, max_queue=None) as speaker,
        join(port, max_queue=None) as listener,
    ):
        for client in (speaker, listener):
            client.recv(PATIENCE)
        for n in range(1, 41):
            speaker.send(json.dumps({"n": n, "text": "x" * 1000}))
        while json.loads(speaker.recv(PATIENCE))["n"] != 40:
            pass
        assert server.end(signal.SIGINT)[0] == 0
        got = [json.loads(listener.recv(PATIENCE))["n"] for _ in range(40)]
        assert got == list(range(1, 41))
        with pytest.raises(ConnectionClosed, match=r"received 1001 \(going away"):
            listener.recv(PATIENCE)
        assert server.lines.count("stopped by SIGINT") == 1


def flood(port: int) -> None:
    """Let six clients say 14 MB: more than the kernel holds for one that is slow."""
    with contextlib.ExitStack() as stack:
        speakers = []
        for number in range(6):
            hello = json.dumps({"client": str(number), "feed": None, "after": 0})
            joined = join(port, hello, max_queue=None, compression=None)
            speakers.append(stack.enter_context(joined))
            assert speakers[-1].recv(PATIENCE)
        for n in range(1, 41):
            for speaker in speakers:
                speaker.send(json.dumps({"n": n, "text": "x" * 60_000}))
        for number, speaker in enumerate(speakers):
            while True:
                message = json.loads(speaker.recv(PATIENCE))
                name = feed_server.public(str(number))
                if (message["client"], message["n"]) == (name, 40):
                    break


@posix
@linux
def test_control_c_does_not_wait_for_a_client_that_is_stuck() -> None:
    with feed("--timeout", str(5 * PATIENCE)) as (server, port):
        silent = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        with silent, join_slow(port):
            flood(port)
            begin = time.monotonic()
            assert server.end(signal.SIGINT) == (0, "")
            assert time.monotonic() - begin < PATIENCE
            assert [line for line in server.lines if "no close frame" in line]


@posix
def test_control_c_ends_the_client_quietly() -> None:
    with feed() as (server, port):
        with client_of(port) as client:
            client.type("hello\n")
            client.wait_for("^hello$")  # so it reads its input
            client.process.send_signal(signal.SIGINT)
            assert client.end() == (130, ["hello"])
        server.wait_for("^left: .* 1000$")


def test_a_hundred_clients_hear_the_same(run_async: Run) -> None:
    async def converse(port: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            url = f"ws://127.0.0.1:{port}/"
            clients = []
            for number in range(100):
                client = await stack.enter_async_context(
                    dial(url, compression=None, ping_interval=None)
                )
                hello = {"client": str(number), "feed": None, "after": 0}
                await client.send(json.dumps(hello))
                assert json.loads(await client.recv())["at"] == 0
                clients.append(client)
            for client in clients:
                await client.send(json.dumps({"n": 1, "text": "hello"}))
            heard = {
                tuple([json.loads(await client.recv())["client"] for _ in clients])
                for client in clients
            }
            assert len(heard) == 1
            names = [feed_server.public(str(number)) for number in range(100)]
            assert sorted(heard.pop()) == sorted(names)

    with feed() as (_, port):
        run_async(converse(port))


class Crowd:
    """Clients that hear one feed, and what each has heard."""

    def __init__(self, url: str, size: int) -> None:
        self.heard: list[list[str]] = [[] for _ in range(size)]
        self.told: list[str] = []
        self.clients = [
            feed_client.FeedClient(
                url, heard=mine.append, told=self.told.append, longest=0.02
            )
            for mine in self.heard
        ]
        self.running = [asyncio.create_task(client.run()) for client in self.clients]

    async def all_have_heard(self, count: int) -> None:
        """Wait until each has heard so many lines with "says" in them."""
        for number in range(len(self.clients)):
            while len(self.spoken(number)) < count:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)  # waits: for who comes back last

    def spoken(self, number: int) -> list[str]:
        return [line for line in self.heard[number] if "says" in line]

    async def leave(self) -> None:
        for task in self.running:
            task.cancel()
        await asyncio.wait(self.running)


def test_a_server_that_never_answers_a_close_is_let_go(
    run_async: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is gone when run() is, without a wait for the keep-alive."""
    opened: list[Any] = []

    async def dial_and_note(*args: Any, **kwargs: Any) -> Any:
        opened.append(await dial(*args, **kwargs))
        return opened[-1]

    async def nonsense(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Shake hands, send what no feed sends, and be deaf to what comes then."""
        head = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        assert key
        answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        answer += b"Connection: Upgrade\r\nSec-WebSocket-Accept: "
        answer += accept_key(key[1].decode()).encode() + b"\r\n\r\n"
        writer.write(answer + b"\x81\x04oops")
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()

    async def converse() -> None:
        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            client = feed_client.FeedClient(
                f"ws://127.0.0.1:{port}/",
                heard=lambda _: None,
                told=lambda _: None,
                timeout=1,
            )
            with pytest.raises(feed_client.RefusedError):
                await client.run()
            assert opened[0].transport.is_closing()

    monkeypatch.setattr(feed_client, "connect", dial_and_note)
    run_async(converse())
    assert len(opened) == 1


@pytest.mark.parametrize("seed", range(3))
def test_all_hear_all_once_and_in_one_order_whatever_breaks(
    run_async: Run, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The server cuts off all clients again and again, in the middle of everything."""
    monkeypatch.setattr(feed_client, "FIRST", 0.01)
    monkeypatch.setattr(feed_server, "RATE", 10_000)
    chance = random.Random(seed)  # noqa: S311 - a test that can be repeated

    async def converse() -> Crowd:
        feeds = feed_server.FeedServer(
            keep=1000, timeout=PATIENCE, max_clients=9, told=lambda _: None
        )
        async with serve(feeds.handle, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            crowd = Crowd(f"ws://127.0.0.1:{port}/", 3)
            for client in crowd.clients:
                await client.say("here")
                await client.all_heard()

            async def speak(number: int) -> None:
                for count in range(50):
                    await crowd.clients[number].say(f"{number} says {count}")
                    if chance.random() < 0.2:
                        await asyncio.sleep(0)  # waits: for nothing, others run
                    if chance.random() < 0.1:
                        for connection in server.connections:
                            connection.transport.abort()

            await asyncio.gather(*[speak(number) for number in range(3)])
            await crowd.all_have_heard(150)
            await crowd.leave()
        return crowd

    crowd = run_async(converse())
    assert [line for line in crowd.told if line.startswith("disconnected: 1006")]
    assert not [line for line in crowd.told if line.startswith("lost")]
    assert crowd.spoken(0) == crowd.spoken(1) == crowd.spoken(2)
    assert len(crowd.spoken(0)) == 150
    for number in range(3):
        mine = [line for line in crowd.spoken(0) if line.startswith(str(number))]
        assert mine == [f"{number} says {count}" for count in range(50)]


def test_a_mistake_of_the_server_is_told_in_one_line(
    run_async: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []

    async def converse() -> None:
        feeds = feed_server.FeedServer(
            keep=1, timeout=PATIENCE, max_clients=9, told=lines.append
        )

        def broken(*_: object) -> bool:
            raise ZeroDivisionError("division by zero")

        monkeypatch.setattr(feeds.feed, "add", broken)
        async with serve(feeds.handle, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with dial(url, ping_interval=None) as client:
                await client.send(HELLO)
                await client.recv()
                await client.send(json.dumps({"n": 1, "text": "x"}))
                with pytest.raises(ConnectionClosed, match="received 1011"):
                    await client.recv()

    run_async(converse())
    assert [line for line in lines if line.startswith("error: ")] == [lines[1]]
    assert lines[1].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("port", BAD_PORTS)
@pytest.mark.parametrize("command", [SERVER, CLIENT], ids=["server", "client"])
def test_a_bad_port_is_a_wrong_usage(command: list[str], port: str) -> None:
    status, out, err = run([*command, "--port", port])
    assert (status, out) == (2, "")
    assert_one_line(err)
    assert "not a port" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [*CLIENT, "--port", "0"],
        CLIENT,
        [*CLIENT, "--port", "80", "--timeout", "0"],
        [*CLIENT, "--port", "80", "--longest", "nan"],
        [*SERVER, "--timeout", "-1"],
        [*SERVER, "--max-clients", "0"],
        [*SERVER, "--keep", "many"],
        [*SERVER, "--nonsense"],
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments: list[str]) -> None:
    status, out, err = run(arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)


def test_a_taken_port_is_said_in_one_line() -> None:
    with feed() as (_, port):
        status, out, err = run([*SERVER, "--port", str(port)])
        assert (status, out) == (1, "")
        assert_one_line(err)
        assert "in use" in err


def test_a_server_of_something_else_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(PATIENCE)
        with client_of(other.getsockname()[1], "hello") as client:
            connection, _ = other.accept()
            with connection:
                connection.settimeout(PATIENCE)
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                status, lines = client.end()
        assert status == 1
        assert len(lines) == 1
        assert "HTTP 404" in lines[0]


def test_it_serves_ipv6_or_says_that_there_is_none() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        status, out, err = run([*SERVER, "--host", "::1"])
        assert (status, out) == (1, "")
        assert_one_line(err)
        return
    with feed("--host", "::1") as (_, port):
        command = [*CLIENT, "--host", "::1", "--port", str(port), "hello"]
        assert run(command) == (0, "hello\n", "")
