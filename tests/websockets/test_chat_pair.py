"""The chat and the ticker do what their docstrings say, with real browsers and others.

The servers run as processes, with every warning on.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chat_server
import pytest
from playwright.sync_api import expect
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from handbook.claims import claim
from patience import PATIENCE
from processes import Running, command, run, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Page
    from websockets.sync.client import ClientConnection

    NewContext = Callable[..., BrowserContext]
    Run = Callable[[Any], Any]

CHAT, TICKER = "websockets/chat_server.py", "websockets/ticker_server.py"


@pytest.fixture(scope="module")
def room() -> Iterator[Running]:
    """A chat for what must not harm it: it then goes on for the next test."""
    with running(CHAT) as server:
        yield server


def url_of(server: Running, scheme: str = "http", path: str = "/") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{path}"


@contextlib.contextmanager
def member(
    server: Running, name: str, key: str = "key", **settings: Any
) -> Iterator[ClientConnection]:
    """Join the chat as a program; the welcome is not read yet."""
    url = url_of(server, "ws", "/live")
    usual = {"ping_interval": None, "close_timeout": PATIENCE}
    with connect(url, **{**usual, **settings}) as client:
        client.send(json.dumps({"name": name, "key": key}))
        yield client


def hear(client: ClientConnection) -> Any:
    return json.loads(client.recv(PATIENCE))


def enter(context: BrowserContext, server: Running, name: str) -> Page:
    """Open the page and join."""
    page = context.new_page()
    page.goto(url_of(server))
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Join").click()
    expect(page.locator("#state")).to_contain_text("In the room")
    return page


def speak(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Say").click()


@pytest.mark.browser
def test_two_pages_talk_and_see_each_other_come_and_go(
    new_context: NewContext,
) -> None:
    with running(CHAT) as server:
        ann, ben = (enter(new_context(), server, name) for name in ("ann", "ben"))
        expect(ann.locator("#said")).to_contain_text("ben has joined")
        expect(ann.locator("#state")).to_have_text("In the room: ann, ben")
        speak(ann, "hello")
        for page in (ann, ben):
            expect(page.locator("#said")).to_contain_text("ann: hello")
        speak(ben, "한글, and a line\u2028 of it")
        expect(ann.locator("#said")).to_contain_text("ben: 한글")
        ben.close()
        expect(ann.locator("#said")).to_contain_text("ben has left")
        expect(ann.locator("#state")).to_have_text("In the room: ann")


@pytest.mark.browser
def test_what_is_html_is_shown_as_text(new_context: NewContext) -> None:
    with running(CHAT) as server:
        ann, ben = (enter(new_context(), server, name) for name in ("<i>ann", "ben"))
        for text in (
            *("<b>bold</b>", '<img src=x onerror="document.title=1">'),
            *("&lt;", "<!--"),
        ):
            speak(ann, text)
            expect(ben.locator("#said p").last).to_have_text(f"<i>ann: {text}")
            assert ben.locator("#said p *").count() == 0
            assert ben.title() == "Chat"


@pytest.mark.browser
@pytest.mark.parametrize("code", [1001, 1006])
def test_both_pages_come_back_after_a_restart(
    new_context: NewContext, code: int
) -> None:
    with contextlib.ExitStack() as stack:
        with running(CHAT) as server:
            ann, ben = (enter(new_context(), server, name) for name in ("ann", "ben"))
            if code == 1001:
                assert server.end(signal.SIGTERM) == (0, "")
            else:
                server.process.kill()
                server.process.wait(PATIENCE)
            for page in (ann, ben):
                # The code is on show until the first attempt, which may be soon.
                expect(page.locator("#state")).to_contain_text(
                    re.compile(f"Closed with ({code}|1006)|Connecting")
                )
                expect(page.get_by_role("button")).to_be_disabled()
        again = stack.enter_context(running(CHAT, "--port", str(server.port)))
        for page in (ann, ben):
            # A page pauses longer after each attempt that fails.
            expect(page.locator("#state")).to_have_text(
                "In the room: ann, ben", timeout=40_000
            )
        speak(ann, "back")
        expect(ben.locator("#said")).to_contain_text("ann: back")
        again.wait_for("^joined: ")


@pytest.mark.browser
def test_a_name_that_is_taken_can_be_chosen_anew(new_context: NewContext) -> None:
    with running(CHAT) as server:
        enter(new_context(), server, "ann")
        page = new_context().new_page()
        page.goto(url_of(server))
        page.get_by_label("Your name").fill("ann")
        page.get_by_role("button").click()
        expect(page.locator("#state")).to_have_text(
            "Closed by the server: 4001 this name is taken"
        )
        page.get_by_label("Your name").fill("ann the second")
        page.get_by_role("button").click()
        expect(page.locator("#state")).to_have_text("In the room: ann, ann the second")


@pytest.mark.browser
def test_a_page_from_elsewhere_is_refused(new_context: NewContext) -> None:
    with running(CHAT) as server, running(TICKER) as elsewhere:
        page = new_context(bypass_csp=True).new_page()
        page.goto(url_of(elsewhere))
        with page.expect_console_message(lambda m: "response code: 403" in m.text):
            code = page.evaluate(
                """url => new Promise((done) => {
                  new WebSocket(url).onclose = (event) => done(event.code);
                })""",
                url_of(server, "ws", "/live"),
            )
        assert code == 1006


@pytest.mark.browser
def test_the_page_obeys_its_policy(new_context: NewContext) -> None:
    with running(CHAT) as server:
        page = enter(new_context(), server, "ann")
        page.evaluate(
            'said.innerHTML = \'<img src="data:," onerror="document.title=1">\''
        )
        page.evaluate("new Promise((done) => setTimeout(done, 300))")
        assert page.title() == "Chat"
        assert page.evaluate("fetch('http://127.0.0.1:1/').catch(String)")


def test_the_page_has_its_headers_and_nothing_else_is_there() -> None:
    with running(CHAT) as server:
        connection = http.client.HTTPConnection(
            "127.0.0.1", server.port, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request("GET", "/?a=b")
            answer = connection.getresponse()
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'; script-src 'sha256-")
            assert "unsafe" not in policy
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert b"<title>Chat</title>" in answer.read()
            for path in ("/favicon.ico", "/../chat_server.py", "//", "/live/"):
                connection.request("GET", path)
                answer = connection.getresponse()
                assert answer.status == 404
                answer.read()


def test_the_program_takes_part() -> None:
    with running(CHAT) as server, member(server, "ann") as ann:
        assert hear(ann) == {"kind": "welcome", "names": ["ann"]}
        program = command("websockets/chat_program.py")
        status, out, _ = run([*program, url_of(server, "ws", "/live"), "hi"])
        assert status == 0
        assert out == "welcome: ['a program', 'ann']\nsaid: a program: hi\n"
        assert hear(ann) == {"kind": "joined", "name": "a program"}
        assert hear(ann) == {"kind": "said", "name": "a program", "text": "hi"}
        assert hear(ann) == {"kind": "left", "name": "a program"}


def test_the_program_says_in_one_line_what_is_wrong() -> None:
    program = command("websockets/chat_program.py")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for url in (
            f"ws://127.0.0.1:{port}/live",
            "ws://127.0.0.1:70000/live",
            "http://127.0.0.1/",
            "nonsense",
        ):
            status, out, err = run([*program, url, "hi"])
            assert (status, out) == (1, "")
            assert err.count("\n") == 1


def test_who_comes_back_takes_their_place() -> None:
    with (
        running(CHAT) as server,
        member(server, "ann", "hers") as ann,
        member(server, "ben") as ben,
    ):
        assert hear(ann)["kind"] == "welcome"
        assert hear(ben)["kind"] == "welcome"
        with (
            member(server, "ann", "not hers") as thief,
            pytest.raises(ConnectionClosed, match="received 4001"),
        ):
            hear(thief)
        with member(server, "ann", "hers") as again:
            assert hear(again) == {"kind": "welcome", "names": ["ann", "ben"]}
            again.send(json.dumps({"text": "it is me"}))
            assert hear(ben) == {"kind": "said", "name": "ann", "text": "it is me"}


@pytest.mark.parametrize(
    "first",
    [
        "?",
        "[]",
        b"\xff\xfe",
        "[" * 16_000,
        json.dumps({"name": "ann"}),
        json.dumps({"name": "", "key": "k"}),
        json.dumps({"name": " ann", "key": "k"}),
        json.dumps({"name": "a\nb", "key": "k"}),
        json.dumps({"name": "a\x1b[31m", "key": "k"}),
        json.dumps({"name": "\ud800", "key": "k"}),
        json.dumps({"name": "x" * 33, "key": "k"}),
        json.dumps({"name": "ann", "key": "k" * 65}),
        json.dumps({"name": ["ann"], "key": 1}),
    ],
)
def test_a_wrong_introduction_is_refused(room: Running, first: str | bytes) -> None:
    with connect(url_of(room, "ws", "/live")) as client:
        client.send(first)
        with pytest.raises(ConnectionClosed, match=r"received 100[78]"):
            client.recv(PATIENCE)
    with member(room, "ann") as ann:
        assert hear(ann)["kind"] == "welcome"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", 1008),
        ('{"text": ""}', 1008),
        ('{"text": 7}', 1008),
        (json.dumps({"text": "x" * 1001}), 1008),
        ("x" * 20_000, 1009),
    ],
)
def test_a_wrong_message_is_refused(room: Running, text: str, code: int) -> None:
    with member(room, "ann") as ann:
        hear(ann)
        ann.send(text)
        with pytest.raises(ConnectionClosed, match=f"received {code}"):
            ann.recv(PATIENCE)
    with member(room, "ann") as again:
        assert hear(again)["kind"] == "welcome"


def test_origins() -> None:
    with running(CHAT, "--origin", "https://chat.example") as server:
        url = url_of(server, "ws", "/live")
        connect(url, origin=Origin("https://chat.example")).__enter__().close()
        for wrong in (f"http://127.0.0.1:{server.port}", "http://chat.example", "null"):
            with pytest.raises(InvalidStatus, match="403"):
                connect(url, origin=Origin(wrong)).__enter__()


def test_behind_a_proxy_with_tls_the_origin_must_be_told() -> None:
    with running(CHAT) as server:
        url, here = url_of(server, "ws", "/live"), f"127.0.0.1:{server.port}"
        connect(url, origin=Origin(f"http://{here}")).__enter__().close()
        with pytest.raises(InvalidStatus, match="403"):
            connect(url, origin=Origin(f"https://{here}")).__enter__()


@claim("host-is-the-clients-word", "RFC 6454 section 7", "RFC 9110 section 7.2")
def test_a_name_that_points_here_passes_unless_the_origin_is_told() -> None:
    """A check that compares Origin with Host believes both of them.

    A page from a name that an attacker lets point to the server passes it. It does not
    pass a server that knows its own origin.
    """
    for words in ([], ["--origin", "https://chat.example"]):
        with running(CHAT, *words) as server:
            there = f"rebound.example:{server.port}"
            url, rebound = f"ws://{there}/live", Origin(f"http://{there}")
            if not words:
                connect(url, sock=server.connect(), origin=rebound).__enter__().close()
                continue
            with (
                server.connect() as sock,
                pytest.raises(InvalidStatus, match="403"),
            ):
                connect(url, sock=sock, origin=rebound).__enter__()


@pytest.mark.parametrize(
    "wrong", ["chat.example", "https://chat.example/", "https://Chat.example", ""]
)
def test_an_origin_that_no_browser_says_is_a_wrong_usage(wrong: str) -> None:
    status, out, err = run([*command(CHAT), "--port", "0", "--origin", wrong])
    assert (status, out) == (2, "")
    assert "not like https://" in err


def test_a_full_room() -> None:
    with running(CHAT, "--max-clients", "1") as server, member(server, "ann") as ann:
        hear(ann)
        with pytest.raises(InvalidStatus, match="503"):
            connect(url_of(server, "ws", "/live")).__enter__()


@pytest.mark.parametrize("limit", ["WAITING", "ALIVE"])
def test_a_member_who_does_not_read_is_cut_off(
    run_async: Run, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Because too much waits for her, or because it takes too long."""
    monkeypatch.setattr(chat_server, limit, {"WAITING": 5, "ALIVE": 0.3}[limit])
    lines: list[str] = []

    async def converse() -> int:
        page = chat_server.Page(Path(chat_server.__file__).with_name("chat.html"))
        chat = chat_server.ChatServer(page, told=lines.append)
        serving = serve(chat.handle, "127.0.0.1", 0, compression=None)
        async with asyncio.timeout(PATIENCE), serving as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with dial(url, max_size=None, ping_interval=None) as slow:
                await slow.send(json.dumps({"name": "slow", "key": "k"}))
                await slow.recv()
                slow.transport.pause_reading()
                [connection] = server.connections
                # What waits for her on the way, before her own queue fills.
                broadcast([connection], bytes(20_000_000))
                told = 0
                while "left: slow" not in lines:
                    chat._tell_all(kind="said", name="ann", text="x")
                    told += 1
                    await asyncio.sleep(0.01)  # waits: as long as speakers would
                slow.transport.abort()
        return told

    told = run_async(converse())
    assert lines == ["joined: slow", "left: slow"]
    assert (told <= 10) == (limit == "WAITING")


