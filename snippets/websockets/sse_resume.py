"""Server-sent events that survive a broken connection: each has an id (Last-Event-ID).

The handler is for your project; here it breaks the first connection on purpose, and
the client is to ask again soon.
"""

import http.client
import random
import re
import secrets
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEARTBEAT = 15.0  # seconds without news until a comment shows that the server is there


class Log:
    """The events so far, numbered from 1; others may wait for the next.

    An id is `<run>-<number>`: after a restart the numbers of before mean nothing.
    """

    def __init__(self, run: str | None = None) -> None:
        """Begin with none, under a name of its own."""
        self.run = run or secrets.token_hex(4)
        self.events: list[str] = []
        self.ended = False
        self.changed = threading.Condition()

    def add(self, *events: str, end: bool = False) -> None:
        """Add events; after the end there are no more."""
        with self.changed:
            self.events += events
            self.ended = self.ended or end
            self.changed.notify_all()

    def after(self, number: int, seconds: float) -> list[str]:
        """Return the events after that number; none if none comes in time."""
        with self.changed:
            self.changed.wait_for(
                lambda: self.ended or len(self.events) > number, seconds
            )
            return self.events[number:]

    def number(self, seen: str) -> int:
        """Return the number in an id; 0, for all events, if it is of another run."""
        run, _, number = seen.partition("-")
        known = run == self.run and number.isdecimal() and len(number) < 16
        return int(number) if known else 0


def in_lines(name: str, event: str) -> bytes:
    """Write one event: each line of its text is a field, an empty line ends it."""
    lines = re.split(r"\r\n|\r|\n", event)  # splitlines() knows more ends of a line
    fields = [f"id: {name}", *(f"data: {line}" for line in lines)]
    return "\n".join([*fields, "", ""]).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers each request with the events that its client has not seen."""

    wbufsize = -1  # what belongs together goes out together, at flush()
    timeout = 30.0  # seconds: a client that reads nothing holds no thread for ever
    log = Log()
    retry = 1_000, 10_000  # milliseconds until a client asks again: each another time
    breaks_at = 0  # after that event the connection ends, as when a proxy restarts

    def do_GET(self) -> None:
        """Send events for as long as there are any, and as the client stays."""
        number = self.log.number(self.headers.get("Last-Event-ID", ""))
        if self.log.ended and number >= len(self.log.events):
            self.send_response_only(204)  # tells a browser to ask no more
            self.end_headers()
            return
        self.send_response_only(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Accel-Buffering", "no")  # or nginx collects it first
        self.end_headers()
        pause = random.randint(*self.retry)  # noqa: S311 - this keeps no secret
        self.wfile.write(b"retry: %d\n\n" % pause)
        patience = 0.0
        try:
            while not (self.log.ended and number >= len(self.log.events)):
                news = self.log.after(number, patience)
                for event in news:
                    number += 1
                    self.wfile.write(in_lines(f"{self.log.run}-{number}", event))
                    if number == self.breaks_at:
                        return
                if not news:
                    self.wfile.write(b": still here\n\n")
                self.wfile.flush()
                patience = HEARTBEAT
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return  # the client has left, or reads no more

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def follow(port: int, last: str) -> str:
    """Print what comes on one connection; return the id of the last event."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        headers = {"Host": "localhost"} | ({"Last-Event-ID": last} if last else {})
        print("asked with", headers)
        client.request("GET", "/", headers=headers)
        for line in client.getresponse():
            text = line.decode().rstrip()
            print(f"    {text}".rstrip())
            last = text.removeprefix("id: ") if text.startswith("id: ") else last
        return last
    finally:
        client.close()


def main() -> None:
    """Follow the events over two connections."""
    Handler.log = Log("9c2f")  # without it a name by chance
    Handler.breaks_at, Handler.retry = 2, (100, 100)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        threading.Thread(target=server.serve_forever, name="server").start()
        try:
            Handler.log.add("flour", "dough", "bread")
            last = follow(server.server_port, "")
            print("the connection has ended; the last id was", last)
            Handler.log.add("crumbs", end=True)
            follow(server.server_port, last)
        finally:
            server.shutdown()


if __name__ == "__main__":
    main()
