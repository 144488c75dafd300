"""Echo messages of three sizes: the websockets library, the core, and wsproto.

Each has a server in one process and a client in another, both with blocking sockets
and without compression. They take turns. Each row gives the median of the rounds,
then the lowest and the highest.

Needs: rfc6455.py, ws_server.py, ws_client.py
Needs: pip install websockets, pip install wsproto
Varies: {seconds>=0.1} us   {seconds>=0.1} to {seconds>=0.1}
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wsproto import WSConnection

ROUNDS = 5
TRIPS = {16: 120, 4096: 80, 1_048_576: 5}
WAYS = ("websockets", "core", "wsproto")
CHUNK = 65_536  # bytes read at a time


class Client(Protocol):
    """What all the clients can do."""

    def send(self, message: bytes, /) -> None:
        """Send one message."""

    def recv(self) -> str | bytes:
        """Wait for the next."""


class WsprotoClient:
    """The least that makes a client of wsproto."""

    def __init__(self, sock: socket.socket) -> None:
        """Do the opening handshake."""
        from wsproto import ConnectionType, WSConnection  # noqa: PLC0415
        from wsproto.events import Request  # noqa: PLC0415

        self.sock = sock
        self.protocol = WSConnection(ConnectionType.CLIENT)
        sock.sendall(self.protocol.send(Request(host="127.0.0.1", target="/")))
        self.protocol.receive_data(sock.recv(CHUNK))
        next(iter(self.protocol.events()))

    def send(self, message: bytes) -> None:
        """Send one message."""
        from wsproto.events import BytesMessage  # noqa: PLC0415

        self.sock.sendall(self.protocol.send(BytesMessage(data=message)))

    def recv(self) -> bytes:
        """Wait for the next."""
        return next_message(self.sock, self.protocol)


def next_message(sock: socket.socket, protocol: WSConnection) -> bytes:
    """Put a message of wsproto together; b"" if the stream has ended."""
    from wsproto.events import BytesMessage, Request  # noqa: PLC0415

    pieces = []
    while data := sock.recv(CHUNK):
        protocol.receive_data(data)
        for event in protocol.events():
            if isinstance(event, BytesMessage):
                pieces.append(event.data)
                if event.message_finished:
                    return b"".join(pieces)
            elif isinstance(event, Request):
                from wsproto.events import AcceptConnection  # noqa: PLC0415

                sock.sendall(protocol.send(AcceptConnection()))
    return b""


def serve_wsproto(listener: socket.socket) -> None:
    """Send back what one client sends."""
    from wsproto import ConnectionType, WSConnection  # noqa: PLC0415
    from wsproto.events import BytesMessage  # noqa: PLC0415

    sock, _ = listener.accept()
    with sock:
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        protocol = WSConnection(ConnectionType.SERVER)
        while message := next_message(sock, protocol):
            sock.sendall(protocol.send(BytesMessage(data=message)))


def serve(way: str) -> None:
    """Be the server of one way, until the process is killed."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    if way == "wsproto":
        listener.settimeout(20)
        serve_wsproto(listener)
    elif way == "core":
        from ws_server import Server  # noqa: PLC0415

        Server(
            listener, max_clients=9, max_message=1 << 21, timeout=20, ping_after=20
        ).run()
    else:
        import websockets.sync.server  # noqa: PLC0415

        def echo(websocket: websockets.sync.server.ServerConnection) -> None:
            for message in websocket:
                websocket.send(message)

        websockets.sync.server.serve(
            echo, sock=listener, compression=None, max_size=1 << 21
        ).serve_forever()


def connect(way: str, port: str, opened: ExitStack) -> Client:
    """Return a client of one way."""
    if way == "core":
        from ws_client import WebSocket  # noqa: PLC0415

        return opened.enter_context(
            WebSocket(f"ws://127.0.0.1:{port}/", max_message=1 << 21)
        )
    if way == "wsproto":
        sock = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
        opened.enter_context(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return WsprotoClient(sock)
    import websockets.sync.client  # noqa: PLC0415

    return opened.enter_context(
        websockets.sync.client.connect(
            f"ws://127.0.0.1:{port}/", compression=None, max_size=1 << 21
        )
    )


def measure(way: str, port: str) -> None:
    """Be the client of one way: a round for each size that is asked for."""
    with ExitStack() as opened:
        client = connect(way, port, opened)
        for line in sys.stdin:
            message = bytes(int(line))
            client.send(message)
            client.recv()
            began = time.perf_counter()
            for _ in range(TRIPS[int(line)]):
                client.send(message)
                if len(client.recv()) != len(message):
                    sys.exit("not what was sent")
            print((time.perf_counter() - began) / TRIPS[int(line)] * 1e6, flush=True)


def start(*words: str, opened: ExitStack) -> subprocess.Popen[str]:
    """Run this program in another role; -E keeps that out of a recording."""
    process = opened.enter_context(
        subprocess.Popen(
            [sys.executable, "-E", __file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    opened.callback(process.kill)
    return process


def ask(process: subprocess.Popen[str], line: str = "") -> str:
    """Write a line to a process, and read one."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    if line:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline().strip()


def main() -> None:
    """Let the ways take turns, and print what they took."""
    with ExitStack() as opened:
        alarm = threading.Timer(20, opened.close)
        alarm.daemon = True
        alarm.start()
        opened.callback(alarm.cancel)
        servers = {way: start("serve", way, opened=opened) for way in WAYS}
        clients = {
            way: start("measure", way, ask(server), opened=opened)
            for way, server in servers.items()
        }
        for size in TRIPS:
            times: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(ROUNDS):
                for way, client in clients.items():
                    times[way].append(float(ask(client, str(size))))
            for way, taken in times.items():
                print(
                    f"{size:,} bytes   {way:10}   {statistics.median(taken):.1f} us   "
                    f"{min(taken):.1f} to {max(taken):.1f}"
                )
        for server in servers.values():
            server.kill()  # before its client: it has nothing to complain about
    alarm.join(5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["measure"]:
        measure(*sys.argv[2:])
    else:
        main()