def test_a_flood_is_slowed_down() -> None:
    with running(CHAT) as server, member(server, "ann", max_queue=None) as ann:
        hear(ann)
        begin = time.monotonic()
        for _ in range(25):
            ann.send(json.dumps({"text": "x"}))
        for _ in range(25):
            hear(ann)
        assert time.monotonic() - begin > 0.8  # five more than the 20 that go at once


def test_a_hundred_members_hear_the_same(run_async: Run) -> None:
    async def converse(url: str) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for number in range(100):
                client = await stack.enter_async_context(
                    dial(url, max_queue=None, ping_interval=None)
                )
                await client.send(json.dumps({"name": f"{number}", "key": "k"}))
                assert json.loads(await client.recv())["kind"] == "welcome"
                clients.append(client)
            await clients[0].send(json.dumps({"text": "all of you"}))
            for client in clients:
                async with asyncio.timeout(PATIENCE):
                    while json.loads(await client.recv())["kind"] != "said":
                        pass

    with running(CHAT) as server:
        run_async(converse(url_of(server, "ws", "/live")))


@pytest.mark.parametrize("program", [CHAT, TICKER])
def test_a_stop_closes_with_1001_and_waits_for_nobody_who_is_stuck(
    program: str,
) -> None:
    with running(program) as server:
        path = "/live"
        silent = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
        with silent, connect(url_of(server, "ws", path), max_queue=None) as client:
            if program == CHAT:
                client.send(json.dumps({"name": "ann", "key": "k"}))
            client.recv(PATIENCE)
            begin = time.monotonic()
            assert server.end(signal.SIGTERM) == (0, "")
            assert time.monotonic() - begin < PATIENCE / 2
            list(client)  # what came before it
            assert client.close_code == 1001


