"""The search finds what people type: questions, error messages, Korean words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from handbook import search
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.browser

FIRST = 3
"""Among so many results the right page must be."""

ENOUGH = 0.95
"""The share of the queries that must find theirs."""

QUERIES = {
    # Questions, as people type them
    "what is the difference between a port and a socket": "ports/what-is-a-port",
    "how do I pick a free port": "ports/what-is-a-port",
    "permission denied on port 80": "ports/what-is-a-port reference/errors",
    "difference between 0.0.0.0, 127.0.0.1 and localhost": "ports/which-address",
    "can two applications listen on the same port": "ports/sharing-a-port",
    "container cannot reach localhost": "loopback/loopback",
    "how many clients can use port 80 at once": "listening/two-kinds-of-socket",
    "does accept() give the connection a new port": "listening/two-kinds-of-socket",
    "difference between listen and accept": "listening/two-kinds-of-socket",
    "why did connect() succeed before accept()": "listening/before-accept",
    "SYN flooding": "listening/backlog",
    "what is the backlog": "listening/backlog",
    "SO_REUSEADDR SO_REUSEPORT": "ports/sharing-a-port",
    "one worker takes all the load": "listening/many-workers",
    "recv returns part of my data": "streams/bytes-not-messages",
    "send sendall difference": "streams/bytes-not-messages",
    "where does a message end": "streams/framing",
    "both programs hang": "streams/buffers",
    "nagle 40 ms": "streams/buffers",
    "close or shutdown SO_LINGER": "streams/closing",
    "TIME_WAIT": "streams/closing",
    "detect that the peer is gone": "streams/is-anybody-there",
    "keep-alive": "streams/is-anybody-there",
    "find my own IP address": "sockets/stream-or-datagram",
    "unix socket faster than tcp": "loopback/local-ipc",
    "long polling SSE websocket": "websockets/from-http",
    "why are websocket frames masked": "websockets/frames",
    "ping from the browser": "websockets/ping-and-close",
    "send to all clients broadcast": "websockets/server-and-clients",
    "reconnect automatically": "websockets/server-and-clients",
    "token header browser websocket": "websockets/trust",
    "nginx closes my websocket after 60 seconds": "websockets/proxies-and-scale",
    "socket.io": "websockets/neighbours",
    # Error messages, as they are pasted
    "OSError: [Errno 98] Address already in use": "reference/errors",
    "ConnectionRefusedError: [Errno 111] Connection refused": "reference/errors",
    "Connection reset by peer": "reference/errors streams/closing",
    "connection refused": "reference/errors",
    "Broken pipe": "reference/errors streams/closing",
    "Cannot assign requested address": "reference/errors",
    "Too many open files": "reference/errors listening/what-accept-returns",
    "websocket closed 1006": "websockets/ping-and-close reference/websocket-codes",
    # Lines of tracebacks, consoles and logs, whole
    "OSError: [Errno 98] error while attempting to bind on address ('127.0.0.1', "
    "8000): address already in use": "reference/errors",
    "OSError: [WinError 10048] Only one usage of each socket address (protocol/network "
    "address/port) is normally permitted": "reference/errors",
    "ConnectionAbortedError: [WinError 10053] An established connection was aborted by "
    "the software in your host machine": "reference/errors",
    "socket.gaierror: [Errno -2] Name or service not known": "reference/errors",
    "socket.gaierror: [Errno 11001] getaddrinfo failed": "reference/errors",
    "urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='localhost', port=8000):"
    " Max retries exceeded with url: / (Caused by NewConnectionError('Failed to "
    "establish a new connection: [Errno 111] Connection refused'))": "reference/errors",
    "websockets.exceptions.ConnectionClosedError: no close frame received or sent": (
        "reference/errors websockets/ping-and-close"
    ),
    "websockets.exceptions.ConnectionClosedError: sent 1011 (internal error) keepalive "
    "ping timeout; no close frame received": "websockets/ping-and-close",
    "websockets.exceptions.InvalidStatus: server rejected WebSocket connection: HTTP "
    "403": "reference/errors",
    "WebSocket connection to 'wss://example.org/ws' failed: Error during WebSocket "
    "handshake: Unexpected response code: 400": "websockets/browser",
    "connect() failed (111: Connection refused) while connecting to upstream, client: "
    "192.0.2.1, server: example.org": "websockets/proxies-and-scale",
    "upstream prematurely closed connection while reading response header from "
    "upstream": "websockets/proxies-and-scale",
    "TCP: request_sock_TCP: Possible SYN flooding on port 8000. Sending cookies.": (
        "listening/backlog"
    ),
    "curl: (7) Failed to connect to localhost port 8000 after 0 ms: Couldn't connect to"
    " server": "reference/tools",
    "curl: (28) Connection timed out after 10002 milliseconds": "reference/tools",
    # Korean
    "백로그": "reference/glossary",
    "임시 포트": "reference/glossary",
    "수락 큐": "reference/glossary",
    "반닫힘": "reference/glossary",
    "마스킹": "reference/glossary",
}
"""What is typed, and the pages of which one must be found."""


Open = Callable[..., Page]


@pytest.fixture
def visit(new_context: Callable[..., BrowserContext], site_url: str) -> Iterator[Open]:
    """Open pages of the site; what their console says of a fault fails the test."""
    told: list[str] = []

    def to(name: str = "", **options: Any) -> Page:
        page = new_context(**options).new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto(site_url + name)
        return page

    yield to
    assert not told


FIND = """async ([base, words, first]) => {
  globalThis.asked ??= (await import(base + "pagefind/pasted/pagefind.js"))
    .createInstance({});
  const found = (await globalThis.asked.search(words)).results.slice(0, first);
  return Promise.all(found.map(async (each) => (await each.data()).url));
}"""


def found(page: Page, top: str, words: str, first: int) -> list[str]:
    """Return the names of the first pages that the search finds."""
    urls = page.evaluate(FIND, [top, words, first])
    names = [url.removeprefix("/").removesuffix(".html") for url in urls]
    return [
        name + "index" if not name or name.endswith("/") else name for name in names
    ]


def test_the_right_page_is_among_the_first(visit: Open, site_url: str) -> None:
    page, missed = visit(), []
    for words, wanted in QUERIES.items():
        names = found(page, site_url, words, FIRST)
        if not set(wanted.split()) & set(names):
            missed.append(f"{words!r}: {wanted} is not among {names}")
    assert len(missed) <= (1 - ENOUGH) * len(QUERIES), "\n".join(missed)


def test_words_that_no_page_has_find_nothing(visit: Open, site_url: str) -> None:
    page = visit()
    for words in ("xyzzy plugh", "xyzzy = [plugh]", "://", "'"):
        assert found(page, site_url, words, 1000) == [], words


def test_the_dialog_takes_a_traceback(visit: Open) -> None:
    page = visit("ports/which-address.html")
    page.keyboard.press("/")
    page.wait_for_selector("pagefind-modal dialog[open] input:focus")
    page.keyboard.insert_text(
        "urllib3.exceptions.NewConnectionError: <HTTPConnection object at 0x7f12>: "
        "Failed to establish a new connection: [Errno 111] Connection refused"
    )
    page.locator("pagefind-modal a.pf-result-link[href*='/errors.html']").wait_for()


def test_what_repeats_the_chapters_is_not_found(visit: Open, site_url: str) -> None:
    page = visit()
    for words in ("not-connected-during-listen", "def test_", "OneLineParser", "claim"):
        names = found(page, site_url, words, 1000)
        outside = ("reference/claims/", "tests/", "programs/", "search", "404")
        assert not [name for name in names if name.startswith(outside)], words


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_slash_opens_the_dialog(visit: Open, site_url: str, scheme: str) -> None:
    page = visit("listening/backlog.html", color_scheme=scheme)
    page.keyboard.press("/")
    page.wait_for_selector("pagefind-modal dialog[open] input:focus")
    page.keyboard.type("the difference between send and sendall")
    wanted = "a.pf-result-link[href*='streams/bytes-not-messages']"
    link = page.locator(f"pagefind-modal {wanted}")
    link.wait_for()
    page.evaluate(Axe().axe_script)
    wrong = page.evaluate("axe.run('pagefind-modal').then(r => r.violations)")
    assert not [each["id"] for each in wrong if each["impact"] != "minor"]
    link.click()
    page.wait_for_url(f"{site_url}streams/bytes-not-messages.html*")


def test_words_typed_into_the_sidebar_go_to_the_dialog(visit: Open) -> None:
    page = visit("ports/which-address.html", viewport={"width": 1280, "height": 850})
    page.locator(".sidebar-search").click()
    page.keyboard.type("backlog")
    page.locator("pagefind-modal .pf-result-link").first.wait_for()
    field = page.locator("pagefind-modal input")
    assert field.input_value() == "backlog"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    page.wait_for_selector("pagefind-modal dialog:not([open])", state="attached")


def test_the_search_page_shows_what_its_address_asks_for(visit: Open) -> None:
    page = visit("search.html?q=backlog")
    title = "What is the backlog, and what happens when it is full?"
    page.locator(f"#search-results .pf-result-link:text-is('{title}')").wait_for()
    assert page.locator("#search-results .pf-result-link").first.inner_text() == title


def test_without_the_index_the_search_page_still_finds(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    context = new_context()
    context.route("**/pagefind/**", lambda route: route.abort())
    page = context.new_page()
    page.goto(f"{site_url}search.html?q=backlog")
    page.locator("#search-results a[href*='listening/backlog.html']").first.wait_for()


def test_a_folder_without_a_site_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no built site is here") as told:
        search.index(tmp_path)
    assert "make html" in str(told.value)
