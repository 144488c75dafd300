"""The servers and clients of the core: with strangers, and with hostile peers.

The programs run as processes, with every warning on. The strangers are the
websockets library, a real Chromium, and Node.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import rfc6455
import trustme
import ws_aio_client
import ws_client
from websockets.asyncio.client import connect as aio_connect
from websockets.asyncio.server import serve as aio_serve
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import connect
from websockets.sync.server import serve
from websockets.typing import Subprotocol

import processes
from handbook.claims import claim
from handbook.needs import reason
from needing import needing, require
from patience import BRIEF, PATIENCE
from processes import WITHOUT_A_THREAD, Running, command, receive, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext

SERVERS = ["websockets/ws_server.py", "websockets/ws_aio_server.py"]
CLIENTS = ["websockets/ws_client.py", "websockets/ws_aio_client.py"]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
REQUEST = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
).encode()
MESSAGES: list[str | bytes] = [
    "",
    "Hello",
    "한국어 🙂",
    b"",
    bytes(range(256)),
    "x" * 70_000,
]


@pytest.fixture(params=SERVERS, ids=["threads", "asyncio"])
def start(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Start the server of either kind, with arguments."""

    def running(*arguments: str) -> contextlib.AbstractContextManager[Running]:
        return processes.running(request.param, *arguments)

    return running


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    key = b"\x0a\x0b\x0c\x0d"
    header = rfc6455.Header(rfc6455.Opcode(opcode), len(payload), fin, key=key)
    return header.encode() + rfc6455.apply_mask(payload, key)


