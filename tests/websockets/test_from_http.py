"""The claims of "HTTP by hand, and the wish for push"."""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import socket
import ssl
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import through_nginx

from handbook.claims import cited, claim
from needing import needing
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Web = http.client.HTTPConnection

needs_nginx = needing("Linux", "nginx")
linux = pytest.mark.skipif(sys.platform != "linux", reason="rests on Linux: TCP_INFO")

HOST = {"Host": "localhost"}
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Shop(BaseHTTPRequestHandler):
    """A small server for these tests: it keeps what is put and tells who asked."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    wbufsize = -1
    control = ""
    stock: ClassVar[dict[str, bytes]]
    ports: ClassVar[list[int]]

    def reply(
        self, status: int, content: bytes = b"", kind: str = "text/plain"
    ) -> None:
        self.ports.append(self.client_address[1])
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.control:
            self.send_header("Cache-Control", self.control)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        if self.path == "/cookie":
            self.reply(200, (self.headers["Cookie"] or "who are you?").encode())
        elif self.path == "/latin":
            self.reply(200, self.headers["X-Name"].encode("latin-1"))
        elif self.path in self.stock:
            self.reply(200, self.stock[self.path], "application/octet-stream")
        else:
            self.reply(404)

    def do_POST(self) -> None:
        self.reply(200, self.rfile.read(int(self.headers["Content-Length"])))

    def do_PUT(self) -> None:
        self.stock[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(201)

    def do_DELETE(self) -> None:
        del self.stock[self.path]
        self.reply(200)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def shop(**attributes: object) -> Iterator[tuple[type[Shop], tuple[str, int]]]:
    """Run a shop of its own; yield its handler and its address."""
    kind = type("OwnShop", (Shop,), {"stock": {"/": b"hi"}, "ports": [], **attributes})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield kind, ("127.0.0.1", server.server_port)
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def address(sockets: ExitStack) -> tuple[str, int]:
    return sockets.enter_context(shop())[1]


@pytest.fixture
def web(sockets: ExitStack, address: tuple[str, int]) -> Web:
    """A client of a shop."""
    return sockets.enter_context(
        closing(http.client.HTTPConnection(*address, timeout=PATIENCE))
    )


def raw(
    address: tuple[str, int], request: bytes, *, patience: float = PATIENCE
) -> bytes:
    """Send bytes and read until the server closes, or is silent for so many seconds.

    The first words that answer a request may come later.
    """
    with socket.create_connection(address, timeout=PATIENCE) as client:
        client.sendall(request)
        data = client.recv(65536) if request else b""
        client.settimeout(patience)
        while True:
            try:
                piece = client.recv(65536)
            except TimeoutError:
                return data + b"(still open)"
            except ConnectionResetError:
                return data + b"(reset)"
            if not piece:
                return data
            data += piece


@contextmanager
def by_hand(
    listener: socket.socket, serve: Callable[[socket.socket], None]
) -> Iterator[socket.socket]:
    """Let `serve` talk to one client in a thread; yield the client."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            serve(connection)

    with (
        ThreadPoolExecutor(1) as pool,
        socket.create_connection(listener.getsockname(), timeout=PATIENCE) as client,
    ):
        served = pool.submit(accept)
        yield client
        client.close()
        served.result(PATIENCE)


@contextmanager
def nginx(server: str, before: str = "") -> Iterator[tuple[str, int]]:
    """Run nginx with one server; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = door.getsockname()
        listen = f"{address[0]}:{address[1]}"
        text = f"{before} server {{ listen {listen} {server} }}"
        with through_nginx.nginx(door, text):
            yield address


def head(sock: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, data
        data += piece
    return data


# What HTTP is


@claim("http-is-the-web-protocol", "RFC 9110 section 1.1", "RFC 9110 section 3.4")
def test_a_request_for_a_resource_gets_its_answer(web: Web) -> None:
    """HTTP is the protocol by which a client asks a server for a resource."""
    web.request("GET", "/", headers=HOST)
    answer = web.getresponse()
    assert (answer.status, answer.read()) == (200, b"hi")


@claim("http-is-request-response", "RFC 9110 section 3.3", "RFC 9110 section 3.4")
def test_a_server_that_is_not_asked_says_nothing(address: tuple[str, int]) -> None:
    """An HTTP server answers requests: as long as nobody asks, it sends nothing."""
    assert raw(address, b"", patience=0.3) == b"(still open)"
    assert raw(address, GET, patience=0.3).startswith(b"HTTP/1.1 200 ")


def refuses_words_unasked(listener: socket.socket, words: bytes) -> bool:
    """Say whether an HTTP client takes these words as no answer to its request."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(words)
        while connection.recv(65536):
            pass

    with by_hand(listener, serve) as client:
        web = http.client.HTTPConnection("localhost")
        web.sock = client
        web.request("GET", "/", headers=HOST)
        try:
            web.getresponse().close()
        except http.client.BadStatusLine:
            return True
        finally:
            web.close()
    return False