def test_whoever_speaks_no_http_hurts_nobody() -> None:
    with running(CHAT) as server:
        for words in (
            b"hello\r\n\r\n",
            b"\x16\x03\x01",
            b"",
            b"POST / HTTP/1.1\r\n\r\n",
        ):
            with server.connect() as rude:
                rude.sendall(words)
                rude.shutdown(socket.SHUT_WR)
                while rude.recv(1000):
                    pass
        with member(server, "ann") as ann:
            assert hear(ann)["kind"] == "welcome"
        status, errors = server.end(signal.SIGTERM)
        assert status == 0
        assert "Traceback" not in errors


@pytest.mark.browser
def test_the_ticker_draws_what_comes_and_comes_back(new_context: NewContext) -> None:
    with running(TICKER) as server:
        page = new_context().new_page()
        page.goto(url_of(server))
        line = page.locator("#line")
        expect(line).to_have_attribute("points", re.compile(r"( \S+){5}"))
        expect(page.locator("#price")).to_have_text(re.compile(r"^\d+\.\d\d$"))
        server.process.kill()
        server.process.wait(PATIENCE)
        expect(page.locator("#state")).to_contain_text("Closed with 1006")
    with running(TICKER, "--port", str(server.port)):
        expect(page.locator("#state")).to_have_text("Live")
        expect(line).to_have_attribute("points", re.compile(r"( \S+){5}"))


def test_a_new_reader_gets_the_past_and_then_one_price_at_a_time() -> None:
    with running(TICKER) as server:
        url = url_of(server, "ws", "/live")
        with connect(url) as fast, connect(url) as late:
            first = json.loads(fast.recv(PATIENCE))
            assert first[-1] > 0
            for _ in range(10):
                assert len(json.loads(fast.recv(PATIENCE))) == 1
            assert json.loads(late.recv(PATIENCE))[0] == first[0]


@pytest.mark.parametrize("program", [CHAT, TICKER])
@pytest.mark.parametrize("port", ["-1", "65536", "abc", "٨٠"])
def test_a_bad_port_is_a_wrong_usage(program: str, port: str) -> None:
    status, out, err = run([*command(program), "--port", port])
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert "not a port" in err


@pytest.mark.parametrize("program", [CHAT, TICKER])
def test_a_taken_port_is_said_in_one_line(program: str) -> None:
    with running(program) as server:
        status, out, err = run([*command(program), "--port", str(server.port)])
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "in use" in err