def handshake(server: Running) -> socket.socket:
    """Open a raw connection whose handshake is done."""
    sock = server.connect()
    sock.sendall(REQUEST)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive(sock, 1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return sock


def rest(sock: socket.socket) -> bytes:
    """Receive until the other side has closed the stream."""
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    return data


def serves(server: Running) -> None:
    """Fail unless the server still talks with a new client."""
    with connect(f"ws://127.0.0.1:{server.port}/") as client:
        client.send("still there?")
        assert client.recv(timeout=PATIENCE) == "still there?"


# With strangers


@claim(
    "core-talks-with-the-library",
    "RFC 6455 sections 5.4, 5.5, 5.6 and 7.1",
    often_said="To speak WebSocket a program needs a library.",
)
def test_the_library_talks_with_our_servers(start: Callable[..., Any]) -> None:
    """The core's servers talk with the websockets library.

    Text, bytes, fragments, pings and the close arrive, up to a megabyte.
    """
    with start() as server:
        url = f"ws://127.0.0.1:{server.port}/chat"
        with connect(url, max_size=None) as client:
            for message in [*MESSAGES, b"\0" * 1_048_576]:
                client.send(message)
                assert (client.recv(timeout=PATIENCE) == message) is True
            client.send(["Hel", "lo"])  # in fragments
            assert client.recv(timeout=PATIENCE) == "Hello"
            assert client.ping().wait(PATIENCE)
        assert (client.close_code, client.protocol.close_rcvd_then_sent) == (
            1000,
            False,
        )
        server.wait_for("closed with 1000")


def test_the_library_s_asyncio_client_talks_with_our_servers(
    start: Callable[..., Any], run_async: Callable[..., Any]
) -> None:
    async def talk(port: int) -> None:
        async with aio_connect(f"ws://127.0.0.1:{port}/") as client:
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            await asyncio.wait_for(await client.ping(), PATIENCE)
            await client.close(4321, "done")
            assert client.close_code == 4321

    with start() as server:
        run_async(talk(server.port))
        server.wait_for("closed with 4321")


def echo(websocket: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        for message in websocket:
            websocket.ping()
            websocket.send(message)


@pytest.fixture
def library_port() -> Iterator[int]:
    """Run the library's echo server in threads."""
    with serve(echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(PATIENCE)


def test_our_clients_talk_with_the_library(library_port: int) -> None:
    for program in CLIENTS:
        port = str(library_port)
        status, out, err = run([*command(program), "--port", port, "hello", "한 🙂"])
        assert (status, err) == (0, "")
        assert out == "'hello' -> 'hello'\n'한 🙂' -> '한 🙂'\n"


def test_lines_of_input_are_sent_as_they_are(library_port: int) -> None:
    argv = [*command(CLIENTS[0]), "--port", str(library_port)]
    status, out, err = run(argv, stdin="bread \nX\n\n한".encode())
    assert (status, err) == (0, "")
    assert out == "'bread ' -> 'bread '\n'X' -> 'X'\n'' -> ''\n'한' -> '한'\n"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", pytest.param("::1", marks=needing("IPv6")), "localhost"],
)
@pytest.mark.parametrize("pair", range(2), ids=["threads", "asyncio"])
def test_each_pair_talks_over_each_address(pair: int, host: str) -> None:
    with processes.running(SERVERS[pair], "--host", host) as server:
        words = ["--host", host, "--port", str(server.port), "hello"]
        done = run([*command(CLIENTS[pair]), *words])
        assert done == (0, "'hello' -> 'hello'\n", "")


def test_our_client_classes_talk_with_the_library(
    library_port: int, run_async: Callable[..., Any]
) -> None:
    url = f"ws://127.0.0.1:{library_port}/"
    with ws_client.WebSocket(url) as client:
        for message in MESSAGES:
            client.send(message)
            assert client.recv() == message

    async def talk() -> None:
        async with await ws_aio_client.WebSocket.connect(url) as client:
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message

    run_async(talk())


def test_our_clients_know_what_was_agreed_and_how_it_ended(
    run_async: Callable[..., Any],
) -> None:
    async def answer(websocket: Any) -> None:
        async for message in websocket:
            await websocket.send(message)
            if message == "go":
                await websocket.close(4000, "gone")

    async def talk() -> None:
        async with aio_serve(
            answer, "127.0.0.1", 0, subprotocols=[Subprotocol("b")]
        ) as server:
            port = server.sockets[0].getsockname()[1]
            url = f"ws://127.0.0.1:{port}/"
            client = await ws_aio_client.WebSocket.connect(url, subprotocols=["a", "b"])
            async with client:
                assert client.subprotocol == "b"
                await client.send("go")
                assert await client.recv() == "go"
                with pytest.raises(ws_aio_client.ClosedError) as closed:
                    await client.recv()
                assert closed.value.event == rfc6455.Closed(4000, "gone", 4000)
                with pytest.raises(ws_aio_client.ClosedError, match=r"closed before$"):
                    await client.recv()
            await asyncio.to_thread(in_a_thread, url)

    def in_a_thread(url: str) -> None:
        with ws_client.WebSocket(url, subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "b"
            client.send("go")
            assert client.recv() == "go"
            with pytest.raises(ws_client.ClosedError) as closed:
                client.recv()
            assert closed.value.event == rfc6455.Closed(4000, "gone", 4000)
            with pytest.raises(ws_client.ClosedError, match=r"closed before$"):
                client.recv()

    run_async(talk())


@claim(
    "core-talks-with-chromium",
    "RFC 6455 sections 5.6 and 7.1",
    "WHATWG WebSockets, The WebSocket interface",
)
@pytest.mark.browser
def test_chromium_talks_with_our_servers(
    start: Callable[..., Any], new_context: Callable[..., BrowserContext]
) -> None:
    """The core's servers talk with Chromium, text and bytes, and close in order."""
    with start() as server:
        page = new_context().new_page()
        told = page.evaluate(
            """port => new Promise((resolve, reject) => {
              const heard = [], socket = new WebSocket(`ws://127.0.0.1:${port}/`);
              const long = "x".repeat(70000);
              socket.binaryType = "arraybuffer";
              socket.onopen = () => {
                socket.send("Hello"); socket.send(new Uint8Array([1, 2, 3]));
                socket.send(long);
              };
              socket.onmessage = ({data}) => {
                heard.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
                if (heard.length === 3) socket.close(4001, "enough");
              };
              socket.onclose = event => resolve(
                [heard[0], heard[1], heard[2] === long, event.code, event.wasClean]);
              setTimeout(() => reject(new Error("too slow")), 9000);
            })""",
            server.port,
        )
        assert told == ["Hello", [1, 2, 3], True, 4001, True]
        server.wait_for("closed with 4001")


NODE = """
const WebSocket = require('ws');
const socket = new WebSocket(process.argv[1], {perMessageDeflate: true});
const heard = [];
socket.on('open', () => { socket.send('Hello'); socket.send(Buffer.from([1, 2])); });
socket.on('message', (data, binary) => {
  heard.push(binary ? [...data] : data.toString());
  if (heard.length === 2) { socket.ping('?'); }
});
socket.on('pong', data => {
  heard.push('pong ' + data); socket.close(4002, 'enough');
});
socket.on('close', code => { console.log(JSON.stringify([...heard, code])); });
"""
NODE_SERVER = """
const {WebSocketServer} = require('ws');
const server = new WebSocketServer({host: '127.0.0.1', port: 0}, () =>
  console.log('listening on 127.0.0.1 port ' + server.address().port));
server.on('connection', socket => {
  socket.on('message', (data, binary) => {
    socket.ping(); socket.send(data, {binary});
  });
});
"""


@pytest.fixture
def node() -> dict[str, str]:
    """Return the environment in which Node finds Debian's ws."""
    environment = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
    require("node")
    found = subprocess.run(
        ["node", "-e", "require('ws')"], env=environment, check=False, timeout=PATIENCE
    )
    if found.returncode != 0:
        pytest.skip(reason("node"))
    return environment


@claim("core-talks-with-node", "RFC 6455 sections 5.5.3 and 5.6")
def test_node_talks_with_our_servers(
    start: Callable[..., Any], node: dict[str, str]
) -> None:
    """The core's servers talk with Node's ws, and answer its ping."""
    with start() as server:
        done = subprocess.run(
            ["node", "-e", NODE, f"ws://127.0.0.1:{server.port}/"],
            env=node,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        assert json.loads(done.stdout) == ["Hello", [1, 2], "pong ?", 4002]
        server.wait_for("closed with 4002")


@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
def test_our_clients_talk_with_node(program: str, node: dict[str, str]) -> None:
    with subprocess.Popen(
        ["node", "-e", NODE_SERVER], env=node, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = server.stdout.readline().split()[-1]
            done = run([*command(program), "--port", port, "hello", "x"])
            assert done == (0, "'hello' -> 'hello'\n'x' -> 'x'\n", "")
        finally:
            server.kill()


def test_our_clients_check_certificates(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with serve(echo, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"wss://127.0.0.1:{server.socket.getsockname()[1]}/"
        for program in CLIENTS:
            words = [*command(program), "--url", url, "hello"]
            trusting = {**os.environ, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
            done = subprocess.run(
                words, env=trusting, capture_output=True, timeout=PATIENCE, check=False
            )
            assert done.stdout == b"'hello' -> 'hello'\n"
            assert processes.without_slowness(done.stderr.decode()) == ""
            status, _, err = run(words)
            assert status == 1
            assert "certificate verify failed" in err
            assert len(err.splitlines()) == 1
        server.shutdown()
        thread.join(PATIENCE)


# Hostile peers


def test_half_a_handshake_is_waited_for_and_then_given_up(
    start: Callable[..., Any],
) -> None:
    with start("--timeout", str(BRIEF)) as server, server.connect() as client:
        client.sendall(REQUEST[:40])
        server.wait_for("too slow while connecting")
        assert rest(client) == b""
        serves(server)


@claim("slow-handshake-is-given-up", "RFC 6455 section 10.7")
def test_a_handshake_that_drips_has_no_more_time_than_others(
    start: Callable[..., Any],
) -> None:
    """A client has a limited time for its whole handshake.

    One that sends a byte now and then has no more of it, and is cut off.
    """
    with start("--timeout", str(BRIEF)) as server, server.connect() as client:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for byte in REQUEST[:-2] + b"X: " + b"x" * 1000:
                client.sendall(bytes([byte]))
                time.sleep(0.1)  # waits: a client that drips is the subject
        # A limit that began anew with each byte would strike after the last one.
        assert time.monotonic() - began < PATIENCE
        server.wait_for("too slow while connecting")
        serves(server)


@claim("endless-headers-are-refused", "RFC 6585 section 5", "RFC 9110 section 5.4")
def test_64_kib_of_headers_are_refused(start: Callable[..., Any]) -> None:
    """A head of 64 KiB is refused with 431, and the server goes on."""
    with start() as server, server.connect() as client:
        with contextlib.suppress(OSError):
            client.sendall(REQUEST[:-2] + b"X: " + b"x" * 65_536 + b"\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 431 ")
        server.wait_for("head of more than")
        serves(server)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x82\xff" + b"\xff" * 8 + b"keys", 1002),  # all 64 bits
        (b"\x82\xff\x7f" + b"\xff" * 7 + b"keys", 1009),  # 2^63 - 1
        (b"\x81\x05Hello", 1002),  # not masked
        (frame(1, b"\xff"), 1007),
    ],
    ids=["length 2^64 - 1", "length 2^63 - 1", "not masked", "no UTF-8"],
)
def test_a_violation_is_answered_and_the_stream_ended(
    start: Callable[..., Any], data: bytes, code: int
) -> None:
    with start() as server, handshake(server) as client:
        client.sendall(frame(1, b"before") + data)
        sent = rest(client)  # a FIN comes, no RST: the Close frame can be read
        assert sent.startswith(b"\x81\x06before\x88")
        assert int.from_bytes(sent[10:12], "big") == code
        serves(server)


def test_a_violation_before_much_more_data_can_still_be_read(
    start: Callable[..., Any],
) -> None:
    """A server that closed at once would send RST and wipe out its Close frame."""
    with start() as server, handshake(server) as client:
        client.sendall(b"\x81\x05Hello" + b"x" * 200_000)
        sent = rest(client)
        assert sent[0] == 0x88
        assert int.from_bytes(sent[2:4], "big") == 1002


def test_a_flood_of_pings_is_answered_and_costs_no_memory(
    start: Callable[..., Any],
) -> None:
    with start() as server, handshake(server) as client:
        flood = frame(9, b"x" * 100) * 200
        pongs = 0
        before = server.status("VmRSS")
        for _ in range(100):
            client.sendall(flood)
            pongs += len(receive(client, 200 * 102)) // 102
        assert pongs == 20_000
        assert server.status("VmRSS") - before < 20_000  # kB
        client.sendall(frame(8, b"\x03\xe8"))
        assert rest(client) == b"\x88\x02\x03\xe8"


@claim("ping-flood-is-bounded", "RFC 6455 section 10.4")
def test_a_flood_whose_pongs_nobody_reads_is_cut_off(start: Callable[..., Any]) -> None:
    """A flood of pings whose pongs nobody reads fills no memory.

    The server waits for the client as for any that takes nothing, and cuts it off.
    """
    with start("--timeout", str(BRIEF)) as server, handshake(server) as client:
        before = server.status("VmRSS")
        client.settimeout(PATIENCE)
        flood = frame(9, b"x" * 125) * 500
        with contextlib.suppress(OSError):
            for _ in range(1000):  # 65 MB, if anybody took it
                client.sendall(flood)
        server.wait_for("left: .*(too slow|timed out|reset|Broken pipe)")
        assert server.status("VmRSS") - before < 40_000  # kB
        serves(server)


def test_a_peer_that_vanishes_within_a_frame_is_1006(start: Callable[..., Any]) -> None:
    with start() as server:
        with handshake(server) as client:
            client.sendall(frame(1, b"Hello")[:-2])
        server.wait_for("closed with 1006")
        serves(server)


@claim(
    "silent-peer-is-given-up",
    "RFC 6455 sections 5.5.2 and 7.2.2",
    often_said="An open connection has somebody at its other end.",
)
def test_a_peer_that_falls_silent_is_pinged_and_given_up(
    start: Callable[..., Any],
) -> None:
    """A peer that falls silent, even in the middle of a frame, gets a ping.

    It is given up with 1011 when it stays silent.
    """
    with (
        start("--ping-after", "0.4", "--timeout", str(BRIEF)) as server,
        handshake(server) as client,
    ):
        client.sendall(frame(1, b"Hello")[:-2])  # the rest never comes
        assert receive(client, 2) == b"\x89\x00"  # a ping
        assert receive(client, 4)[2:] == b"\x03\xf3"  # 1011, no pong having come
        server.wait_for("left: .*too slow while closing")


def test_a_peer_that_answers_pings_stays(start: Callable[..., Any]) -> None:
    with start("--ping-after", str(BRIEF)) as server, handshake(server) as client:
        for _ in range(3):
            assert receive(client, 2) == b"\x89\x00"
            client.sendall(frame(10))
        client.sendall(frame(8))
        assert rest(client).endswith(b"\x88\x00")


@claim("unanswered-close-is-given-up", "RFC 6455 section 7.1.1")
def test_a_client_that_never_answers_the_close_is_cut_off(
    start: Callable[..., Any],
) -> None:
    """A client that never answers a Close frame is cut off after some time."""
    with start("--timeout", str(BRIEF)) as server, handshake(server) as client:
        serves(server)
        status, err = server.end(signal.SIGTERM)
        assert (status, err) == (0, "")
        goodbye = rest(client)
        assert goodbye[2:4] == b"\x03\xe9"  # 1001
        assert goodbye[4:] == b"stopped by SIGTERM"
        assert any("left" in line for line in server.lines)


@claim("nothing-is-left-open", "RFC 6455 section 7.1")
def test_nothing_is_left_open_when_all_have_gone(start: Callable[..., Any]) -> None:
    """When all clients have gone, no descriptor and no thread is left of them.

    Some left in order, some by a violation, by a FIN or by a reset.
    """
    with start("--timeout", str(BRIEF)) as server:
        serves(server)
        before = server.descriptors()
        clients = [handshake(server) for _ in range(20)]
        for number, client in enumerate(clients):
            with client:
                if number % 4 == 0:
                    client.sendall(frame(8, b"\x03\xe8"))
                    rest(client)
                elif number % 4 == 1:
                    client.sendall(b"\xff" * 50)
                elif number % 4 == 2:
                    client.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                    )
        for _ in range(20):
            server.wait_for("^left: ")
        serves(server)
        server.wait_for("^left: ")
        assert server.descriptors() <= before + 1
        assert server.status("Threads") <= 3


def test_clients_that_reset_at_once_take_no_slot(start: Callable[..., Any]) -> None:
    with start("--max-clients", "5") as server:
        for _ in range(20):
            with server.connect() as client:
                client.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
                )
        for _ in range(5):  # as many as there are slots
            server.wait_for("^left: ")
        deadline = time.monotonic() + PATIENCE
        while True:  # the asyncio server cuts who comes while others are there
            try:
                serves(server)
            except (ConnectionClosed, OSError, InvalidMessage):
                assert time.monotonic() < deadline
            else:
                break


@claim("a-lack-of-descriptors-is-waited-out", "accept(2), EMFILE")
@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of a process")
@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
def test_a_server_without_descriptors_serves_again_when_they_come_back(
    program: str, tmp_path: Path
) -> None:
    """A server that has no descriptor left waits, and serves again when it has one.

    Its clients wait in the kernel's queue meanwhile.
    """
    import resource  # noqa: PLC0415

    log = tmp_path / "log"  # asyncio tells each failed accept(): too much for a pipe
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            [*command(program), "--timeout", str(2 * PATIENCE)],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            server = Running(process)
            free = server.descriptors() + 3
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free, free))
            with contextlib.ExitStack() as stack:
                for _ in range(9):
                    stack.enter_context(server.connect())
                deadline = time.monotonic() + PATIENCE
                while server.descriptors() < free:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)  # waits: for the server to have taken all it can
            serves(server)
            server.signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def test_a_client_for_whom_there_is_no_thread_is_let_go_and_the_next_is_served() -> (
    None
):
    with processes.running(
        SERVERS[0], "--max-clients", "1", prefix=WITHOUT_A_THREAD
    ) as server:
        with server.connect() as client:
            server.wait_for("^cannot serve.*: can't start new thread$")
            assert client.recv(1) == b""
        serves(server)


def changed(tmp_path: Path, program: str, old: str, new: str) -> str:
    """Copy a server, with its core and one change; return its path."""
    source = (processes.SNIPPETS / program).read_text()
    assert old in source
    shutil.copy(processes.SNIPPETS / "websockets" / "rfc6455.py", tmp_path)
    copy = tmp_path / "changed.py"
    copy.write_text(source.replace(old, new, 1))
    return str(copy)


ANSWER = "    return message\n"


@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
def test_many_small_questions_with_long_answers_wait_for_the_reader(
    program: str, tmp_path: Path
) -> None:
    long = changed(tmp_path, program, ANSWER, '    return "x" * 100_000\n')
    with (
        processes.running(long, "--timeout", str(BRIEF)) as server,
        handshake(server) as one,
    ):
        one.sendall(frame(1) * 4000)  # 24 kB, for answers of 400 MB
        server.wait_for("^left: ")
        assert server.status("VmHWM") < 100_000  # kB


@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
def test_an_answer_that_is_no_text_is_1011(program: str, tmp_path: Path) -> None:
    broken = changed(tmp_path, program, ANSWER, '    return "\\ud800"\n')
    with processes.running(broken) as server:
        with handshake(server) as client:
            client.sendall(frame(1, b"x"))
            assert receive(client, 4) == b"\x88\x02" + (1011).to_bytes(2, "big")
        server.wait_for("^left: ")
        status, err = server.end(signal.SIGTERM)
        assert status == 0
        assert err.startswith("answer(): UnicodeEncodeError")


@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
def test_a_slow_reader_gets_all_and_the_close_frame(
    program: str, tmp_path: Path
) -> None:
    long = changed(tmp_path, program, ANSWER, '    return "x" * 3_000_000\n')
    with processes.running(long) as server, handshake(server) as client:
        client.sendall(frame(1) + frame(8, b"\x03\xe8"))
        time.sleep(2.5)  # waits: longer than the server lingers, without reading
        told = rest(client)
        assert len(told) == 3_000_000 + 10 + 4
        assert told.endswith(b"\x88\x02\x03\xe8")


@pytest.mark.parametrize(
    ("program", "wait"),
    [
        (SERVERS[0], "threading.Event().wait()"),
        (SERVERS[1], "await asyncio.Event().wait()"),
    ],
    ids=["threads", "asyncio"],
)
def test_an_answer_that_never_ends_does_not_keep_the_server(
    program: str, wait: str, tmp_path: Path
) -> None:
    told = 'print("answering\\n", end="", flush=True)'
    stuck = changed(tmp_path, program, ANSWER, f"    {told}\n    {wait}\n{ANSWER}")
    with processes.running(stuck, "--timeout", str(BRIEF)) as server:
        with contextlib.ExitStack() as stack:
            for _ in range(15):
                client = stack.enter_context(handshake(server))
                client.sendall(frame(1, b"x"))
                server.wait_for("^answering")
            began = time.monotonic()
            assert server.end(signal.SIGTERM) == (0, "")
        # In turn they would take 15 times as long as the longest of them: 90 s.
        assert time.monotonic() - began < PATIENCE
        assert any("cut off" in line for line in server.lines)


def test_a_stop_during_a_handshake_is_1001(start: Callable[..., Any]) -> None:
    with start("--timeout", str(2 * BRIEF)) as server, server.connect() as client:
        client.sendall(REQUEST[:40])
        serves(server)
        server.wait_for("^left: ")
        server.signal(signal.SIGTERM)
        client.sendall(REQUEST[40:])
        told = rest(client)
        assert told.startswith(b"HTTP/1.1 101 ")
        assert b"\x88" in told
        assert (1001).to_bytes(2, "big") in told


def test_sigint_says_goodbye_to_all(start: Callable[..., Any]) -> None:
    with start() as server:
        urls = [f"ws://127.0.0.1:{server.port}/"] * 5
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connect(url)) for url in urls]
            server.signal(signal.SIGINT)
            for client in clients:
                with pytest.raises(ConnectionClosed) as closed:
                    client.recv(timeout=PATIENCE)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1001
        assert server.end(signal.SIGINT) == (0, "")


