"""The claims of the chapter on proxies and on many servers."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib.util
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import reconnect_herd
import redis
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.client import backoff
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.uri import parse_uri

from handbook import needs, offspring, snippet
from handbook.claims import cited, claim
from needing import require
from patience import BRIEF, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator

    from websockets.http11 import Request, Response

    Run = Callable[[Coroutine[Any, Any, Any]], Any]
    Nginx = Callable[..., contextlib.AbstractAsyncContextManager[tuple[int, Path]]]
    Handler = Callable[[ServerConnection], Awaitable[None]]

PROGRAM = Path(__file__).resolve().parents[2] / "snippets/websockets/through_nginx.py"
PASSED_ON = """
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
"""


def nginx_program() -> Any:
    """Give the program that runs nginx, as a module."""
    spec = importlib.util.spec_from_file_location("through_nginx", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nginx() -> Nginx:
    """Run nginx with `http {}` filled by a text, in which {port} is its own port.

    `main` is put before `http {}`.
    """
    module = nginx_program()
    require("Linux", "nginx")

    around = module.AROUND

    @contextlib.asynccontextmanager
    async def run(site: str, main: str = "", **ports: int) -> Any:
        vars(module)["AROUND"] = main + around
        with socket.create_server(("127.0.0.1", 0)) as door:
            ports["port"] = door.getsockname()[1]
            for name, port in ports.items():
                site = site.replace("{%s}" % name, str(port))  # noqa: UP031
            with module.nginx(door, site) as folder:
                yield ports["port"], folder

    return run


def site(lines: str = PASSED_ON, before: str = "") -> str:
    """Give a site that passes on to {backend}."""
    return (
        f"{before} server {{ listen 127.0.0.1:{{port}}; location / {{"
        f" proxy_pass http://127.0.0.1:{{backend}}; {lines} }} }}"
    )


def port_of(server: Any) -> int:
    return int(server.sockets[0].getsockname()[1])


async def echo(websocket: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        async for message in websocket:
            await websocket.send(message)


def named(name: str) -> Handler:
    async def answer(websocket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                await websocket.send(name)

    return answer


async def status_of(port: int, **headers: str) -> int:
    try:
        async with connect(
            f"ws://127.0.0.1:{port}/", proxy=None, additional_headers=headers
        ):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


@claim(
    "nginx-drops-the-upgrade",
    "RFC 9110 section 7.6.1",
    "RFC 9110 section 7.8",
    "nginx docs: WebSocket proxying",
    often_said="A proxy that passes HTTP on passes WebSockets on, too.",
)
def test_the_handshake_needs_three_lines(run_async: Run, nginx: Nginx) -> None:
    """A proxy passes a WebSocket on only if it is told to.

    Upgrade and Connection belong to one connection, and nginx does not forward them;
    before 1.29.7 it also asks the back end by HTTP/1.0 unless it is told otherwise.
    """

    async def dial(lines: str) -> int:
        async with (
            serve(echo, "127.0.0.1", 0) as server,
            nginx(site(lines), backend=port_of(server)) as (port, _),
        ):
            return await status_of(port)

    assert run_async(dial(PASSED_ON)) == 101
    assert run_async(dial("proxy_http_version 1.1;")) == 426
    assert run_async(dial("")) in (426, 505)  # by the version of nginx


# Idle time


cited(
    "nginx-waits-60-seconds",
    "proxy_read_timeout of nginx is 60 seconds unless it is set.",
    "nginx docs: ngx_http_proxy_module, proxy_read_timeout",
)


async def check_it_survives(
    nginx: Nginx, *, server_pings: float | None, client_talks: bool = False
) -> None:
    """Fail unless a WebSocket lives longer than the read time-out of nginx."""
    silent = asyncio.Event()

    async def listen(websocket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                if message == "answer":
                    await websocket.send("here")

    async with (
        serve(listen, "127.0.0.1", 0, ping_interval=server_pings) as server,
        nginx(
            site(PASSED_ON + f"proxy_read_timeout {BRIEF}s;"), backend=port_of(server)
        ) as (port, _),
        connect(f"ws://127.0.0.1:{port}/", proxy=None, ping_interval=None) as websocket,
    ):
        for _ in range(6):  # together longer than nginx waits
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BRIEF / 4):
                    await silent.wait()  # waits: the silence is the subject
            if client_talks:
                with contextlib.suppress(ConnectionClosed):
                    await websocket.send("no answer needed")
        try:
            await websocket.send("answer")
            assert await websocket.recv() == "here"
        except ConnectionClosed:
            pass
        assert websocket.close_code is None, f"cut with {websocket.close_code}"


@claim(
    "pings-keep-a-proxy-from-cutting",
    "RFC 6455 section 5.5.2",
    "nginx docs: WebSocket proxying",
    often_said="An open WebSocket stays open until one of the two ends closes it.",
)
def test_pings_outlive_the_proxys_patience(run_async: Run, nginx: Nginx) -> None:
    """Nginx cuts a WebSocket over which nothing has come for proxy_read_timeout.

    A ping with its pong, more often than that, keeps it open.
    """
    run_async(check_it_survives(nginx, server_pings=0.2))


def test_the_check_of_idle_connections_can_fail(run_async: Run, nginx: Nginx) -> None:
    with pytest.raises(AssertionError, match="cut with 1006"):
        run_async(check_it_survives(nginx, server_pings=None))


def test_one_direction_is_enough(run_async: Run, nginx: Nginx) -> None:
    run_async(check_it_survives(nginx, server_pings=None, client_talks=True))


def test_a_cut_has_no_close_frame(run_async: Run, nginx: Nginx) -> None:
    async def read_all() -> bytes:
        async with (
            serve(echo, "127.0.0.1", 0, ping_interval=None) as server,
            nginx(
                site(PASSED_ON + "proxy_read_timeout 200ms;"), backend=port_of(server)
            ) as (port, _),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101")
            rest = await reader.read()
            writer.close()
            return rest

    assert run_async(read_all()) == b""


# What the back end learns


@claim(
    "forwarded-for-begins-with-a-claim",
    "nginx docs: ngx_http_proxy_module, $proxy_add_x_forwarded_for",
    "RFC 7239 section 8.1",
    often_said="X-Forwarded-For is the address of the client.",
)
def test_a_client_can_forge_all_but_the_last_address(
    run_async: Run, nginx: Nginx
) -> None:
    """X-Forwarded-For may begin with whatever the client has written there.

    Only what your own proxy has added is known; $remote_addr replaces the rest.
    """
    seen: list[str] = []

    async def note(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        seen.append(websocket.request.headers["X-Forwarded-For"])

    async def forge(value: str) -> None:
        lines = PASSED_ON + f"proxy_set_header X-Forwarded-For {value};"
        async with (
            serve(note, "127.0.0.1", 0) as server,
            nginx(site(lines), backend=port_of(server)) as (port, _),
        ):
            await status_of(port, **{"X-Forwarded-For": "203.0.113.9"})

    run_async(forge("$proxy_add_x_forwarded_for"))
    run_async(forge("$remote_addr"))
    assert seen == ["203.0.113.9, 127.0.0.1", "127.0.0.1"]
    seen.clear()  # as if 127.0.0.1 were a CDN's
    trusted = "$remote_addr; set_real_ip_from 127.0.0.1"
    run_async(forge(trusted))
    run_async(forge(f"{trusted}; real_ip_header X-Forwarded-For"))
    assert seen == ["127.0.0.1", "203.0.113.9"]


@claim(
    "access-log-keeps-the-url", "nginx docs: ngx_http_log_module, log_format combined"
)
def test_nginx_writes_the_ticket_into_its_log(run_async: Run, nginx: Nginx) -> None:
    """Nginx writes the whole URL of a handshake into its access log, query and all."""

    async def dial() -> str:
        async with (
            serve(echo, "127.0.0.1", 0) as server,
            nginx(site(), backend=port_of(server)) as (port, folder),
        ):
            async with connect(f"ws://127.0.0.1:{port}/?ticket=s3cret", proxy=None):
                pass
            log = Path(folder, "access.log")
            for _ in range(500):
                text = await asyncio.to_thread(log.read_text)
                if text:
                    break
                await asyncio.sleep(0.01)  # waits: a file tells nobody
            return text

    assert "GET /?ticket=s3cret HTTP/1.1" in run_async(dial())


@claim(
    "ws-uses-ports-80-and-443",
    "RFC 6455 section 3",
    "RFC 6455 section 1.7",
)
def test_the_default_ports_are_those_of_the_web(run_async: Run) -> None:
    """ws: stands for port 80 and wss: for 443, unless the address names another.

    So one port serves pages and WebSockets alike.
    """
    assert [parse_uri(f"{s}://x/").port for s in ("ws", "wss")] == [80, 443]

    def page(websocket: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        return websocket.respond(HTTPStatus.OK, "a page\n")

    def get(port: int) -> int:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.closing(asking):
            asking.request("GET", "/")
            return asking.getresponse().status

    async def both() -> tuple[int, int]:
        async with serve(echo, "127.0.0.1", 0, process_request=page) as server:
            port = port_of(server)
            return await asyncio.to_thread(get, port), await status_of(port)

    assert run_async(both()) == (200, 101)


@claim("ws-no-edge-caching", "RFC 9111 section 3", "RFC 9110 section 15.2")
def test_a_cache_answers_no_handshake_and_no_message(
    run_async: Run, nginx: Nginx
) -> None:
    """A cache on the way keeps pages, and neither handshakes nor messages.

    An answer of 101 is not final, and what follows is no HTTP. But at an address whose
    page is in the cache, nginx answers the handshake with that page.
    """
    asked: Counter[str] = Counter()

    def page(websocket: ServerConnection, request: Request) -> Response | None:
        asked["handshake" if "Upgrade" in request.headers else "page"] += 1
        if "Upgrade" in request.headers:
            return None
        response = websocket.respond(HTTPStatus.OK, "a page\n")
        response.headers["Cache-Control"] = "max-age=60"
        return response

    async def answer(websocket: ServerConnection) -> None:
        async for message in websocket:
            asked["message"] += 1
            await websocket.send(message)

    def get(port: int) -> str | None:
        asking = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.closing(asking):
            asking.request("GET", "/")
            response = asking.getresponse()
            response.read()
            return response.getheader("X-Cache")

    async def twice() -> tuple[list[str | None], int]:
        with tempfile.TemporaryDirectory() as folder:
            text = site(
                """
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection $http_connection;
                proxy_cache kept;
                add_header X-Cache $upstream_cache_status always;
                """,
                before=f"proxy_cache_path {folder} keys_zone=kept:1m;",
            )
            async with (
                serve(answer, "127.0.0.1", 0, process_request=page) as server,
                nginx(text, backend=port_of(server)) as (port, _),
            ):
                found = [await asyncio.to_thread(get, port) for _ in range(2)]
                for _ in range(2):
                    uri = f"ws://127.0.0.1:{port}/chat"
                    async with connect(uri, proxy=None) as websocket:
                        for _ in range(2):
                            await websocket.send("the same")
                            assert await websocket.recv() == "the same"
                return found, await status_of(port)

    assert run_async(twice()) == (["MISS", "HIT"], 200)
    assert asked == {"page": 1, "handshake": 2, "message": 4}


# Many servers


TWO = """
upstream both {{ {method} server 127.0.0.1:{{first}}; server 127.0.0.1:{{second}}; }}
server {{ listen 127.0.0.1:{{port}}; location / {{ proxy_pass http://both; {lines} }} }}
"""


@claim(
    "a-websocket-stays-with-its-server",
    "RFC 6455 section 1.2",
    "nginx docs: ngx_http_upstream_module",
    often_said="Behind a load balancer WebSockets need sticky sessions.",
)
def test_each_connection_has_one_server(run_async: Run, nginx: Nginx) -> None:
    """A load balancer chooses once for each WebSocket; its messages all go there.

    What needs sticky sessions is state from an earlier request or connection.
    """

    async def dial() -> list[set[str | bytes]]:
        found = []
        async with (
            serve(named("A"), "127.0.0.1", 0) as one,
            serve(named("B"), "127.0.0.1", 0) as two,
            nginx(
                TWO.format(method="", lines=PASSED_ON),
                first=port_of(one),
                second=port_of(two),
            ) as (port, _),
        ):
            for _ in range(4):
                uri = f"ws://127.0.0.1:{port}/"
                async with connect(uri, proxy=None) as websocket:
                    came = set()
                    for _ in range(5):
                        await websocket.send("who?")
                        came.add(await websocket.recv())
                    found.append(came)
        return found

    assert run_async(dial()) == [{"A"}, {"B"}, {"A"}, {"B"}]


def test_workers_that_share_a_zone_share_one_count(
    run_async: Run, nginx: Nginx
) -> None:
    async def dial() -> Counter[str | bytes]:
        async with (
            serve(named("A"), "127.0.0.1", 0) as one,
            serve(named("B"), "127.0.0.1", 0) as two,
            nginx(
                TWO.format(method="least_conn; zone both 64k;", lines=PASSED_ON),
                main="worker_processes 4;",
                first=port_of(one),
                second=port_of(two),
            ) as (port, _),
            contextlib.AsyncExitStack() as stack,
        ):
            answers: Counter[str | bytes] = Counter()
            for _ in range(12):
                dialing = connect(f"ws://127.0.0.1:{port}/", proxy=None)
                websocket = await stack.enter_async_context(dialing)
                await websocket.send("who?")
                answers[await websocket.recv()] += 1
            return answers

    assert run_async(dial()) == {"A": 6, "B": 6}


@claim("a-dead-server-is-passed-over", "nginx docs: proxy_next_upstream")
def test_new_connections_go_to_the_server_that_lives(
    run_async: Run, nginx: Nginx
) -> None:
    """Nginx gives a new WebSocket to the next server if one refuses the connection.

    The WebSockets that a dead server had are lost: their clients must dial anew.
    """

    async def dial() -> tuple[list[str | bytes], int | None]:
        async with (
            serve(named("B"), "127.0.0.1", 0) as two,
            serve(named("A"), "127.0.0.1", 0) as one,
            nginx(
                TWO.format(method="", lines=PASSED_ON),
                first=port_of(one),
                second=port_of(two),
            ) as (port, _),
        ):
            uri = f"ws://127.0.0.1:{port}/"
            async with connect(uri, proxy=None) as lost:
                one.close(close_connections=False)  # nobody listens there any more
                for connection in one.connections:
                    connection.transport.abort()
                found = []
                for _ in range(4):
                    async with connect(uri, proxy=None) as websocket:
                        await websocket.send("who?")
                        found.append(await websocket.recv())
                with contextlib.suppress(ConnectionClosed):
                    await lost.recv()
                return found, lost.close_code

    assert run_async(dial()) == (["B"] * 4, 1006)


def test_a_server_that_does_not_answer_is_waited_for(
    run_async: Run, nginx: Nginx
) -> None:
    """So it is with a machine that has vanished; proxy_connect_timeout is the wait."""

    async def dial(allowed: str, patience: float) -> str | bytes:
        with contextlib.ExitStack() as full:
            silent = full.enter_context(
                socket.create_server(("127.0.0.1", 0), backlog=0)
            )
            for _ in range(4):  # its queue is full: Linux drops each further SYN
                client = full.enter_context(socket.socket())
                client.setblocking(False)  # noqa: FBT003
                client.connect_ex(silent.getsockname())
            lines = PASSED_ON + f"proxy_connect_timeout {allowed};"
            async with (
                serve(named("B"), "127.0.0.1", 0) as lives,
                nginx(
                    TWO.format(method="", lines=lines),
                    first=silent.getsockname()[1],
                    second=port_of(lives),
                ) as (port, _),
                asyncio.timeout(patience),
                connect(f"ws://127.0.0.1:{port}/", proxy=None) as websocket,
            ):
                await websocket.send("who?")
                return await websocket.recv()

    assert run_async(dial("100ms", 10)) == "B"
    with pytest.raises(TimeoutError):
        run_async(dial("60s", 1))


@claim(
    "a-reload-keeps-open-websockets",
    "nginx docs: Controlling nginx, Changing Configuration",
    "nginx docs: worker_shutdown_timeout",
)
def test_reloading_nginx_does_not_cut(run_async: Run, nginx: Nginx) -> None:
    """After a reload of nginx the old worker keeps its WebSockets until they end.

    Only with worker_shutdown_timeout it cuts them.
    """
    run_async(check_a_reload_keeps(nginx))


def test_the_check_of_reloads_can_fail(run_async: Run, nginx: Nginx) -> None:
    with pytest.raises(AssertionError, match="cut with 1006"):
        run_async(check_a_reload_keeps(nginx, "worker_shutdown_timeout 300ms;"))


async def check_a_reload_keeps(nginx: Nginx, line: str = "") -> None:
    """Fail unless a WebSocket outlives a reload of an nginx that has this line."""
    async with (
        asyncio.timeout(PATIENCE),
        serve(named("A"), "127.0.0.1", 0) as one,
        serve(named("B"), "127.0.0.1", 0) as two,
        nginx(site(), main=line, backend=port_of(one)) as (port, folder),
    ):
        uri = f"ws://127.0.0.1:{port}/"
        async with connect(uri, proxy=None) as before:
            conf = Path(folder, "nginx.conf")
            text = await asyncio.to_thread(conf.read_text)
            text = text.replace(f":{port_of(one)};", f":{port_of(two)};")
            await asyncio.to_thread(conf.write_text, text)
            pid = int(await asyncio.to_thread(Path(folder, "pid").read_text))
            os.kill(pid, signal.SIGHUP)
            answer: str | bytes = "A"
            while answer == "A":
                async with connect(uri, proxy=None) as after:
                    await after.send("who?")
                    answer = await after.recv()
            assert answer == "B"
            if line:
                await before.wait_closed()
            with contextlib.suppress(ConnectionClosed):
                await before.send("who?")
                assert await before.recv() == "A"
        assert before.close_code == 1000, f"cut with {before.close_code}"


# Redis


@contextlib.contextmanager
def redis_in(folder: str, *options: str) -> Iterator[redis.Redis]:
    """Run a Redis in this folder, and give a client of it."""
    require("redis-server")
    program = "redis-server"
    path = str(Path(folder, "redis.sock"))
    command = [program, "--port", "0", "--unixsocket", path, "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", folder, *options], stdout=subprocess.PIPE
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if b"ready to accept connections" in line.lower():
                    break
            with redis.Redis(
                unix_socket_path=path, decode_responses=True, socket_timeout=PATIENCE
            ) as client:
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE)


@pytest.fixture
def store() -> Iterator[redis.Redis]:
    """Give a client of a Redis of this test's own."""
    with tempfile.TemporaryDirectory() as folder, redis_in(folder) as client:
        yield client


def by_pubsub(store: redis.Redis, away: Callable[[], None]) -> list[str]:
    """Listen to the channel, be away, and listen again."""
    heard = []
    for leave in (away, None):
        with store.pubsub() as channel:  # type: ignore[no-untyped-call]
            channel.subscribe("chat")
            channel.get_message(timeout=PATIENCE)
            store.publish("chat", "before" if leave else "after")
            event = channel.get_message(timeout=PATIENCE)
            assert event is not None
            heard.append(event["data"])
        if leave:
            leave()
    return heard


def by_stream(store: redis.Redis, away: Callable[[], None]) -> list[str]:
    """Read the stream, be away, and read on from the last entry that was seen."""
    store.xadd("chat", {"text": "before"})
    seen: Any = store.xrange("chat")
    away()
    store.xadd("chat", {"text": "after"})
    seen += store.xrange("chat", min=f"({seen[-1][0]}")
    return [fields["text"] for _, fields in seen]


def check_nothing_is_missed(
    store: redis.Redis,
    read: Callable[[redis.Redis, Callable[[], None]], list[str]],
) -> None:
    """Fail if a reader misses what was said while it was away."""

    def speak() -> None:
        store.publish("chat", "meanwhile") if read is by_pubsub else store.xadd(
            "chat", {"text": "meanwhile"}
        )

    heard = read(store, speak)
    assert heard == ["before", "meanwhile", "after"], f"only {heard}"


@claim("a-stream-keeps-what-was-missed", "Redis docs: Streams, XRANGE")
def test_a_stream_is_read_on_from_the_last_entry(store: redis.Redis) -> None:
    """A Redis stream keeps its entries: who was away reads on from the last one seen.

    They outlive a restart of Redis only if Redis writes them to disk.
    """
    check_nothing_is_missed(store, by_stream)
    for kept, options in ((0, ()), (1, ("--appendonly", "yes"))):
        with tempfile.TemporaryDirectory() as folder:
            with redis_in(folder, *options) as before:
                before.xadd("chat", {"text": "before"})
            with redis_in(folder, *options) as after:
                assert after.xlen("chat") == kept


@claim(
    "pubsub-forgets",
    "Redis docs: Pub/Sub, Delivery semantics",
    often_said="With Redis pub/sub between the servers no message is lost.",
)
def test_pubsub_gives_only_to_those_who_listen_now(store: redis.Redis) -> None:
    """Redis pub/sub delivers at most once: who is not subscribed now never gets it."""
    assert store.publish("chat", "anybody?") == 0
    with pytest.raises(AssertionError, match=r"only \['before', 'after'\]"):
        check_nothing_is_missed(store, by_pubsub)


# Coming back


@claim(
    "spread-the-first-attempt",
    "RFC 6455 section 7.2.3",
    often_said="Exponential backoff keeps clients from coming back all at once.",
)
@pytest.mark.parametrize("seed", range(3))
def test_backoff_alone_moves_the_herd(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that lost one server come back together unless chance spreads them.

    RFC 6455 asks for a random first delay, such as up to 5 seconds; a random part of
    one second spreads nothing.
    """
    herd, chance = reconnect_herd, random.Random(seed)  # noqa: S311 - the same again
    monkeypatch.setattr(herd, "chance", chance)
    ways = (herd.backoff, herd.jitter, herd.wide_jitter)
    worst, attempts, seconds = zip(*map(herd.come_back, ways), strict=True)
    assert worst[0] == herd.CLIENTS  # all together, and so again each time
    assert worst[1] >= herd.CLIENTS  # all in the first second
    assert worst[2] < herd.CLIENTS / 5
    assert attempts[2] < attempts[1] < attempts[0]
    assert seconds[2] < seconds[0]
    firsts = [next(backoff()) for _ in range(100)]
    assert 0 <= min(firsts) < max(firsts) <= 5


# Those that run an nginx or a Redis: all that name a program which has one.
KEEPERS = sorted(
    path.stem
    for path in PROGRAM.parent.glob("*.py")
    if re.search(r"\b(through_nginx|redis_server)\b", path.read_text("utf-8"))
)


@pytest.mark.parametrize("name", ["through_nginx", *KEEPERS])
def test_a_program_that_is_told_to_end_takes_its_server_along(
    name: str, tmp_path: Path
) -> None:
    path = PROGRAM.with_name(f"{name}.py")
    if lacking := snippet.read(path).missing():
        pytest.skip(needs.reason(*lacking))
    with subprocess.Popen(
        [sys.executable, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # some more lines, and servers, are to come
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    if process.returncode == 0:
        assert said == ""  # it was done before the signal came
    else:
        assert process.returncode in {-signal.SIGINT, 128 + signal.SIGTERM}, said
    assert [*tmp_path.iterdir()] == []
    running = [*map(offspring.named, offspring.below(1))]
    assert not [words for words in running if str(tmp_path) in words]


def test_an_nginx_that_does_not_start_is_told_in_its_own_words() -> None:
    require("Linux", "nginx")
    module = nginx_program()
    door = socket.create_server(("127.0.0.1", 0))
    port = door.getsockname()[1]
    with (
        door,
        pytest.raises(OSError, match='unknown directive "no_such_directive"'),
        module.nginx(door, "no_such_directive on;"),
    ):
        until_refused(port)


def until_refused(port: int) -> None:
    """Wait until nobody listens on a port any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except ConnectionRefusedError:
            return
    raise AssertionError
