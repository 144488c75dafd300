"""The claims of "Socket.IO, SockJS, STOMP, SSE"."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import re
import socket
import threading
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import aiohttp
import fallback
import h2.events
import h2.exceptions
import pytest
import socketio
import sse_resume
import stomp_over_websocket as stomp
import through_nginx
from aiohttp import web
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from handbook.claims import cited, claim
from needing import needing
from patience import BRIEF, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from playwright.sync_api import BrowserContext
    from websockets.asyncio.client import ClientConnection

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ENGINE = "/socket.io/?EIO=4&transport="


@asynccontextmanager
async def site(app: web.Application) -> AsyncIterator[str]:
    """Serve an application; yield where, without the scheme."""
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with asyncio.timeout(PATIENCE):
            yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def socketio_app() -> web.Application:
    """A Socket.IO server that echoes."""
    server = socketio.AsyncServer(async_mode="aiohttp")

    async def echo(_client: str, text: str) -> str:
        return text

    server.on("echo", echo)
    app = web.Application()
    server.attach(app)
    return app


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep the tracebacks out that a server logs."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


async def answers_hello(url: str) -> bool:
    """Say whether a server keeps a WebSocket client that sends a plain word."""
    try:
        async with connect(url) as websocket:
            await websocket.send("hello")
            async with asyncio.timeout(BRIEF):
                while True:
                    await websocket.recv()
    except TimeoutError:
        return True  # it listens on
    except (InvalidStatus, ConnectionClosedError):
        return False


@claim(
    "alt-socketio",
    "Socket.IO docs: Introduction, What Socket.IO is not",
    "Engine.IO docs: protocol, Protocol",
    often_said="Where WebSocket cannot be used, Socket.IO replaces it.",
)
@pytest.mark.usefixtures("quiet")
def test_a_plain_websocket_client_cannot_talk_to_socketio(run_async: Run) -> None:
    """Socket.IO is a protocol of its own, inside WebSocket messages or HTTP requests.

    python-socketio drops a plain WebSocket client at its first word of something else.
    """

    async def talk() -> None:
        async with site(socketio_app()) as where:
            assert not await answers_hello(f"ws://{where}/")
            assert not await answers_hello(f"ws://{where}{ENGINE}websocket")
            async with connect(f"ws://{where}{ENGINE}websocket") as websocket:
                assert str(await websocket.recv()).startswith('0{"sid":')
                await websocket.send("40")
                assert str(await websocket.recv()).startswith('40{"sid":')
                await websocket.send('427["echo","rye"]')
                assert await websocket.recv() == '437["rye"]'

    run_async(talk())


@claim("socketio-also-polls", "Engine.IO docs: protocol, Transports")
def test_socketio_works_without_a_websocket(run_async: Run) -> None:
    """Without a WebSocket, Socket.IO sends the same packets in HTTP requests."""

    async def talk() -> None:
        async with site(socketio_app()) as where, aiohttp.ClientSession() as http:

            async def read(url: str) -> str:
                async with http.get(url) as answer:
                    return await answer.text()

            url = f"http://{where}{ENGINE}polling"
            opened = await read(url)
            url += "&sid=" + json.loads(opened.removeprefix("0"))["sid"]
            for packet, gives in (
                ("40", '40{"sid":'),
                ('427["echo","rye"]', '437["rye"]'),
            ):
                async with http.post(url, data=packet) as answer:
                    assert await answer.text() == "OK"
                assert (await read(url)).startswith(gives)
            async with http.post(url, data="1") as answer:  # close the session
                assert answer.status == 200

    run_async(talk())


def test_a_check_that_any_client_can_talk_goes_red(run_async: Run) -> None:
    async def check(url: str) -> None:
        assert await answers_hello(url)

    async def plain() -> None:
        async def listen(websocket: Any) -> None:
            async for _ in websocket:
                pass

        async with serve(listen, "127.0.0.1", 0) as server:
            await check(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        async with site(socketio_app()) as where:
            with pytest.raises(AssertionError):
                await check(f"ws://{where}/")

    run_async(plain())


cited(
    "alt-sockjs",
    "SockJS stands in for a WebSocket: it falls back to HTTP where none gets through. "
    "Its server has to offer each of the ways.",
    "SockJS docs: sockjs-client, Summary",
    "RFC 6202 section 2",
)


@pytest.mark.parametrize("way", [fallback.by_websocket, fallback.refused])
def test_the_same_messages_come_by_polling(run_async: Run, way: Any) -> None:
    async def talk() -> list[str]:
        app = web.Application()
        app.add_routes([web.get("/socket", way), web.get("/poll", fallback.by_polling)])
        async with site(app) as where, aiohttp.ClientSession() as http:
            return [news async for news in fallback.news(http, f"http://{where}")]

    assert run_async(talk()) == list(fallback.NEWS)


async def frame_of(websocket: ClientConnection) -> Any:
    """Receive one frame of STOMP."""
    return stomp.parse(await websocket.recv())


def test_a_broker_needs_no_receipt_and_closes_after_an_error(run_async: Run) -> None:
    async def talk() -> None:
        async with serve(
            stomp.broker, "127.0.0.1", 0, subprotocols=[stomp.V12]
        ) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with connect(url, subprotocols=[stomp.V12]) as guest:
                await guest.send("\n")  # a heart-beat
                await guest.send("SUBSCRIBE\nid:7\ndestination:/c\n\n\0")
                await guest.send("SEND\ndestination:/c\n\nbread\0")
                assert (await frame_of(guest)).cmd == "MESSAGE"
                await guest.send("SUBSCRIBE\ndestination:/without/id\n\n\0")
                assert (await frame_of(guest)).cmd == "ERROR"
                await guest.wait_closed()
                assert guest.close_code == 1000

    run_async(talk())


def test_a_broker_forgets_who_has_left(run_async: Run) -> None:
    """Else whoever speaks next would be cut off: there is nobody to send it to."""

    async def talk() -> None:
        async with serve(
            stomp.broker, "127.0.0.1", 0, subprotocols=[stomp.V12]
        ) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            for _ in range(2):
                async with connect(url, subprotocols=[stomp.V12]) as guest:
                    await guest.send("SUBSCRIBE\nid:7\ndestination:/d\n\n\0")
                    await guest.send("SEND\ndestination:/d\n\nbread\0")
                    assert (await frame_of(guest)).cmd == "MESSAGE"
        assert not stomp.subscribed["/d"]

    run_async(talk())


@claim(
    "alt-stomp",
    "STOMP 1.2, STOMP Frames",
    "RFC 6455 section 1.9",
    often_said="STOMP is a substitute for WebSocket.",
)
def test_stomp_runs_in_websocket_messages(run_async: Run) -> None:
    """STOMP does not replace WebSocket: it travels in WebSocket messages, or on TCP.

    It adds what a WebSocket has not: destinations, and a broker that passes on.
    """

    async def talk() -> None:
        async with serve(
            stomp.broker, "127.0.0.1", 0, subprotocols=[stomp.V12]
        ) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            async with (
                connect(url, subprotocols=[stomp.V12]) as baker,
                connect(url, subprotocols=[stomp.V12]) as guest,
            ):
                assert guest.subprotocol == "v12.stomp"
                await guest.send("CONNECT\naccept-version:1.2\nhost:x\n\n\0")
                assert (await frame_of(guest)).cmd == "CONNECTED"
                await guest.send("SUBSCRIBE\nid:7\ndestination:/a\nreceipt:1\n\n\0")
                assert (await frame_of(guest)).cmd == "RECEIPT"
                await baker.send("SEND\ndestination:/b\n\nfor nobody\0")
                await baker.send("SEND\ndestination:/a\n\nbread\0")
                got = await frame_of(guest)
                assert (got.cmd, got.body) == ("MESSAGE", b"bread")
                assert got.headers["subscription"] == "7"

    run_async(talk())


# Server-sent events

PAGE = """<!doctype html><title>news</title><ul></ul><script>
const source = new EventSource("/news");
source.onmessage = (event) => {
  const row = document.createElement("li");
  row.textContent = `${event.lastEventId} ${event.data}`;
  document.querySelector("ul").append(row);
};
source.onerror = () => { document.title = `state ${source.readyState}`; };
</script>"""


@contextmanager
def news(
    breaks_at: int = 0, without: str = ""
) -> Iterator[tuple[str, sse_resume.Log, list[str | None]]]:
    """Serve the page and its news; yield where, the log, and what clients have seen."""
    log, asked = sse_resume.Log("run"), []

    class Handler(sse_resume.Handler):
        def do_GET(self) -> None:  # noqa: N802 - the base class's name
            if self.path == "/news":
                asked.append(self.headers.get("Last-Event-ID"))
                super().do_GET()
            else:
                self.send_response_only(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(PAGE.encode())

        def send_header(self, keyword: str, value: str) -> None:
            if keyword != without:
                super().send_header(keyword, value)

    Handler.log, Handler.breaks_at, Handler.retry = log, breaks_at, (100, 100)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/", log, asked
        finally:
            log.add(end=True)
            server.shutdown()
            thread.join()


@claim("an-event-stream-resumes", "WHATWG HTML section 9.2.4", "MDN docs: EventSource")
def test_a_browser_asks_for_what_it_has_not_seen(
    new_context: Callable[..., BrowserContext],
) -> None:
    """A browser's EventSource dials again by itself, and says which event it saw last.

    An answer with the status 204 tells it to stop.
    """
    with news(breaks_at=2) as (where, log, asked):
        page = new_context().new_page()
        log.add("flour", "two\nlines", "bread")
        page.goto(where)
        page.wait_for_function("document.querySelectorAll('li').length === 3")
        assert asked == [None, "run-2"]
        log.add("crumbs", end=True)
        page.wait_for_function("document.title === 'state 2'")  # EventSource.CLOSED
        assert page.locator("li").all_text_contents() == [
            *("run-1 flour", "run-2 two\nlines", "run-3 bread", "run-4 crumbs")
        ]
        assert asked == [None, "run-2", "run-4"]


def lines_of(where: str, last: str) -> list[str]:
    """Ask with a Last-Event-ID; return the first fields that come soon."""
    host = where.removeprefix("http://").removesuffix("/")
    with closing(http.client.HTTPConnection(host, timeout=BRIEF)) as client:
        client.request("GET", "/news", headers={"Last-Event-ID": last})
        answer = client.getresponse()
        with suppress(TimeoutError):
            return [answer.readline().decode().strip() for _ in range(4)][2:]
        return []


@pytest.mark.parametrize(
    ("last", "first"),
    [
        ("run-1", 2),
        *((last, 1) for last in ("", "1", "other-1", "run-", "run-x", "run-²")),
        ("run-" + "9" * 5000, 1),  # int() takes 4300 digits
    ],
)
def test_the_id_of_another_run_begins_anew(last: str, first: int) -> None:
    with news() as (where, log, _):
        log.add("flour", "dough")
        text = ["flour", "dough"][first - 1]
        assert lines_of(where, last) == [f"id: run-{first}", f"data: {text}"]


def test_two_logs_have_two_names() -> None:
    assert sse_resume.Log().run != sse_resume.Log().run


def check_news_comes_through_nginx(where: str) -> None:
    """Fail if nginx, as it comes, keeps an event back."""
    site = "server {{ listen 127.0.0.1:{}; location / {{ proxy_pass {}; }} }}"
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        with through_nginx.nginx(door, site.format(port, where)):
            try:
                got = lines_of(f"http://127.0.0.1:{port}/", "")
            except TimeoutError:
                got = []
            assert got == ["id: run-1", "data: flour"], "nginx keeps it back"


@needing("Linux", "nginx")
def test_a_field_keeps_nginx_from_collecting() -> None:
    field = "X-Accel-Buffering"
    with news() as (where, log, _):
        log.add("flour")
        check_news_comes_through_nginx(where)
    with news(without=field) as (where, log, _):
        log.add("flour")
        with pytest.raises(AssertionError, match="keeps it back"):
            check_news_comes_through_nginx(where)


@pytest.mark.parametrize(
    "text",
    [
        *("one", "two\nlines", "", "한국어 🙂", "the last line ends\n", "\n\n", " "),
        *("a\rb", "a\r\nb", "a\n\rb", "\x0b \x0c \x1c \x85 \u2028 \u2029"),
    ],
)
def test_each_line_of_a_text_is_a_field(text: str) -> None:
    event = sse_resume.in_lines("3", text).decode()
    assert event.endswith("\n\n")
    fields = [line.partition(": ") for line in event[:-2].split("\n")]
    assert fields[0] == ("id", ": ", "3")
    assert {name for name, _, _ in fields[1:]} == {"data"}
    kept = re.sub("\r\n|\r", "\n", text)
    assert "\n".join(value for _, _, value in fields[1:]) == kept


# HTTP/2


def http2(*, careful: bool = True) -> tuple[H2Connection, H2Connection]:
    """Return both ends of a connection whose server takes WebSockets."""
    client = H2Connection(
        H2Configuration(
            client_side=True,
            validate_outbound_headers=careful,
            normalize_outbound_headers=careful,
        )
    )
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    server.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    return client, server


@claim("websocket-in-http2", "RFC 8441 section 4", "RFC 8441 section 5")
def test_a_websocket_is_a_stream_of_http2() -> None:
    """In HTTP/2 a WebSocket is one stream of many: CONNECT with `:protocol` opens it.

    A field Upgrade is an error there; the frames are as ever, and masked.
    """
    client, server = http2()
    assert client.remote_settings.enable_connect_protocol == 1
    where = [(":scheme", "https"), (":authority", "x"), (":path", "/")]
    client.send_headers(1, [(":method", "GET"), *where], end_stream=True)
    asks = [(":method", "CONNECT"), (":protocol", "websocket"), *where]
    client.send_headers(3, asks)
    asked = {
        event.stream_id: dict(event.headers or [])
        for event in server.receive_data(client.data_to_send())
        if isinstance(event, h2.events.RequestReceived)
    }
    assert set(asked) == {1, 3}
    assert asked[3][b":protocol"] == b"websocket"
    server.send_headers(3, [(":status", "200")])
    client.receive_data(server.data_to_send())
    for source, sink, masked in ((client, server, 0x80), (server, client, 0)):
        # A library that knows no HTTP/2 writes the frame, and reads it.
        one = Connection(ConnectionType.CLIENT if masked else ConnectionType.SERVER)
        other = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
        source.send_data(3, one.send(TextMessage("hi")))
        (data,) = [
            event.data
            for event in sink.receive_data(source.data_to_send())
            if isinstance(event, h2.events.DataReceived)
        ]
        assert data is not None
        assert data[1] & 0x80 == masked
        other.receive_data(data)
        assert [event.data for event in other.events()] == ["hi"]  # type: ignore[attr-defined]
    careless, server = http2(careful=False)
    careless.send_headers(1, [*asks, ("upgrade", "websocket")])
    with pytest.raises(h2.exceptions.ProtocolError):
        server.receive_data(careless.data_to_send())


# What they are used for

cited(
    "uses-of-sockets",
    "Practically every program that uses a network uses sockets: web servers, chat, "
    "games, streams and trading sites among them.",
    "RFC 6455 section 1.1",
    "RFC 9110 section 3.3",
)

cited(
    "uses-video-and-games",
    "Video on demand mostly comes over HTTP; calls and fast games prefer UDP, on which "
    "WebRTC and QUIC stand. All of them use sockets.",
    "RFC 9114 section 1.2",
    "RFC 8085 section 1",
    "RFC 8834 section 1",
    often_said="Sockets, and not HTTP, are for video and online games.",
)

cited(
    "ws-ideal-for-exchanges-games-chat",
    "WebSocket suits messages that must all come, in order, such as a chat. A game "
    "that would skip what is late loses by it, and news that goes one way needs less.",
    "RFC 6455 section 1.1",
    "RFC 9113 section 1",
    "WHATWG HTML section 9.2",
    often_said="WebSocket is ideal for exchanges, games and chat.",
)

cited(
    "webtransport-needs-no-order",
    "WebTransport gives a page streams and datagrams over HTTP/3, where a lost packet "
    "holds up only its own stream.",
    "W3C WebTransport, Introduction",
    "RFC 9114 section 1.2",
)