@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
def test_a_mistake_in_answer_is_1011_and_told_here(
    program: str, tmp_path: Path
) -> None:
    broken = changed(tmp_path, program, ANSWER, "    return message[9]\n")
    with processes.running(broken) as server:
        with connect(f"ws://127.0.0.1:{server.port}/") as client:
            client.send("short")
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        status, err = server.end(signal.SIGTERM)
        assert (status, err) == (0, "answer(): IndexError: string index out of range\n")


# The clients


def test_a_client_goes_on_after_a_time_out(listener: socket.socket) -> None:
    """What came late, and what came with the end, is not lost."""
    go_on = threading.Event()

    def speak() -> None:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            server = rfc6455.ServerConnection()
            server.feed(sock.recv(4096))
            list(server.events())
            server.accept()
            sock.sendall(server.data_to_send())
            assert go_on.wait(PATIENCE)
            for word in ("late", "a", "b"):
                server.send(word)
            server.close(1008, "no token")
            sock.sendall(server.data_to_send())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + bytes(7))

    thread = threading.Thread(target=speak)
    thread.start()
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    with ws_client.WebSocket(url, timeout=BRIEF) as client:
        with pytest.raises(TimeoutError):
            client.recv()
        go_on.set()
        assert client.recv() == "late"
        thread.join(PATIENCE)
        assert [client.recv(), client.recv()] == ["a", "b"]
        with pytest.raises(ws_client.ClosedError, match="1008"):
            client.recv()


