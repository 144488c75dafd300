"""The claims of the chapter on WebSockets in the browser, mostly in a real one."""

from __future__ import annotations

import contextlib
import http.server
import queue
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chat_server
import pytest
import rfc6455
from playwright.sync_api import Error
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext, Page
    from websockets.sync.server import ServerConnection

    NewContext = Callable[..., BrowserContext]

# What a page sees of a connection, until it is closed.
DIAL = """
url => new Promise((done) => {
  const seen = [];
  const socket = new WebSocket(url);
  socket.onopen = () => { seen.push("open"); socket.send("hello"); };
  socket.onmessage = (event) => { seen.push(event.data); socket.close(); };
  socket.onerror = () => seen.push("error");
  socket.onclose = (event) => done([...seen, event.code]);
})
"""


@contextlib.contextmanager
def serving(
    handler: Callable[[ServerConnection], None], **settings: Any
) -> Iterator[str]:
    """Serve WebSockets from a thread; yields the address."""
    settings = {"close_timeout": 1, **settings}
    with serve(handler, "127.0.0.1", 0, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, name="server")
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        server.shutdown()
        thread.join(PATIENCE)


def echo(connection: ServerConnection) -> None:
    """Send back each message."""
    for message in connection:
        connection.send(message)


@contextlib.contextmanager
def tcp_echo() -> Iterator[str]:
    """Send back bytes, as a server does that knows only TCP; yields its address."""

    def run(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                while data := connection.recv(4096):
                    connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=run, args=(listener,), name="tcp echo")
        thread.start()
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@pytest.fixture
def page(new_context: NewContext) -> Page:
    """Return an empty page."""
    return new_context().new_page()


def check_the_page_can_talk(page: Page, url: str) -> None:
    """Fail unless a page gets its words back."""
    seen = page.evaluate(DIAL, url)
    assert seen[:2] == ["open", "hello"], f"never open: {seen}"


@pytest.mark.browser
@claim(
    "web-pages-can-use-tcp-sockets",
    "WHATWG WebSockets, Introduction",
    "RFC 6455 section 1.5",
    often_said="A web page can use a TCP socket for real-time communication.",
)
def test_a_page_cannot_talk_to_a_tcp_server(page: Page) -> None:
    """The script of a page cannot open a TCP connection of its own.

    Its WebSocket gets nowhere with a server that knows only TCP: it fails with 1006.
    """
    with serving(echo) as url:
        check_the_page_can_talk(page, url)
    with tcp_echo() as url, pytest.raises(AssertionError, match="never open"):
        check_the_page_can_talk(page, url)
    with tcp_echo() as url:
        assert page.evaluate(DIAL, url) == ["error", 1006]


@claim(
    "ws-needs-full-html5-browser",
    "RFC 6455 section 10.1",
    often_said="WebSocket needs a browser that follows all of HTML5.",
)
def test_a_program_without_html_has_a_websocket() -> None:
    """WebSocket needs a client and a server that speak RFC 6455, and no HTML.

    What must not be in between is a server or proxy that ignores Upgrade.
    """
    with serving(echo, compression=None) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
            sock.sendall(upgrade(port))
            head, _, rest = receive_until(sock, b"\r\n\r\n").partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            sock.sendall(b"\x81\x85" + bytes(4) + b"hello")
            while len(rest) < 7:
                rest += sock.recv(100)
            assert rest == b"\x81\x05hello"
            sock.sendall(b"\x88\x80" + bytes(4))

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as old:
        thread = threading.Thread(target=old.handle_request, name="old server")
        thread.start()
        with socket.create_connection(
            ("127.0.0.1", old.server_port), timeout=PATIENCE
        ) as sock:
            sock.sendall(upgrade(old.server_port))
            assert receive_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.0 200 ")
        thread.join(PATIENCE)


