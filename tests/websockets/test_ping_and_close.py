"""The claims of the chapter on ping, close and 1006."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rfc6455 import (
    ClientConnection,
    Closed,
    Header,
    Opcode,
    Ping,
    Pong,
    Request,
    ServerConnection,
    Text,
    apply_mask,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import processes
from handbook.claims import cited, claim
from patience import BRIEF, PATIENCE
from processes import receive

if TYPE_CHECKING:
    from collections.abc import Callable

    Ends = tuple[socket.socket, socket.socket]
    Dial = Callable[[], Ends]

KEY = b"\x37\xfa\x21\x3d"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # socket(7), SO_LINGER
linux = pytest.mark.skipif(sys.platform != "linux", reason="asks TCP_INFO")


def frame(opcode: int, payload: bytes = b"") -> bytes:
    header = Header(Opcode(opcode), len(payload), key=KEY)
    return header.encode() + apply_mask(payload, KEY)


def pair() -> tuple[ClientConnection, ServerConnection]:
    """Return two ends whose handshake is done."""
    client, server = ClientConnection("127.0.0.1"), ServerConnection()
    server.feed(client.data_to_send())
    assert isinstance(next(server.events()), Request)
    server.accept()
    client.feed(server.data_to_send())
    next(client.events())
    return client, server


def raw(server: processes.Running) -> socket.socket:
    """Open a raw connection to a server, and do the handshake."""
    sock = server.connect()
    sock.sendall(ClientConnection("127.0.0.1").data_to_send())
    while receive(sock, 1) != b"\r" or receive(sock, 3) != b"\n\r\n":
        pass
    return sock


@claim("late-messages-come-before-the-close", "RFC 6455 section 1.4 and 5.5.1")
def test_what_was_on_its_way_is_delivered() -> None:
    """A message that was sent before a Close frame comes before it.

    The core also delivers what comes after its own Close frame; a browser throws that
    away, and the RFC allows it.
    """
    client, server = pair()
    client.send("late")
    server.close(1001)  # they cross
    client.feed(server.data_to_send())
    assert list(client.events()) == [Closed(1001, "", 1001)]
    server.feed(client.data_to_send())
    assert list(server.events()) == [Text("late"), Closed(1001, "", 1001)]


@claim("close-is-answered", "RFC 6455 section 5.5.1")
def test_a_close_frame_is_answered_once_and_nothing_follows() -> None:
    """Whoever gets a Close frame, and has sent none, answers with one.

    Nothing is sent after it.
    """
    client, server = pair()
    client.close(4001, "enough")
    server.feed(client.data_to_send())
    assert list(server.events()) == [Closed(4001, "enough", 4001)]
    assert server.data_to_send() == b"\x88\x02" + (4001).to_bytes(2, "big")
    with pytest.raises(RuntimeError):
        server.send("more")
    client.feed(b"\x88\x02" + (4001).to_bytes(2, "big"))
    assert list(client.events()) == [Closed(4001, "", 4001)]
    assert client.data_to_send() == b""


@linux
@claim("server-closes-tcp-first", "RFC 6455 section 7.1.1")
def test_the_server_sends_its_fin_first() -> None:
    """After the Close frames the server closes TCP first. The client waits for that."""
    with processes.running("websockets/ws_server.py") as server, raw(server) as sock:
        sock.sendall(frame(8, (1000).to_bytes(2, "big")))
        assert receive(sock, 4) == b"\x88\x02\x03\xe8"
        assert sock.recv(1) == b""  # its FIN, though this side has sent none
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        assert state == 8  # CLOSE-WAIT (include/net/tcp_states.h)


@claim("ws-codes-say-why", "RFC 6455 section 7.4.1")
def test_an_orderly_server_says_why() -> None:
    """A server that closes in order tells why.

    It says 1001 when it stops, 1009 for a message that is too long, 1002 and 1007 for
    violations.
    """
    limit = ("--max-message", "10")
    with processes.running("websockets/ws_server.py", *limit) as server:
        codes = []
        with connect(f"ws://127.0.0.1:{server.port}/") as client:
            client.send("far too long for it")
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE)
        codes.append(closed.value.rcvd and closed.value.rcvd.code)
        with connect(f"ws://127.0.0.1:{server.port}/") as client:
            server.signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE)
        codes.append(closed.value.rcvd and closed.value.rcvd.code)
        assert codes == [1009, 1001]
    for wrong, code in ((b"\x81\x01x", 1002), (frame(1, b"\xff"), 1007)):
        _, other = pair()
        other.feed(wrong)
        (event,) = other.events()
        assert isinstance(event, Closed)
        assert event.sent == code


def hang_up(dial: Dial, *, politely: bool) -> bytes | str:
    """Send a Close frame to a peer that still sends; say what the peer reads."""
    client, server = dial()
    client.sendall(b"x" * 1000)  # nobody will read this
    server.sendall(b"\x88\x02\x03\xea")
    if politely:
        server.shutdown(socket.SHUT_WR)
        while len(receive(server, 1000)) < 1000:
            pass
    else:
        server.close()
    try:
        client.sendall(b"y" * 1000)
        client.sendall(b"y" * 1000)
        return client.recv(100)
    except OSError as error:
        return type(error).__name__


@claim(
    "a-reset-wipes-out-the-close-frame",
    "RFC 1122 section 4.2.2.13",
    "RFC 6455 section 7.1.1",
)
def test_a_close_frame_may_be_lost_to_a_reset(dial: Dial) -> None:
    """A reset may wipe out a Close frame that was sent before it.

    A server that closes its socket with bytes unread sends one. If it ends its half and
    reads on, the Close frame arrives.
    """
    assert hang_up(dial, politely=True) == b"\x88\x02\x03\xea"
    assert hang_up(dial, politely=False) in {"ConnectionResetError", "BrokenPipeError"}


@claim(
    "1006-is-never-sent",
    "RFC 6455 section 7.4.1",
    often_said="The server sent 1006.",
)
def test_1006_is_written_down_by_the_one_who_reads_it(dial: Dial) -> None:
    """1006 is never sent.

    An end notes it when TCP ends, by FIN or by reset, and no Close frame has come. On
    the wire it is a violation, like 1005 and 1015.
    """
    for reset in (False, True):
        client, sock = dial()
        _, server = pair()
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        client.close()
        try:
            assert sock.recv(10) == b""
            assert not reset
        except ConnectionResetError:
            assert reset
        server.feed_eof()
        assert list(server.events()) == [Closed(1006)]
    for code in (1005, 1006, 1015):
        _, server = pair()
        with pytest.raises(ValueError, match="may not be sent"):
            server.close(code)
        server.feed(frame(8, code.to_bytes(2, "big")))
        (closed,) = server.events()
        assert isinstance(closed, Closed)
        assert closed.sent == 1002


@claim("pong-has-the-ping-s-payload", "RFC 6455 sections 5.5.2 and 5.5.3")
def test_a_pong_carries_what_the_ping_carried() -> None:
    """A ping is answered by a pong with the same payload.

    A pong that nobody asked for is allowed, and not answered.
    """
    client, server = pair()
    for payload in (b"", b"x" * 125, b"\xff\x00"):
        client.ping(payload)
        server.feed(client.data_to_send())
        assert list(server.events()) == [Ping(payload)]
        client.feed(server.data_to_send())
        assert list(client.events()) == [Pong(payload)]
    client.pong(b"unasked")
    server.feed(client.data_to_send())
    assert list(server.events()) == [Pong(b"unasked")]
    assert server.data_to_send() == b""


@claim(
    "who-does-not-read-does-not-pong",
    "RFC 6455 section 5.5.2",
    often_said="1011 keepalive ping timeout means that the network is broken.",
)
def test_a_program_that_does_not_read_is_given_up() -> None:
    """A program that does not read sends no pong. It is given up like a dead one.

    Its kernel acknowledges the ping all the same.
    """
    patience = ("--ping-after", "0.3", "--timeout", str(BRIEF))
    with processes.running("websockets/ws_aio_server.py", *patience) as server:
        with raw(server) as busy:  # it computes something, and reads nothing
            server.wait_for("too slow while closing")
            told = receive(busy, 6)
        assert told == b"\x89\x00" + b"\x88\x09" + (1011).to_bytes(2, "big")


@claim(
    "ws-handles-protocol-for-you",
    "RFC 6455 sections 7.2.3 and 10.5",
    "WHATWG WebSockets, bufferedAmount",
    often_said="WebSocket handles the protocol for you, so communication gets easy.",
)
def test_what_a_library_does_and_what_is_left_to_you() -> None:
    """A library does the handshake, the frames, the pings and the close.

    Reconnecting, who the client is, what was missed, slow readers and many servers are
    left to you.
    """
    with processes.running("websockets/ws_server.py") as server:
        url = f"ws://127.0.0.1:{server.port}/"
        with connect(url) as client:
            client.send("done for you")
            assert client.recv(timeout=PATIENCE) == "done for you"
            server.process.kill()
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=PATIENCE)
            assert closed.value.rcvd is None  # the 1006 of this chapter
            with pytest.raises(ConnectionClosed):
                client.send("it does not reconnect by itself")
            server.process.wait(PATIENCE)


@claim("killed-process-gives-a-fin", "RFC 9293 section 3.10.4", "exit_group(2)")
def test_a_killed_client_is_1006_by_a_fin(listener: socket.socket) -> None:
    """A process that is killed gives a FIN for its connections, and so a 1006.

    This is so on Linux, if it had read all that came; else they give a reset.
    """
    code = (
        "import os, signal, socket, sys\n"
        "sock = socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=60)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    port = str(listener.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", code, port]) as process:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            assert sock.recv(10) == b""
        assert process.wait(PATIENCE) != 0
    waiting = code.replace("os.kill", "sys.stdin.read(1); os.kill")
    command = [sys.executable, "-c", waiting, port]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(PATIENCE)
            sock.sendall(b"unread")
            assert process.stdin is not None
            process.stdin.write(b"x")
            process.stdin.close()
            with pytest.raises(ConnectionResetError):
                sock.recv(10)


cited(
    "browser-cannot-ping",
    "A browser answers pings by itself; a page can neither send one nor see one.",
    "WHATWG WebSockets, section 5, ping and pong frames",
    "RFC 6455 section 5.5.2",
)


cited(
    "close-codes-have-ranges",
    "Close codes 1000 to 2999 belong to the protocol, 3000 to 3999 are registered for "
    "libraries, and 4000 to 4999 are for private use.",
    "RFC 6455 section 7.4.2",
)


@claim("reserved-opcodes-are-refused", "RFC 6455 section 5.2")
def test_reserved_opcodes_are_refused() -> None:
    """The opcodes 3 to 7 and 11 to 15 are reserved, and closed with 1002."""
    for opcode in (*range(3, 8), *range(11, 16)):
        _, server = pair()
        server.feed(bytes([0x80 | opcode, 0x80]) + KEY)
        (closed,) = server.events()
        assert isinstance(closed, Closed)
        assert closed.sent == 1002