def test_the_asyncio_client_closes_while_a_task_receives(
    library_port: int, run_async: Callable[..., Any]
) -> None:
    async def talk() -> list[str | bytes]:
        heard: list[str | bytes] = []
        both = asyncio.Event()
        url = f"ws://127.0.0.1:{library_port}/"
        async with await ws_aio_client.WebSocket.connect(url) as client:

            async def listen() -> None:
                with contextlib.suppress(ws_aio_client.ClosedError):
                    while True:
                        heard.append(await client.recv())
                        if len(heard) == 2:
                            both.set()

            listening = asyncio.create_task(listen(), name="listener")
            for word in ("one", "two"):
                await client.send(word)
            await asyncio.wait_for(both.wait(), PATIENCE)
        await asyncio.wait_for(listening, PATIENCE)
        return heard

    assert run_async(talk()) == ["one", "two"]


@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a b/한?q=é&x=1%20", b"/a%20b/%ED%95%9C?q=%C3%A9&x=1%20"),
        ("", b"/"),
        ("?x", b"/?x"),
    ],
)
def test_a_url_is_written_as_rfc_3986_wants_it(
    program: str, path: str, target: bytes, listener: socket.socket
) -> None:
    url = f"ws://127.0.0.1:{listener.getsockname()[1]}{path}"
    asked = run([*command(program), "--url", url, "--timeout", str(BRIEF), "hello"])
    assert (asked[0], asked[1]) == (1, "")
    sock, _ = listener.accept()
    with sock:
        line = sock.recv(4096).split(b"\r\n")[0]
    assert line == b"GET " + target + b" HTTP/1.1"


