"""The claims of the chapter on trust: Origin, tokens, TLS, limits."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import inspect
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import first_message
import limits
import pytest
import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Origin, Subprotocol

from handbook.claims import cited, claim
from needing import require
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

GOOD = Origin("https://app.example")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--disable-sync"),
    "--disable-component-update",
    "--ignore-certificate-errors",
    "--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.localhost 127.0.0.1, "
    "MAP * ~NOTFOUND, EXCLUDE localhost",
)
COOKIES = (
    "none=1; SameSite=None; Secure",
    "lax=1; SameSite=Lax",
    "strict=1; SameSite=Strict",
    "unset=1",
)
SCRIPT = """<!doctype html><script type="module">
const told = {};
const attempt = (name, url, ...rest) => new Promise(resolve => {
  const end = text => resolve(told[name] ??= text);
  try {
    const socket = new WebSocket(url, ...rest);
    socket.onopen = () => { told.protocol = socket.protocol; };
    socket.onmessage = event => end(event.data);
    socket.onclose = event => end(`close ${event.code}`);
  } catch (error) { end(String(error)); }
});
%s
location.replace("http://bank.localhost:%d/told?" + new URLSearchParams(told));
</script>"""


def port_of(server: Any) -> int:
    return int(server.sockets[0].getsockname()[1])


def uri_of(server: Any) -> str:
    return f"ws://127.0.0.1:{port_of(server)}/"


async def greet(websocket: ServerConnection) -> None:
    await websocket.send("secret")


async def status_of(uri: str, origin: Origin | None) -> int:
    """Give the status with which the handshake ends."""
    try:
        async with connect(uri, origin=origin, proxy=None):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


# In a real browser


@dataclass
class Seen:
    """What a page told of its attempts, and the handshakes that reached the server."""

    told: dict[str, str] = field(default_factory=dict)
    handshakes: list[Request] = field(default_factory=list)

    def cookies(self) -> set[str]:
        """Name the cookies that came with the only handshake."""
        (handshake,) = self.handshakes
        sent = handshake.headers.get("Cookie", "")
        return {pair.partition("=")[0] for pair in sent.split("; ")} - {""}


@contextlib.asynccontextmanager
async def chromium(url: str, *, third_party_cookies: bool) -> AsyncIterator[None]:
    require("chromium")
    program = "chromium"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        mode = {
            "profile": {"cookie_controls_mode": 0 if third_party_cookies else 1},
            "net": {"network_prediction_options": 2},  # dial only for a request
        }
        settings = Path(folder, "Default", "Preferences")
        await asyncio.to_thread(settings.parent.mkdir)
        await asyncio.to_thread(settings.write_text, json.dumps(mode))
        process = await asyncio.create_subprocess_exec(
            *(program, *FLAGS, f"--user-data-dir={folder}", url),
            env=os.environ | {"TMPDIR": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it has many processes
            await process.wait()


def redirect(to: str, *cookies: str) -> Response:
    fixed = [("Location", to), ("Content-Length", "0"), ("Connection", "close")]
    made = Headers([*fixed, *(("Set-Cookie", cookie) for cookie in cookies)])
    return Response(HTTPStatus.FOUND, "Found", made, b"")


async def in_the_browser(
    script: str,
    page: str = "http://evil.localhost:{port}/",
    *,
    origins: Sequence[Origin] | None = None,
    third_party_cookies: bool = True,
) -> Seen:
    """Log in at bank.localhost with four cookies, then run a script in a page.

    `{port}` is the bank's port, `{tls}` the same by TLS, `{other}` another port.
    """
    seen, over = Seen(), asyncio.Event()
    ports: dict[str, int] = {}

    def request(websocket: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path)
        if "Upgrade" in request.headers:
            seen.handshakes.append(request)
            return None
        if path.path == "/login":
            return redirect(page.format(**ports), *COOKIES)
        if path.path == "/told":
            seen.told.update(parse_qsl(path.query))
            over.set()
        body = ""
        if path.path == "/":
            filled = script
            for name, port in ports.items():
                filled = filled.replace("{%s}" % name, str(port))  # noqa: UP031
            body = SCRIPT % (filled, ports["port"])
        response = websocket.respond(HTTPStatus.OK, body)
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/html"
        return response

    def choose(
        _: ServerConnection, offered: Sequence[Subprotocol]
    ) -> Subprotocol | None:
        return Subprotocol("chat") if "chat" in offered else None

    certificate = trustme.CA().issue_cert("app.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    common: dict[str, Any] = {"process_request": request, "select_subprotocol": choose}
    async with (
        asyncio.timeout(PATIENCE),
        serve(greet, "127.0.0.1", 0, origins=origins, **common) as bank,
        serve(greet, "127.0.0.1", 0, **common) as other,
        serve(greet, "127.0.0.1", 0, ssl=context, **common) as tls,
    ):
        ports.update(port=port_of(bank), other=port_of(other), tls=port_of(tls))
        login = f"http://bank.localhost:{ports['port']}/login"
        async with chromium(login, third_party_cookies=third_party_cookies):
            await over.wait()
    return seen


BOTH = """
await fetch("http://bank.localhost:{port}/balance", {credentials: "include"})
  .then(answer => answer.text())
  .then(text => { told.fetch = text; }, error => { told.fetch = String(error); });