def upgrade(port: int) -> bytes:
    """Return the head of an opening handshake."""
    return (
        f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def receive_until(sock: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = sock.recv(4096)
        assert piece, data
        data += piece
    return data


@claim("ws-evolved-for-web-apps", "RFC 6455 section 1.5")
def test_a_websocket_is_little_more_than_its_tcp_connection() -> None:
    """WebSocket is as close to plain TCP as a page may come.

    After the handshake it adds a few bytes to each message, and nothing else.
    """
    client = rfc6455.ClientConnection("127.0.0.1")
    server = rfc6455.ServerConnection()
    server.feed(client.data_to_send())
    next(server.events())
    server.accept()
    client.feed(server.data_to_send())
    assert isinstance(next(client.events()), rfc6455.Opened)
    for size, head in ((5, 2), (125, 2), (126, 4), (65_536, 10)):
        client.send("x" * size)
        server.send("x" * size)
        assert len(client.data_to_send()) == size + head + 4  # the key of the mask
        assert len(server.data_to_send()) == size + head


@pytest.mark.browser
@claim(
    "browser-does-not-reconnect",
    "WHATWG WebSockets, The WebSocket interface",
    often_said="The browser reconnects a WebSocket by itself.",
)
def test_a_closed_websocket_stays_closed(page: Page) -> None:
    """A browser does not dial again: a WebSocket that is closed stays closed."""
    dialled = []

    def cut(connection: ServerConnection) -> None:
        dialled.append(connection.remote_address)

    with serving(cut) as url:
        state = page.evaluate(
            """url => new Promise((done) => {
              const socket = new WebSocket(url);
              socket.onclose = () => setTimeout(() => done(socket.readyState), 1000);
            })""",
            url,
        )
    assert state == 3  # CLOSED
    assert len(dialled) == 1


@pytest.mark.browser
@claim(
    "page-send-never-waits",
    "WHATWG WebSockets, bufferedAmount",
    often_said="send() in a page waits until the data has been sent.",
)
def test_send_in_a_page_only_queues(page: Page) -> None:
    """send() in a page returns at once, whatever the network does.

    What has not left the browser piles up; bufferedAmount says how much it is.
    """
    go = threading.Event()

    def deaf(connection: ServerConnection) -> None:
        go.wait(PATIENCE)
        for _ in range(16):
            connection.recv()

    with serving(deaf, compression=None, max_queue=1) as url:
        amounts = page.evaluate(
            """url => new Promise((done) => {
              window.socket = new WebSocket(url);
              socket.onopen = () => {
                const amounts = [socket.bufferedAmount];
                for (let count = 0; count < 16; count++)
                  socket.send(new Uint8Array(1_000_000));
                done([...amounts, socket.bufferedAmount]);
              };
            })""",
            url,
        )
        assert amounts == [0, 16_000_000]
        assert page.evaluate("socket.bufferedAmount") > 0
        go.set()
        page.wait_for_function("socket.bufferedAmount === 0")


def check_the_text_runs_nothing(page: Page, put: str) -> None:
    """Fail if what somebody said runs as a script when it is put into the page."""
    page.evaluate("window.hacked = false")
    page.evaluate(
        f"""async (said) => {{
          const line = document.createElement("p");
          document.body.append(line);
          {put};
        }}""",
        '<img src="data:," onerror="window.hacked = true">',
    )
    # An image that is broken says so soon after; one that was text says nothing.
    page.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert page.evaluate("window.hacked") is False, "it ran"


@pytest.mark.browser
@claim(
    "text-content-runs-nothing",
    "WHATWG DOM, Node.textContent",
    often_said="A chat may put what comes into innerHTML: it is only text.",
)
def test_what_is_set_as_text_stays_text(page: Page) -> None:
    """What a page sets as textContent is shown as it is; innerHTML makes it run."""
    check_the_text_runs_nothing(page, "line.textContent = said")
    with pytest.raises(AssertionError, match="it ran"):
        check_the_text_runs_nothing(page, "line.innerHTML = said")


@pytest.mark.browser
@claim("policy-runs-no-other-script", "W3C CSP Level 3 section 6.1.11 (script-src)")
def test_a_policy_stops_a_script_that_was_let_in(page: Page) -> None:
    """A policy that names the page's own script by its hash lets no other one run.

    Not even one that a mistake, such as innerHTML, has let into the page.
    """
    path = Path(chat_server.__file__).with_name("chat.html")
    served = chat_server.Page(path).response()
    policy = served.headers["Content-Security-Policy"]
    check_a_mistake_runs_nothing(page, bytes(served.body), policy)
    with pytest.raises(AssertionError, match="it ran"):
        check_a_mistake_runs_nothing(page, bytes(served.body), "img-src *")


def check_a_mistake_runs_nothing(page: Page, body: bytes, policy: str) -> None:
    """Fail if the page, under this policy, runs what innerHTML lets in."""
    page.unroute_all()
    page.route(
        "http://127.0.0.1:1/",
        lambda route: route.fulfill(
            body=body,
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        ),
    )
    page.goto("http://127.0.0.1:1/")
    page.get_by_label("Your name").fill("its own script runs")
    assert page.locator("#state").inner_text() == "Choose a name."
    check_the_text_runs_nothing(page, "line.innerHTML = said")


@pytest.mark.browser
@claim("page-closes-with-1000-or-its-own", "WHATWG WebSockets, close()")
def test_a_page_may_not_choose_every_code(page: Page) -> None:
    """A page may close with 1000 or with 3000 to 4999; other codes raise an error."""
    codes: queue.Queue[int | None] = queue.Queue()

    def note(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            connection.recv()
        codes.put(connection.close_code)

    close = """([url, code]) => new Promise((done) => {
      const socket = new WebSocket(url);
      socket.onopen = () => socket.close(code);
      socket.onclose = () => done();
    })"""
    with serving(note) as url:
        for code in (1000, 3000, 4999):
            page.evaluate(close, [url, code])
            assert codes.get(timeout=PATIENCE) == code
        for code in (1001, 1006, 1011, 2999, 5000):
            with pytest.raises(Error, match=r"must be either 1000, or between 3000"):
                page.evaluate(
                    "([url, code]) => new WebSocket(url).close(code)", [url, code]
                )