@claim(
    "http-only-client-requests",
    "RFC 9110 section 3.4",
    "RFC 9112 section 9.2",
    "RFC 9113 section 8.4",
)
def test_what_a_server_says_unasked_is_an_error(listener: socket.socket) -> None:
    """In HTTP only the client makes requests; what comes unasked is no valid response.

    Python's client takes it for the answer to its next request, or cannot read it.
    """
    assert refuses_words_unasked(listener, b"news!\r\n")
    # It is taken for the answer if it looks like one.
    assert not refuses_words_unasked(listener, b"HTTP/1.1 204 No Content\r\n\r\n")


@claim("a-length-in-characters-is-too-short", "RFC 9112 section 6.3")
def test_what_a_length_leaves_over_spoils_the_next_answer(
    listener: socket.socket,
) -> None:
    """A Content-Length that counts characters ends the content too early, unnoticed.

    What is left over stands where the connection's next answer should begin.
    """
    # So much that Python's client has not all of it in its buffer, which it drops.
    text = "빵이 다 됐어요\n" * 50_000

    def serve(connection: socket.socket) -> None:
        with suppress(ConnectionError):  # the client leaves with much unread
            for _ in range(2):
                head(connection)
                ok = f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n"
                connection.sendall(ok.encode() + text.encode())
            while connection.recv(65536):
                pass

    with by_hand(listener, serve) as client:
        web = http.client.HTTPConnection("localhost")
        web.sock = client
        web.request("GET", "/", headers=HOST)
        assert web.getresponse().read() == text.encode()[: len(text)]
        web.request("GET", "/", headers=HOST)
        with pytest.raises(http.client.BadStatusLine):
            web.getresponse()
        web.close()