await attempt("websocket", "ws://bank.localhost:{port}/");
"""


@pytest.mark.browser
@claim(
    "no-cors-for-websocket",
    "RFC 6455 section 10.2",
    "WHATWG WebSockets, section 2.2",
    often_said="CORS keeps pages of other sites away from my WebSocket server.",
)
def test_a_foreign_page_reads_what_cors_would_hide(run_async: Run) -> None:
    """CORS does not apply to WebSockets.

    A page of any origin may open one to your server and read what it sends, though
    the same browser hides the answer to its fetch().
    """
    seen = run_async(in_the_browser(BOTH))
    assert seen.told["fetch"] == "TypeError: Failed to fetch"
    assert seen.told["websocket"] == "secret"


def check_foreign_pages_stay_out(seen: Seen) -> None:
    """Fail if a page of another origin has read the secret."""
    assert seen.told["websocket"] == "close 1006", "a foreign page got in"


@pytest.mark.browser
@claim(
    "origin-check-stops-foreign-pages",
    "RFC 6455 section 10.2",
    "RFC 6455 section 4.2.2",
)
def test_a_server_that_compares_the_origin_keeps_foreign_pages_out(
    run_async: Run,
) -> None:
    """A server that compares the Origin header keeps pages of other origins out.

    The browser sends the header with each handshake, and no page can change it.
    """
    seen = run_async(in_the_browser(BOTH, origins=[GOOD]))
    check_foreign_pages_stay_out(seen)
    (handshake,) = seen.handshakes
    assert handshake.headers["Origin"].startswith("http://evil.localhost:")


@pytest.mark.browser
def test_the_check_of_foreign_pages_can_fail(run_async: Run) -> None:
    with pytest.raises(AssertionError, match="a foreign page got in"):
        check_foreign_pages_stay_out(run_async(in_the_browser(BOTH)))


DIAL = """await attempt("websocket", "ws://bank.localhost:{port}/");"""


@pytest.mark.browser
@claim(
    "lax-cookies-stay-off-foreign-handshakes",
    "RFC 6265bis (draft) section 5.6.7",
    "WHATWG WebSockets, section 2.2",
)
@pytest.mark.parametrize(
    ("third_party", "sent"), [("allowed", {"none"}), ("blocked", set())]
)
def test_which_cookies_a_foreign_page_brings(
    run_async: Run, third_party: str, sent: set[str]
) -> None:
    """From a page of another site only cookies with SameSite=None join the handshake.

    Lax, Strict and, in Chromium, unset ones stay away. Where the browser blocks
    third-party cookies, None stays away too.
    """
    seen = run_async(in_the_browser(DIAL, third_party_cookies=third_party == "allowed"))
    assert seen.cookies() == sent


@pytest.mark.browser
@claim(
    "same-site-is-wider-than-origin",
    "RFC 6265bis (draft) section 5.2",
    "RFC 6454 section 4",
    often_said="SameSite=Strict makes the Origin check superfluous.",
)
@pytest.mark.parametrize(
    "page", ["http://blog.bank.localhost:{port}/", "http://bank.localhost:{other}/"]
)
def test_strict_cookies_come_from_another_origin_of_the_site(
    run_async: Run, page: str
) -> None:
    """SameSite speaks of sites, and Origin of origins, which are narrower.

    A page of another subdomain or another port is another origin of the same site:
    its handshake carries even SameSite=Strict cookies.
    """
    seen = run_async(in_the_browser(DIAL, page))
    assert seen.cookies() == {"none", "lax", "strict", "unset"}
    (handshake,) = seen.handshakes
    assert handshake.headers["Origin"] != f"http://{handshake.headers['Host']}"


HEADERS = """
const wish = {headers: {Authorization: "Bearer t0ken"}};
await attempt("third", "ws://bank.localhost:{port}/", [], wish);
await attempt("second", "ws://bank.localhost:{port}/", wish);
await attempt("fragment", "ws://bank.localhost:{port}/#t0ken");
"""


@pytest.mark.browser
@claim(
    "browser-websocket-takes-no-headers",
    "WHATWG WebSockets, section 3.1",
    often_said="A page sets the Authorization header of its WebSocket.",
)
def test_a_page_cannot_add_a_header(run_async: Run) -> None:
    """A page cannot add a header to the handshake of its WebSocket.

    The constructor takes an address and subprotocols, and nothing else.
    """
    seen = run_async(in_the_browser(HEADERS))
    assert seen.told["third"] == "secret"  # it opened, without the header
    assert [h.headers.get("Authorization") for h in seen.handshakes] == [None]
    assert "The subprotocol '[object Object]' is invalid." in seen.told["second"]
    assert "Fragment identifiers are not allowed" in seen.told["fragment"]


SUBPROTOCOLS = """
await attempt("both", "ws://bank.localhost:{port}/", ["chat", "t0ken"]);
await attempt("alone", "ws://bank.localhost:{port}/", ["t0ken"]);
await attempt("base64", "ws://bank.localhost:{port}/", ["chat", "dDBr/W4="]);
await attempt("comma", "ws://bank.localhost:{port}/", ["chat", "t0,ken"]);
await attempt("url", "ws://bank.localhost:{port}/", ["chat", "dDBr_W4-"]);
"""


@pytest.mark.browser
@claim(
    "subprotocol-must-be-answered",
    "WHATWG WebSockets, section 2.2",
    "RFC 6455 section 4.1",
)
def test_a_token_among_the_subprotocols_needs_a_real_one(run_async: Run) -> None:
    """A browser that offers subprotocols fails if the server chooses none.

    A token hidden among them therefore needs a real subprotocol beside it, and may
    hold no separator such as / or = or a comma: base64url without padding holds none.
    """
    seen = run_async(in_the_browser(SUBPROTOCOLS))
    assert seen.told["both"] == "secret"
    assert seen.told["protocol"] == "chat"
    assert seen.told["alone"] == "close 1006"
    assert seen.told["base64"].startswith("SyntaxError")
    assert seen.told["comma"].startswith("SyntaxError")
    assert seen.told["url"] == "secret"
    sent = [h.headers["Sec-WebSocket-Protocol"] for h in seen.handshakes]
    assert sent == ["chat, t0ken", "t0ken", "chat, dDBr_W4-"]


MIXED = """
await attempt("ws", "ws://bank.test:{port}/");
await attempt("own", "ws://localhost:{port}/");
await attempt("wss", "wss://app.test:{tls}/");
"""


@pytest.mark.browser
@claim("https-page-needs-wss", "W3C Mixed Content section 4")
def test_a_secure_page_cannot_open_ws(run_async: Run) -> None:
    """A page that came by HTTPS can open wss:, and ws: only to the browser's machine.

    That is localhost, to which the bytes travel on no network.
    """
    seen = run_async(in_the_browser(MIXED, "https://app.test:{tls}/"))
    assert seen.told["ws"] == (
        "SecurityError: Failed to construct 'WebSocket': An insecure WebSocket "
        "connection may not be initiated from a page loaded over HTTPS."
    )
    assert seen.told["own"] == "secret"
    assert seen.told["wss"] == "secret"


# Without a browser


@claim("foreign-origin-gets-403", "RFC 6455 section 4.2.2", "RFC 6455 section 10.2")
def test_origins_are_compared_whole(run_async: Run) -> None:
    """A server that does not accept an origin answers 403.

    An origin is a scheme, a host and a port, compared as a whole.
    """

    async def knock() -> dict[str | None, int]:
        async with serve(greet, "127.0.0.1", 0, origins=[GOOD]) as server:
            others = (
                *("http://app.example", "https://app.example:8443", "null"),
                *("https://app.example.evil.example", "https://evil.example"),
            )
            knocked = [GOOD, None, *map(Origin, others)]
            return {o: await status_of(uri_of(server), o) for o in knocked}

    statuses = run_async(knock())
    assert statuses.pop(GOOD) == 101
    assert set(statuses.values()) == {403}


def test_a_pattern_is_compared_with_the_whole_origin(run_async: Run) -> None:
    pattern = re.compile(r"https://\w+\.example")

    async def knock() -> list[int]:
        async with serve(greet, "127.0.0.1", 0, origins=[pattern]) as server:
            others = ("http://app.example", f"{GOOD}.evil.example", f"x{GOOD}")
            uri = uri_of(server)
            return [await status_of(uri, Origin(o)) for o in (GOOD, *others)]

    assert run_async(knock()) == [101, 403, 403, 403]


@claim(
    "origin-can-be-forged",
    "RFC 6455 section 10.1",
    "RFC 6455 section 10.2",
    often_said="The Origin check says who the client is.",
)
def test_a_program_sends_any_origin_it_likes(run_async: Run) -> None:
    """A program that is no browser can send any Origin.

    The check protects users from foreign pages, and the server from nobody else.
    """

    async def forge() -> int:
        async with serve(greet, "127.0.0.1", 0, origins=[GOOD]) as server:
            return await status_of(uri_of(server), GOOD)

    assert run_async(forge()) == 101


cited(
    "protocol-prescribes-no-login",
    "WebSocket prescribes no way to log in: a server may use cookies, HTTP "
    "authentication, TLS, or messages of its own.",
    "RFC 6455 section 10.5",
)


@claim(
    "a-connection-outlives-its-token",
    "RFC 6455 section 10.5",
    often_said="When the session ends, its WebSockets end with it.",
)
def test_nothing_ends_a_connection_when_the_token_ends(run_async: Run) -> None:
    """A token that is checked in the handshake is never looked at again.

    The connection goes on when the token has ended, until the server itself closes it.
    """
    tokens = {"t0ken"}

    def check(websocket: ServerConnection, request: Request) -> Response | None:
        if request.path.partition("?")[2] in tokens:
            return None
        return websocket.respond(HTTPStatus.UNAUTHORIZED, "")

    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async def revoke() -> tuple[str | bytes, int]:
        async with serve(echo, "127.0.0.1", 0, process_request=check) as server:
            uri = f"{uri_of(server)}?t0ken"
            async with connect(uri, proxy=None) as websocket:
                tokens.clear()
                await websocket.send("still here")
                return await websocket.recv(), await status_of(uri, None)

    assert run_async(revoke()) == ("still here", 401)


@claim(
    "no-token-no-service",
    "RFC 6455 section 7.4.1",
    "RFC 6455 section 10.5",
)
def test_the_first_message_decides(
    run_async: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends no token, or one that is not good, can be closed with 1008."""
    monkeypatch.setattr(first_message, "PATIENCE", 0.2)

    async def dial(*messages: str) -> tuple[list[str | bytes], int | None, str | None]:
        async with (
            serve(first_message.handle, "127.0.0.1", 0) as server,
            connect(uri_of(server), proxy=None) as websocket,
        ):
            for message in messages:
                await websocket.send(message)
            heard = []
            with contextlib.suppress(ConnectionClosed):
                while True:
                    heard.append(await websocket.recv())
        return heard, websocket.close_code, websocket.close_reason

    assert run_async(dial()) == ([], 1008, "no token came")
    assert run_async(dial("a guess")) == ([], 1008, "bad token")
    late = first_message.issue("bob", -1)
    assert run_async(dial(late)) == ([], 1008, "bad token")
    short = first_message.issue("bob", 0.3)
    assert run_async(dial(short)) == (["welcome, bob"], 1008, "token has ended")
    assert late not in first_message.tokens  # it went when the next was issued