@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "the server says HTTP/1.1 404 Not Found"),
        (b"220 mail ready\r\n\r\n", "the server says 220 mail ready"),
        (b"", "no whole answer came"),
        (
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\n",
            "Sec-WebSocket-Accept is not for this key",
        ),
    ],
    ids=["404", "not HTTP", "nothing", "wrong accept"],
)
def test_a_client_says_in_one_line_what_is_wrong(
    program: str, answer: bytes, why: str, listener: socket.socket
) -> None:
    def speak() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            connection.recv(4096)
            connection.sendall(answer)

    thread = threading.Thread(target=speak)
    thread.start()
    port = str(listener.getsockname()[1])
    status, out, err = run([*command(program), "--port", port, "hello"])
    thread.join(PATIENCE)
    assert (status, out) == (1, "")
    assert re.fullmatch(rf"ws_\w+\.py: ws://127.0.0.1:{port}/: .*\n", err)
    assert why in err


@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
def test_a_client_gives_up_a_silent_server(
    program: str, listener: socket.socket
) -> None:
    port = str(listener.getsockname()[1])
    words = [*command(program), "--port", port, "--timeout", "0.3", "hello"]
    status, _, err = run(words)
    assert status == 1
    assert err.endswith("timed out\n")


@claim("a-time-out-is-for-the-whole-call", "RFC 6455 section 5.5.2")
@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
@pytest.mark.parametrize("what", ["a head", "pings", "a message"])
def test_a_server_that_drips_gains_no_time(
    program: str, what: str, listener: socket.socket
) -> None:
    """A client gives up after its time-out, though a byte comes now and then.

    A handshake or a message that drips gains no time, and pings gain none either.
    """
    stop = threading.Event()

    def drip() -> None:
        sock, _ = listener.accept()
        with sock, contextlib.suppress(OSError):
            sock.settimeout(PATIENCE)
            server = rfc6455.ServerConnection()
            server.feed(sock.recv(4096))
            list(server.events())
            server.accept()
            head = bytes(server.data_to_send())
            drops = {
                "a head": [bytes([byte]) for byte in head[:-2] + b"X: " + b"x" * 1000],
                "pings": [head, *[b"\x89\x00"] * 1000],
                "a message": [head, b"\x82\x7e\x10\x00", *[b"x"] * 1000],
            }
            for drop in drops[what]:
                sock.sendall(drop)
                if stop.wait(0.1):  # waits: a server that drips is the subject
                    break

    thread = threading.Thread(target=drip)
    thread.start()
    port = str(listener.getsockname()[1])
    began = time.monotonic()
    words = [*command(program), "--port", port, "--timeout", "0.5", "hello"]
    status, out, err = run(words)
    stop.set()
    thread.join(PATIENCE)
    assert (status, out) == (1, "")
    assert err.endswith("timed out\n")
    assert time.monotonic() - began < PATIENCE  # the drops would last longer