def tls_context(authority: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@claim(
    "plain-http-at-a-tls-port",
    "RFC 8446 section 5.1",
    "nginx docs: ngx_http_ssl_module, Error Processing",
)
def test_a_server_that_expects_tls_does_not_greet(listener: socket.socket) -> None:
    """A server that expects TLS says nothing first, and closes after plain HTTP.

    The client meets a reset or RemoteDisconnected; nginx answers 400, in plain HTTP.
    """
    context = tls_context(pytest.importorskip("trustme").CA())

    def serve(connection: socket.socket) -> None:
        with pytest.raises(ssl.SSLError, match="HTTP_REQUEST"):
            context.wrap_socket(connection, server_side=True)

    with by_hand(listener, serve) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(PATIENCE)
        web = http.client.HTTPConnection("localhost")
        web.sock = client
        web.request("GET", "/", headers=HOST)
        with pytest.raises(ConnectionResetError):  # RemoteDisconnected is one, too
            web.getresponse()
        web.close()


@needs_nginx
def test_nginx_tells_who_speaks_plain_http_to_its_tls(tmp_path: Path) -> None:
    authority = pytest.importorskip("trustme").CA()
    pair = tmp_path / "pair.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pair)
    lines = f"ssl; ssl_certificate {pair}; ssl_certificate_key {pair};"
    with nginx(lines) as where:
        got = raw(where, GET)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"plain HTTP request was sent to HTTPS port" in got


@claim("http-response-per-request", "RFC 9110 section 3.4", "RFC 9110 section 15.2")
def test_three_requests_at_once_get_three_answers(address: tuple[str, int]) -> None:
    """Each request gets one final response, in HTTP/1.1 in the order of the requests.

    Responses numbered 1xx may come before it.
    """
    paths = (b"/", b"/nothing", b"/")
    requests = [GET.replace(b"/ ", path + b" ", 1) for path in paths]
    last = requests[-1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    got = raw(address, b"".join(requests[:-1]) + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200", b"404", b"200"]


@claim("http-is-stateless", "RFC 9110 section 3.3")
def test_the_second_request_is_a_strangers(web: Web) -> None:
    """HTTP is stateless: each request is understood alone, also on one connection.

    A cookie, sent again each time, adds what HTTP does not remember.
    """
    said = []
    for headers in ({"Cookie": "name=Ada"}, {}, {"Cookie": "name=Ada"}):
        web.request("GET", "/cookie", headers=HOST | headers)
        said.append(web.getresponse().read())
    assert said == [b"name=Ada", b"who are you?", b"name=Ada"]


cited(
    "http-suits-on-demand-data",
    "HTTP suits data that is fetched when needed: such requests can be cached, "
    "repeated and passed on by what stands between.",
    "RFC 9110 section 9.2",
    "RFC 9111 section 2",
)

cited(
    "http-con-not-for-iot",
    "Small devices do speak HTTP. Where power or bandwidth is scarce, CoAP or MQTT "
    "cost less.",
    "RFC 9110 section 3.5",
    "RFC 7252 section 1",
    often_said="HTTP is not for the devices of the internet of things.",
)


cited(
    "event-streams-take-up-connections",
    "Over HTTP/1.1 a browser opens few connections to one server, often six, and each "
    "stream of events takes one of them, in all tabs together.",
    "WHATWG HTML section 9.2.7",
    "MDN docs: EventSource",
)


# Which way, and how long


@claim(
    "http-is-half-duplex",
    "RFC 9110 section 3.6",
    "RFC 9113 section 8.1",
    often_said="HTTP is half-duplex: only one side sends at a time.",
)
def test_the_answer_may_begin_before_the_request_has_ended(
    listener: socket.socket,
) -> None:
    """HTTP is not half-duplex: a server may answer while the request still comes.

    The TCP connection below it carries both directions at once.
    """
    chunked = b"Host: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"

    def serve(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (word := connection.recv(100)) != b"0\r\n\r\n":
            connection.sendall(word.upper())

    with by_hand(listener, serve) as client:
        client.sendall(b"POST / HTTP/1.1\r\n" + chunked)
        head(client)
        for word in (b"3\r\none\r\n", b"3\r\ntwo\r\n"):
            client.sendall(word)  # a piece of the request
            assert client.recv(100) == word.upper()  # and a piece of the answer to it
        client.sendall(b"0\r\n\r\n")


def takes_both_ways(web: Web, content: bytes) -> bool:
    """Say whether as much content went up as came down."""
    web.request("POST", "/", content, HOST)
    return web.getresponse().read() == content


@claim(
    "http-is-unidirectional",
    "RFC 9110 section 3.4",
    often_said="HTTP is unidirectional.",
)
def test_content_goes_up_as_well_as_down(web: Web) -> None:
    """HTTP carries data both ways, up in the request and down in the response.

    Only who begins is fixed: the client.
    """
    assert takes_both_ways(web, b"an order" * 100)


@claim("http-carries-many-media", "RFC 9110 section 8.3", "RFC 9110 section 6.4")
def test_any_bytes_come_through(web: Web) -> None:
    """HTTP carries content of any kind; the Content-Type field says which."""
    assert takes_both_ways(web, bytes(range(256)))
    web.request("GET", "/", headers=HOST)
    with web.getresponse() as answer:
        assert answer.headers["Content-Type"] == "application/octet-stream"


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


def events_in_one_answer(listener: socket.socket) -> tuple[list[bytes], list[float]]:
    """Ask once; return the events that came, and by how many seconds each was late."""
    written: list[float] = []
    taken = threading.Semaphore(0)

    def serve(connection: socket.socket) -> None:
        head(connection)
        connection.sendall(STREAM)
        for number in range(3):
            assert taken.acquire(timeout=PATIENCE)
            written.append(time.perf_counter())
            connection.sendall(b"data: %d\n\n" % number)

    with by_hand(listener, serve) as client:
        client.sendall(GET)
        head(client)
        events, late = [], []
        for _ in range(3):
            taken.release()
            events.append(client.recv(100))
            late.append(time.perf_counter() - written[-1])
        return events, late


@claim(
    "http-server-cannot-notify",
    "RFC 6202 section 2",
    "WHATWG HTML section 9.2",
    often_said="When something happens at the server, HTTP cannot tell the client.",
)
def test_one_request_gets_many_pieces_of_news(listener: socket.socket) -> None:
    """An HTTP server cannot begin, but its answer may come late, or go on for ever.

    Long polling uses the first, server-sent events the second.
    """
    assert events_in_one_answer(listener)[0] == [b"data: %d\n\n" % n for n in range(3)]


@claim(
    "http-cannot-be-real-time",
    "RFC 6202 section 2",
    "RFC 6455 section 1.1",
    often_said="HTTP cannot do real-time communication.",
)
def test_an_event_in_an_open_answer_is_there_at_once(listener: socket.socket) -> None:
    """News in an answer that is still open reaches the client within milliseconds.

    What HTTP lacks is the other direction: each message of the client is a request.
    """
    assert min(events_in_one_answer(listener)[1]) < 0.05


@claim(
    "http-use-old-data",
    "RFC 9110 section 3.2",
    "RFC 9110 section 9.3.4",
    often_said="HTTP is for fetching old data.",
)
def test_what_is_put_is_what_is_got(web: Web) -> None:
    """HTTP fetches what is there now, and changes it: a GET gives what was PUT."""
    for value in (b"old", b"new"):
        web.request("PUT", "/bread", value, HOST)
        web.getresponse().read()
    web.request("GET", "/bread", headers=HOST)
    assert web.getresponse().read() == b"new"


@claim("http-use-rest", "RFC 9110 section 9", "RFC 9205 section 4.5")
def test_methods_read_write_and_delete(web: Web) -> None:
    """A REST interface uses HTTP as it is: methods to read, write and delete."""
    answers = []
    for method, content in (
        ("PUT", b"rye"),
        ("GET", None),
        ("DELETE", None),
        ("GET", None),
    ):
        web.request(method, "/bread", content, HOST)
        answers.append(web.getresponse())
        answers[-1].read()
    assert [answer.status for answer in answers] == [201, 200, 200, 404]


# Connections


def ports_of(count: int, option: str = "", **attributes: object) -> list[int]:
    """Return the client's port in each of so many requests of one client."""
    with shop(**attributes) as (kind, where):
        with closing(http.client.HTTPConnection(*where, timeout=PATIENCE)) as web:
            for _ in range(count):
                headers = HOST | ({"Connection": option} if option else {})
                web.request("GET", "/", headers=headers)
                web.getresponse().read()
        return kind.ports


@claim(
    "http-new-connection-per-request",
    "RFC 9112 section 9.3",
    often_said="Each HTTP request opens a new connection.",
)
def test_three_requests_use_one_connection() -> None:
    """HTTP/1.1 uses one connection for many requests, unless a side says otherwise."""
    assert len(set(ports_of(3))) == 1
    assert len(set(ports_of(3, protocol_version="HTTP/1.0"))) == 3


@claim(
    "http-con-many-connections",
    "RFC 9112 section 9.4",
    "RFC 9113 section 5",
    often_said="HTTP needs many connections.",
)
def test_one_connection_is_enough() -> None:
    """One connection is enough for HTTP.

    Browsers open more, so that a slow answer holds up no other; HTTP/2 needs only one.
    """
    assert len(ports_of(20)) == 20
    assert len(set(ports_of(20))) == 1


@claim(
    "http-closes-after-response",
    "RFC 9112 section 9.3",
    "RFC 9112 section 9.6",
    "Python docs: http.server, BaseHTTPRequestHandler.protocol_version",
    often_said="After the answer the HTTP server closes the connection.",
)
def test_the_connection_stays_open_after_the_answer(address: tuple[str, int]) -> None:
    """After an answer an HTTP/1.1 connection stays open for the next request.

    It is closed after `Connection: close`, and by default in HTTP/1.0. That is what
    Python's http.server speaks unless told otherwise.
    """
    assert raw(address, GET, patience=0.3).endswith(b"(still open)")
    closing_get = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert raw(address, closing_get).endswith(b"hi")
    assert raw(address, GET.replace(b"1.1", b"1.0")).endswith(b"hi")
    assert BaseHTTPRequestHandler.protocol_version == "HTTP/1.0"


def closes_after_the_answer(address: tuple[str, int], patience: float) -> None:
    assert not raw(address, GET, patience=patience).endswith(b"(still open)")


def test_a_check_that_http_closes_goes_red(address: tuple[str, int]) -> None:
    with pytest.raises(AssertionError):
        closes_after_the_answer(address, 0.3)
    with shop(protocol_version="HTTP/1.0") as (_, old):
        closes_after_the_answer(old, PATIENCE)


@claim(
    "http-keep-alive-is-an-option",
    "RFC 9112 section 9.3",
    "RFC 9112 appendix C.2.2",
    often_said="Without the Keep-Alive option HTTP keeps no connection.",
)
def test_keep_alive_is_an_option_of_the_old_version(address: tuple[str, int]) -> None:
    """HTTP/1.1 keeps connections unasked; HTTP/1.0 needs `Connection: keep-alive`.

    How long an idle one stays is up to each side.
    """
    old = GET.replace(b"1.1", b"1.0")
    option = b"\r\nConnection: keep-alive\r\n\r\n"
    assert not raw(address, old).endswith(b"(still open)")
    asked = old.replace(b"\r\n\r\n", option)
    assert raw(address, asked, patience=0.3).endswith(b"(still open)")
    assert raw(address, GET, patience=0.3).endswith(b"(still open)")


@claim(
    "http-con-client-never-closes",
    "RFC 9112 section 9.5",
    "RFC 9112 section 9.6",
    often_said="An HTTP client never closes the connection.",
)
def test_the_client_closes_when_it_was_told_so() -> None:
    """Either side may close an HTTP connection, at any time.

    Python's client closes as soon as it has an answer that no other can follow.
    """
    with (
        shop(protocol_version="HTTP/1.0") as (_, where),
        closing(http.client.HTTPConnection(*where, timeout=PATIENCE)) as web,
    ):
        web.request("GET", "/", headers=HOST)
        assert web.sock is not None
        web.getresponse().read()
        assert web.sock is None


# What it costs


def packets(sock: socket.socket) -> int:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
    out, came = struct.unpack_from("=II", info, 136)
    return int(out) + int(came)


def echo_http(connection: socket.socket) -> None:
    """Echo the content of requests, until there are no more."""
    stream = connection.makefile("rb")
    while request := stream.readline():
        assert request.startswith(b"POST")
        while stream.readline() != b"\r\n":
            pass
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n"
        connection.sendall(ok + stream.read(16))
    stream.close()


def echo_frames(connection: socket.socket) -> None:
    """Echo short frames without their mask, until there are no more."""
    while frame := connection.recv(100):
        mask, content = frame[2:6], frame[6:]
        clear = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
        connection.sendall(bytes([0x82, len(clear)]) + clear)


def cost(
    listener: socket.socket,
    serve: Callable[[socket.socket], None],
    question: bytes,
    times: int,
) -> tuple[float, int]:
    """Return packets and bytes of an exchange, on average of so many."""
    with by_hand(listener, serve) as client:
        size = 0
        for _ in range(times):
            client.sendall(question)
            size = len(question) + len(client.recv(1000))
        return packets(client) / times, size


POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16\r\n\r\n" + bytes(16)
FRAME = b"\x82\x90mask" + bytes(16)


@linux
@claim(
    "socket-costs-more-than-http",
    "RFC 9112 section 9.4",
    "tcp(7) TCP_INFO",
    often_said="A kept socket costs more than HTTP.",
)
def test_dialling_again_costs_more_than_a_connection_that_is_kept(
    listener: socket.socket,
) -> None:
    """HTTP uses a socket, too: to dial for each exchange costs more than to stay.

    An idle connection costs a descriptor and some kernel memory at each end.
    """
    kept, _ = cost(listener, echo_http, POST, 50)
    anew = [cost(listener, echo_http, POST, 1)[0] for _ in range(5)]
    assert min(anew) > kept


@linux
@claim(
    "socket-better-for-real-time",
    "RFC 9112 section 9.3",
    "RFC 6455 section 1.1",
    often_said="For real time you need a socket instead of HTTP.",
)
def test_small_messages_both_ways_are_cheaper_in_frames(
    listener: socket.socket,
) -> None:
    """For small messages in both directions WebSocket sends fewer bytes than HTTP.

    Both keep one connection open, and either may be fast enough.
    """
    web, web_bytes = cost(listener, echo_http, POST, 50)
    frames, frame_bytes = cost(listener, echo_frames, FRAME, 50)
    assert frame_bytes == 6 + 16 + 2 + 16
    assert web_bytes > 3 * frame_bytes
    assert abs(web - frames) < 2, "the packets are about as many"


@claim(
    "http-pro-no-handshake",
    "RFC 9112 section 9.3",
    "RFC 9293 section 3.5",
    often_said="HTTP has no handshake after the first, so it has less delay.",
)
def test_only_a_connection_that_is_kept_saves_the_handshake() -> None:
    """A further request needs no new handshake only if the connection was kept."""
    assert len(set(ports_of(3))) == 1
    assert len(set(ports_of(3, "close"))) == 3


@claim(
    "socket-comm-two-way-via-port",
    "RFC 9293 section 3.1",
    "RFC 9293 section 3.4.1",
    often_said="Client and server communicate both ways through one port.",
)
def test_a_connection_has_two_ports(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """A connection has two ports: the server's and the client's own."""
    client, server = ends
    assert client.getsockname()[1] != client.getpeername()[1]
    assert (client.getsockname(), client.getpeername()) == (
        server.getpeername(),
        server.getsockname(),
    )


# On the wire


@claim(
    "http-runs-on-tcp",
    "RFC 9110 section 3.3",
    "RFC 9114 section 1.2",
    often_said="HTTP runs on TCP.",
)
@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="Python has no AF_UNIX here")
def test_http_needs_a_stream_and_not_tcp(web: Web) -> None:
    """HTTP/1.1 runs on any reliable stream: mostly TCP, here a UNIX socket, too.

    HTTP/3 runs on QUIC, over UDP.
    """
    web.connect()
    assert web.sock.type == socket.SOCK_STREAM
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(PATIENCE)
        there.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        unix = http.client.HTTPConnection("localhost")
        unix.sock = here
        unix.request("GET", "/")
        assert unix.getresponse().read() == b"hi"


@claim(
    "http-is-ascii",
    "RFC 9112 section 2.2",
    "RFC 9110 section 5.5",
    "RFC 9113 section 4.3",
    often_said="HTTP messages are ASCII.",
)
def test_the_fields_are_ascii_and_the_content_is_not(web: Web) -> None:
    """The head of an HTTP/1.1 message is text in ASCII; its content is any bytes.

    A field may even hold a byte above 127; Python reads it as Latin-1. HTTP/2 is
    binary.
    """
    assert takes_both_ways(web, b"\x00\xff\xfe")
    web.putrequest("GET", "/latin")
    web.putheader("X-Name", "Zoë".encode("latin-1"))
    web.endheaders()
    assert web.getresponse().read() == "Zoë".encode("latin-1")


@claim(
    "http-request-parts",
    "RFC 9112 section 3.2",
    "RFC 9113 section 8.3.1",
    "RFC 9110 section 9.3.1",
    often_said="A request has a version, a method, headers, a host and a body.",
)
def test_a_get_has_no_content(listener: socket.socket) -> None:
    """An HTTP/1.1 request needs a method, a target, a version and a Host field.

    Content is optional. In HTTP/2 no version is in it, and the host is `:authority`.
    """
    seen = []

    def serve(connection: socket.socket) -> None:
        seen.append(head(connection))
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with by_hand(listener, serve) as client:
        web = http.client.HTTPConnection("localhost")
        web.sock = client
        web.request("GET", "/")
        web.getresponse().read()
    assert seen[0].startswith(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    assert b"Content-Length" not in seen[0]


@claim(
    "http-headers-200b-to-2kb",
    "RFC 9110 section 5.4",
    "RFC 6585 section 5",
    "nginx docs: large_client_header_buffers",
    often_said="HTTP headers are 200 bytes to 2 KB.",
)
def test_heads_may_be_tiny_or_huge(address: tuple[str, int]) -> None:
    """HTTP sets no limit to a head: 18 bytes are a request, and so are 60,000.

    Each server has limits of its own. Above them Python's answers 431, and 414 to a
    long first line; nginx answers 400 and 414.
    """
    tiny = b"GET / HTTP/1.0\r\n\r\n"
    assert len(tiny) == 18
    assert raw(address, tiny).startswith(b"HTTP/1.1 200 ")

    def padded(size: int) -> bytes:
        return raw(address, tiny[:-2] + b"X: " + b"x" * size + b"\r\n\r\n")[:13]

    assert padded(60_000) == b"HTTP/1.1 200 "
    assert padded(70_000) == b"HTTP/1.1 431 "
    many = b"".join(b"X-%d: x\r\n" % number for number in range(101))
    assert raw(address, tiny[:-2] + many + b"\r\n").startswith(b"HTTP/1.1 431 ")
    long_line = tiny.replace(b"/ ", b"/" + b"x" * 70_000 + b" ", 1)
    assert raw(address, long_line)[:50].split()[1:2] == [b"414"]


@needs_nginx
def test_nginx_answers_400_and_414_to_long_heads() -> None:
    with nginx("; return 200;") as where:
        assert raw(where, GET, patience=0.3).startswith(b"HTTP/1.1 200 ")
        field = b"\r\nX: " + b"x" * 9_000 + b"\r\n\r\n"
        assert raw(where, GET[:-4] + field).startswith(b"HTTP/1.1 400 ")
        long_line = GET.replace(b"/ ", b"/" + b"x" * 9_000 + b" ", 1)
        assert raw(where, long_line).startswith(b"HTTP/1.1 414 ")


@claim(
    "http-pro-name-addressing",
    "RFC 9110 section 4.2.1",
    "RFC 1034 section 2.2",
    often_said="HTTP gives names to IP addresses.",
)
def test_a_name_is_found_without_http() -> None:
    """The resolver turns names into addresses, before a byte of HTTP is sent."""
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert {entry[4][0] for entry in found} <= {"127.0.0.1", "::1"}
    assert found


@claim(
    "http-pro-plugins",
    "RFC 9110 section 3.2",
    "RFC 9110 section 8.3",
    often_said="HTTP downloads plug-ins to show data.",
)
def test_a_download_is_bytes_like_all_others(web: Web) -> None:
    """HTTP carries a program as it carries all bytes; the client runs it, or not."""
    program = bytes(range(256)) * 40
    web.request("PUT", "/plugin", program, HOST)
    web.getresponse().read()
    web.request("GET", "/plugin", headers=HOST)
    got = web.getresponse().read()
    assert hashlib.sha256(got).digest() == hashlib.sha256(program).digest()


@claim(
    "http-pro-all-pages-cached",
    "RFC 9111 section 3",
    "RFC 9111 section 4.2",
    often_said="All HTTP pages are kept in a cache.",
)
@needs_nginx
@pytest.mark.parametrize(
    ("method", "control", "states"),
    [
        ("GET", "max-age=60", ["MISS", "HIT"]),
        ("GET", "no-store", ["MISS", "MISS"]),
        ("GET", "max-age=60, no-store", ["MISS", "MISS"]),
        ("GET", "private, max-age=60", ["MISS", "MISS"]),
        ("POST", "max-age=60", [None, None]),
    ],
)
def test_a_cache_keeps_what_it_may(
    tmp_path: Path, method: str, control: str, states: list[str | None]
) -> None:
    """A cache may keep an answer only if its method, status and fields allow it."""
    with shop(control=control) as (kind, where):
        lines = (
            f"; location / {{ proxy_pass http://{where[0]}:{where[1]};"
            " proxy_cache kept; add_header X-Cache $upstream_cache_status always; }"
        )
        before = f"proxy_cache_path {tmp_path} keys_zone=kept:1m;"
        found = []
        with nginx(lines, before) as proxy:
            for _ in range(2):
                web = http.client.HTTPConnection(*proxy, timeout=PATIENCE)
                with closing(web):
                    web.request(method, "/", b"hi" if method == "POST" else None)
                    answer = web.getresponse()
                    assert answer.read() == b"hi"
                    found.append(answer.headers["X-Cache"])
        assert found == states
        assert len(kind.ports) == (1 if "HIT" in states else 2)


# Who else may read it


@contextmanager
def relay(target: tuple[str, int], seen: list[bytes]) -> Iterator[tuple[str, int]]:
    """Pass one connection on, and keep what goes by."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # one of the two has left
            while data := source.recv(65536):
                seen.append(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def run(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, socket.create_connection(target, timeout=PATIENCE) as onward:
            connection.settimeout(PATIENCE)
            up = pool.submit(pump, connection, onward)
            pump(onward, connection)
            up.result(PATIENCE)

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(2) as pool,
    ):
        listener.settimeout(PATIENCE)
        passed = pool.submit(run, listener)
        yield listener.getsockname()
        passed.result(PATIENCE)


def relay_sees(*, tls: bool) -> bytes:
    """Fetch a secret through a relay; return all that the relay has seen."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    here, there = tls_context(authority), ssl.create_default_context()
    authority.configure_trust(there)
    seen: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE)
        with (
            here.wrap_socket(connection, server_side=True) if tls else connection as end
        ):
            head(end)
            end.sendall(b"HTTP/1.0 200 OK\r\n\r\nthe reply")

    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.settimeout(PATIENCE)
        served = pool.submit(serve)
        with relay(listener.getsockname(), seen) as address:
            plain = socket.create_connection(address, timeout=PATIENCE)
            client = (
                there.wrap_socket(plain, server_hostname="localhost") if tls else plain
            )
            with client:
                client.sendall(GET.replace(b"/ ", b"/?password=hunter2 "))
                said = b""
                while data := client.recv(100):
                    said += data
                assert said.endswith(b"the reply")
            served.result(PATIENCE)
    return b"".join(seen)


@claim(
    "http-con-integrity",
    "RFC 9112 section 11.4",
    "RFC 8446 section 1",
    often_said="That others can read HTTP is a problem of its integrity.",
)
def test_who_passes_http_on_can_read_it() -> None:
    """Who passes plain HTTP on can read and change it; with TLS, neither.

    Reading breaks the confidentiality of the data, changing them their integrity.
    """
    plain = relay_sees(tls=False)
    assert b"hunter2" in plain
    assert b"the reply" in plain
    secret = relay_sees(tls=True)
    assert b"hunter2" not in secret
    assert b"the reply" not in secret


@claim(
    "http-pro-less-interception",
    "RFC 9112 section 11.3",
    "RFC 8446 section 1",
    often_said="HTTP is hard to intercept, since each file has its own connection.",
)
def test_a_connection_of_its_own_hides_nothing() -> None:
    """A connection for each file hides nothing: whoever passes it on reads each."""
    assert [b"hunter2" in relay_sees(tls=False) for _ in range(2)] == [True, True]


# And WebSocket?


@claim(
    "two-api-types-https-or-websocket",
    "RFC 6455 section 1.7",
    "RFC 6455 section 3",
    "RFC 8441 section 1",
    often_said="A web API is either HTTPS or WebSocket.",
)
def test_one_port_answers_http_and_websocket(listener: socket.socket) -> None:
    """HTTPS and WebSocket are no opposites: a WebSocket begins as an HTTP request.

    One port can answer both, and wss runs inside the same TLS.
    """
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    def serve(connection: socket.socket) -> None:
        asked = head(connection)
        if b"Upgrade: websocket" not in asked:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            asked = head(connection)
        key = asked.partition(b"Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(
            hashlib.sha1(key + guid, usedforsecurity=False).digest()
        )
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    with by_hand(listener, serve) as client:
        client.sendall(GET)
        assert head(client).startswith(b"HTTP/1.1 200 ")
        key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + key
        client.sendall(GET[:-2] + b"Sec-WebSocket-Version: 13\r\n" + upgrade)
        answer = head(client)
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455 section 1.3