def test_a_timeout_of_the_conversation_is_not_the_tokens_end(
    run_async: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow_database(_: ServerConnection) -> None:
        raise TimeoutError

    async def dial() -> int | None:
        async with (
            serve(first_message.handle, "127.0.0.1", 0) as server,
            connect(uri_of(server), proxy=None) as websocket,
        ):
            monkeypatch.setattr(ServerConnection, "wait_closed", slow_database)
            await websocket.send(first_message.issue("bob", 10))
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await websocket.recv()
        return websocket.close_code

    assert run_async(dial()) == 1011  # an error of the server's own


@claim("wss-needs-a-good-certificate", "RFC 6455 section 4.1", "Python docs: ssl")
def test_a_client_refuses_a_certificate_that_is_not_in_order(run_async: Run) -> None:
    """A wss client refuses a certificate of an unknown CA, an old or another name's."""
    name, authority = "chat.example", trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

    async def dial(certificate: trustme.LeafCert, client: ssl.SSLContext) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        async with serve(greet, "127.0.0.1", 0, ssl=context) as server:
            uri = f"wss://{name}:{port_of(server)}/"
            try:
                async with connect(
                    uri, host="127.0.0.1", ssl=client, proxy=None
                ) as websocket:
                    return str(await websocket.recv())
            except ssl.SSLCertVerificationError as error:
                return error.verify_message

    good = authority.issue_cert(name)
    assert run_async(dial(good, trusting)) == "secret"
    nobody = ssl.create_default_context()
    assert run_async(dial(good, nobody)) == "unable to get local issuer certificate"
    old = authority.issue_cert(name, not_after=yesterday)
    assert run_async(dial(old, trusting)) == "certificate has expired"
    other = authority.issue_cert("shop.example")
    assert "Hostname mismatch" in run_async(dial(other, trusting))


@claim(
    "max-size-counts-inflated-bytes",
    "RFC 6455 section 10.4",
    "RFC 6455 section 7.4.1",
    "RFC 7692 section 8",
)
def test_a_message_that_is_too_big_ends_with_1009(run_async: Run) -> None:
    """A receiver closes with 1009 when a message is longer than it takes.

    The library counts the bytes after decompression; its limit is 1 MiB by default.
    """

    async def listen(websocket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in websocket:
                await websocket.send(str(len(message)))

    async def send(size: int) -> int | None:
        async with (
            serve(listen, "127.0.0.1", 0) as server,
            connect(uri_of(server), proxy=None) as websocket,
        ):
            with contextlib.suppress(ConnectionClosed):
                await websocket.send(bytes(size))  # zeros: a thousandth on the wire
                assert await websocket.recv() == str(size)
        return websocket.close_code

    assert run_async(send(2**20)) == 1000
    assert run_async(send(2**20 + 1)) == 1009


@claim("half-a-handshake-is-cut", "RFC 6455 section 10.4", "websockets docs: serve()")
def test_a_handshake_that_does_not_end_is_cut_off(run_async: Run) -> None:
    """A client that never finishes its handshake is cut off after open_timeout.

    It is 10 seconds by default; without it such a client would hold a descriptor for
    ever.
    """
    assert inspect.signature(serve).parameters["open_timeout"].default == 10

    async def crawl(seconds: float | None) -> bytes | None:
        async with serve(greet, "127.0.0.1", 0, open_timeout=seconds) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
            try:
                writer.write(b"GET / HTTP/1.1\r\nHost: ")
                async with asyncio.timeout(
                    0.6
                ):  # waits: only for the one without limit
                    return await reader.read()
            except TimeoutError:
                return None
            finally:
                writer.close()

    assert run_async(crawl(0.2)) == b""
    assert run_async(crawl(None)) is None


def test_an_address_may_hold_few_half_handshakes(
    run_async: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "in_use", Counter())
    each, held = limits.EACH, 2 * limits.EACH

    async def crowd() -> tuple[set[bytes], int]:
        cut = set()
        async with (
            serve(greet, "127.0.0.1", 0, create_connection=limits.Counted) as server,
            contextlib.AsyncExitStack() as stack,
        ):
            for number in range(10 * each):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port_of(server)
                )
                stack.callback(writer.close)
                if number >= held:
                    with contextlib.suppress(ConnectionResetError):
                        cut.add(await reader.read())
            return cut, limits.in_use["127.0.0.1"]

    cut, left = run_async(crowd())
    assert cut <= {b""}
    assert left == held


class Relay:
    """Stands on the path between a client and a server, and keeps what passes by."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard = b""
        self.to_server = 0  # bytes

    async def forward(
        self, client: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> None:
        server, there = await asyncio.open_connection("127.0.0.1", self.port)
        async with asyncio.TaskGroup() as both:
            both.create_task(self.carry(client, there, from_client=True))
            both.create_task(self.carry(server, back))

    async def carry(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        *,
        from_client: bool = False,
    ) -> None:
        while data := await source.read(65_536):
            self.heard += data
            self.to_server += len(data) * from_client
            target.write(data)
            await target.drain()
        target.close()

    def finds(self, words: str) -> bool:
        """Look for words as they are, and under each key that four bytes could be."""
        plain, heard = words.encode(), self.heard
        return plain in heard or any(
            bytes(
                byte ^ heard[at + i % 4]
                for i, byte in enumerate(heard[at + 4 : at + 4 + len(plain)])
            )
            == plain
            for at in range(len(heard) - len(plain) - 3)
        )


NAME, TICKET, SECRET = "bank.example", "ticket=s3cret", "pay 100 to bob"


async def what_a_relay_finds(*, tls: bool) -> tuple[list[str], int]:
    """Talk through a relay, and give what it learns.

    That is which it can read of host, URL and message, and how many bytes longer
    a message that is ten bytes longer looks.
    """
    authority = trustme.CA()
    server_side = client_side = None
    if tls:
        server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(NAME).configure_cert(server_side)
        client_side = ssl.create_default_context()
        authority.configure_trust(client_side)

    async def listen(websocket: ServerConnection) -> None:
        async for _ in websocket:
            await websocket.send("done")

    async with serve(listen, "127.0.0.1", 0, ssl=server_side) as server:
        relay = Relay(port_of(server))
        async with await asyncio.start_server(relay.forward, "127.0.0.1", 0) as door:
            uri = f"{'wss' if tls else 'ws'}://{NAME}:{port_of(door)}/?{TICKET}"
            async with connect(
                uri, host="127.0.0.1", ssl=client_side, proxy=None, compression=None
            ) as websocket:
                sizes = []
                for secret in (SECRET, SECRET + 10 * "!"):
                    before = relay.to_server
                    await websocket.send(secret)
                    assert await websocket.recv() == "done"
                    sizes.append(relay.to_server - before)
    found = [words for words in (NAME, TICKET, SECRET) if relay.finds(words)]
    return found, sizes[1] - sizes[0]


def check_only_the_name_is_seen(found: list[str]) -> None:
    """Fail if somebody on the path reads more words than the name of the host."""
    assert found == [NAME], f"the relay has read {found}"


@claim(
    "wss-hides-all-but-the-name",
    "RFC 6455 section 10.6",
    "RFC 6066 section 3",
    often_said="Masking encrypts what a client sends.",
)
def test_a_relay_reads_ws_and_not_wss(run_async: Run) -> None:
    """Whoever forwards the bytes reads all of ws, masked frames too, and not wss.

    Of wss it reads the name of the host, which TLS sends in the clear, and sees between
    which addresses, when, and how many bytes go.
    """
    found, longer = run_async(what_a_relay_finds(tls=True))
    check_only_the_name_is_seen(found)
    assert longer == 10


def test_the_check_of_the_relay_can_fail(run_async: Run) -> None:
    with pytest.raises(AssertionError, match="pay 100 to bob"):
        check_only_the_name_is_seen(run_async(what_a_relay_finds(tls=False))[0])
