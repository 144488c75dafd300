"""Five events reach a client in five ways: what each costs, and how late they are.

Counted are the bytes of both directions as TCP carries them, and all packets. How
late: the median of the five, then the earliest and the latest.

Needs: Linux, get.py
Varies: {int>=1} packets
Varies: {seconds>=0.01} ms   {seconds>=0.01} to {seconds>=0.01}
"""

import base64
import functools
import hashlib
import os
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from get import read_head

EVENTS = [f"the bread number {number} is done" for number in range(1, 6)]
PAUSE = 0.05  # seconds from one poll to the next
OK = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}"
STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
UPGRADED = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"
)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Log:
    """The events so far; whoever has read them all may wait for the next."""

    def __init__(self) -> None:
        """Begin with none."""
        self.events: list[str] = []
        self.times: list[float] = []
        self.changed = threading.Condition()

    def add(self, event: str) -> None:
        """Let an event happen."""
        with self.changed:
            self.times.append(time.perf_counter())
            self.events.append(event)
            self.changed.notify_all()

    def after(self, number: int, seconds: float) -> list[str]:
        """Return the events after the first `number`, or none if none comes in time."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.events) > number, seconds)
            return self.events[number:]


# [server]
def answer(connection: socket.socket, log: Log) -> None:
    """Answer the requests of one connection, each in the way that its path names."""
    with connection, connection.makefile("rb") as stream:
        while head := read_head(stream):
            way, _, number = head[0].split()[1].partition("?after=")
            if way in {"/poll", "/wait"}:
                news = log.after(int(number), 0 if way == "/poll" else 5)
                text = "\n".join(news)
                connection.sendall(OK.format(len(text), text).encode())
            elif way == "/stream":
                connection.sendall(STREAM.encode())
                for event in each(log):
                    connection.sendall(f"data: {event}\n\n".encode())
            elif way == "/socket":
                fields = dict(field.split(": ", 1) for field in head[1:])
                key = (fields["Sec-WebSocket-Key"] + GUID).encode()
                proof = hashlib.sha1(key, usedforsecurity=False).digest()
                accept = base64.b64encode(proof).decode()
                connection.sendall(UPGRADED.format(accept).encode())
                for event in each(log):
                    text_frame = bytes([0x81, len(event)]) + event.encode()
                    connection.sendall(text_frame)


# [/server]


def each(log: Log) -> Iterator[str]:
    """Yield the five events, each as it happens."""
    for number in range(len(EVENTS)):
        yield log.after(number, 5)[0]


class Client:
    """Dials and asks, and counts what that takes."""

    def __init__(self, address: tuple[str, int], log: Log) -> None:
        """Remember whom to ask; `log` is what the server will tell of."""
        self.address = address
        self.log = log
        self.connections = self.requests = self.content = self.packets = 0
        self.socket: socket.socket | None = None

    def ask(self, path: str, fields: str = "") -> BinaryIO:
        """Send a request, over the connection that there is; return what to read."""
        if self.socket is None:
            self.socket = socket.create_connection(self.address, timeout=5)
            self.stream = self.socket.makefile("rb")
            self.connections += 1
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode()
        self.socket.sendall(request)
        self.requests += 1
        return self.stream

    def get(self, path: str) -> list[str]:
        """Return the lines of an answer that has a length."""
        stream = self.ask(path)
        length = int(read_head(stream)[2].partition(": ")[2])
        return stream.read(length).decode().splitlines()

    def close(self) -> None:
        """End the connection, if there is one, and add up what went over it."""
        if self.socket is not None:
            acked, received, *_ = self.counters()
            self.content += acked - 1 + received  # the SYN counts as a byte
            self.socket.shutdown(socket.SHUT_WR)
            self.stream.read()  # until the server has closed, too
            self.packets += sum(self.counters()[2:])
            self.stream.close()
            self.socket.close()
            self.socket = None

    def counters(self) -> tuple[int, ...]:
        """Return bytes acknowledged and received, segments sent and received."""
        assert self.socket is not None
        info = self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 144)
        return struct.unpack_from("=QQII", info, 120)  # struct tcp_info, linux/tcp.h


# [ways]
def poll(client: Client, *, anew: bool = False) -> Iterator[str]:
    """Ask every 50 ms; each event happens half-way between two polls."""
    for number, event in enumerate(EVENTS):
        for _ in range(2):
            yield from client.get(f"/poll?after={number}")
            if anew:
                client.close()
            if len(client.log.events) == number:
                time.sleep(PAUSE / 2)  # waits: nothing tells a client that polls
                client.log.add(event)
                time.sleep(PAUSE / 2)  # waits: it is not yet time to ask again


def long_poll(client: Client) -> Iterator[str]:
    """Ask, and let the server keep the question until it has an answer."""
    for number in range(len(EVENTS)):
        yield from client.get(f"/wait?after={number}")


def event_stream(client: Client) -> Iterator[str]:
    """Ask once, and read an answer that goes on."""
    stream = client.ask("/stream")
    read_head(stream)
    for _ in EVENTS:
        yield stream.readline().decode().removeprefix("data: ").strip()
        stream.readline()  # the empty line that ends an event


def websocket(client: Client) -> Iterator[str]:
    """Ask once to change the protocol, and read its frames."""
    key = base64.b64encode(os.urandom(16)).decode()
    fields = f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
    stream = client.ask("/socket", upgrade + fields)
    read_head(stream)
    for _ in EVENTS:
        _, length = stream.read(2)  # the head of a short frame from a server
        yield stream.read(length).decode()


# [/ways]

WAYS: dict[str, Callable[[Client], Iterator[str]]] = {
    "polling, connections anew": functools.partial(poll, anew=True),
    "polling, keep-alive": poll,
    "long polling": long_poll,
    "server-sent events": event_stream,
    "WebSocket": websocket,
}


def happen(log: Log, read: threading.Semaphore) -> None:
    """Let an event happen a while after the last one was read."""
    for event in EVENTS:
        read.acquire(timeout=5)
        time.sleep(PAUSE / 2)  # waits: events come when they come
        log.add(event)


def serve(listener: socket.socket, log: Log) -> None:
    """Answer one connection after the other, until the listener is shut down."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.settimeout(5)
        answer(connection, log)


def measure(name: str) -> str:
    """Print what one way costs; return how late the events were."""
    log, read = Log(), threading.Semaphore(1)
    late: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = Client(listener.getsockname(), log)
        threads = [threading.Thread(target=serve, args=[listener, log], name="server")]
        if "polling," not in name:
            threads.append(threading.Thread(target=happen, args=[log, read]))
        for thread in threads:
            thread.start()
        for event in WAYS[name](client):
            late.append((time.perf_counter() - log.times[len(late)]) * 1000)
            assert event == EVENTS[len(late) - 1]
            read.release()
        client.close()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
    counts = f"{client.connections}   {client.requests}   {client.content}"
    print(f"{name:26} {counts}   {client.packets} packets")
    spread = f"{min(late):.2f} to {max(late):.2f}"
    return f"too late by   {name:26} {statistics.median(late):.2f} ms   {spread}"


def main() -> None:
    """Measure five ways."""
    print(*[measure(name) for name in WAYS], sep="\n")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: TCP_INFO counts the packets there.")