@pytest.mark.parametrize(
    "words",
    [
        ["websockets/ws_client.py", "--url", "{url}", "hello"],
        ["websockets/ws_aio_client.py", "--url", "{url}", "hello"],
        ["websockets/chat_program.py", "{url}", "hello"],
    ],
    ids=["sockets", "asyncio", "chat"],
)
def test_ctrl_c_ends_a_client_without_a_traceback(
    words: list[str], listener: socket.socket
) -> None:
    program, *rest = words
    url = "ws://{}:{}/".format(*listener.getsockname())
    with subprocess.Popen(
        [*command(program), *(word.format(url=url) for word in rest)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as client:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            assert connection.recv(4096)  # its handshake: now it waits for the answer
            client.send_signal(signal.SIGINT)
            out, _ = client.communicate(timeout=PATIENCE)
    assert (client.returncode, processes.without_slowness(out)) == (130, "")


@pytest.mark.parametrize("program", SERVERS, ids=["threads", "asyncio"])
@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("--port", "70000"),
        ("--timeout", "0"),
        ("--timeout", "nan"),
        ("--ping-after", "-1"),
        ("--max-clients", "0"),
        ("--max-message", "-5"),
    ],
)
def test_a_server_refuses_a_number_that_would_serve_nobody(
    program: str, option: str, wrong: str
) -> None:
    status, out, err = run([*command(program), "--port", "0", option, wrong])
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert repr(wrong) in err


@pytest.mark.parametrize("program", CLIENTS, ids=["sockets", "asyncio"])
def test_a_client_s_wrong_arguments_are_one_line(program: str) -> None:
    for words in (["hello"], ["--port", "1", "--url", "ws://x/", "hello"]):
        status, _, err = run([*command(program), *words])
        assert (status, err.partition(": ")[2]) == (2, "either --url or --port\n")
    status, _, err = run([*command(program), "--url", "http://x/", "hello"])
    assert status == 1
    assert "not the URL of a WebSocket" in err
