"""A chat to copy: one program serves the page and the WebSocket, from one port.

GET / is the page chat.html, with a policy that lets it run its own script only. /live
is the WebSocket, for pages of the same origin and for programs. A client that does not
read is cut off, and so is one that says nothing at first; Ctrl-C or SIGTERM closes all
with 1001. Behind a proxy that speaks TLS say --origin https://…, as the page has it.

Protocol, JSON in text messages. The client introduces itself, and then speaks; the key
is its own secret, by which a page that comes back gets its name back:
    {"name": "ann", "key": "5d1e"}
    {"text": "hello"}
The server:
    {"kind": "welcome", "names": ["ann", "ben"]}      and a 4001 if the name is taken
    {"kind": "joined", "name": "ann"}                 or "left"
    {"kind": "said", "name": "ann", "text": "hello"}
    {"kind": "alive"}                                 if there is no news for 20 seconds

Needs: pip install websockets, chat.html
Pair: server = chat_server.py --port 0
Pair: program = chat_program.py ws://127.0.0.1:{port}/live "hello, everybody"
Port: listening on 127.0.0.1 port {port}
Varies: "key": "{hex}
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import logging
import re
import secrets
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from websockets.asyncio.server import Server

MAX_SIZE = 16_384  # bytes of a message
NAME, KEY, TEXT = 32, 64, 1000  # characters of each, at most
RATE, BURST = 5, 20  # messages a second from one client, and how many at once
WAITING = 100  # messages that may wait for one client
ALIVE = 20.0  # seconds without news: then a page hears that we are alive
LINGER = 5.0  # seconds for a handshake, an introduction, and the last words
NAME_TAKEN = 4001  # a close code of this protocol: 4000 to 4999 are free for that


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


class Page:
    """A page to serve, with a policy that is made from what stands in it."""

    def __init__(self, path: Path) -> None:
        """Read the page.

        Raises:
            OSError: it is not there.
        """
        self._body = path.read_bytes()
        html = self._body.decode()
        self._policy = "; ".join(
            [
                "default-src 'none'",
                f"script-src {hashes(html, 'script')}",
                f"style-src {hashes(html, 'style')}",
                "connect-src 'self'",  # the WebSocket of the same host and port, too
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            ]
        )

    def response(self) -> Response:
        """Return the page as an answer to a GET."""
        fields = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(self._body)),
            "Content-Security-Policy": self._policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "Connection": "close",
        }
        return Response(200, "OK", Headers(fields), self._body)


def hashes(html: str, tag: str) -> str:
    """Return for a policy which elements of this kind may run: those in the page."""
    found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    digests = [hashlib.sha256(text.encode()).digest() for text in found]
    return " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)


class RefusedError(Exception):
    """A client does not keep to the protocol, or wants a name that is taken."""

    def __init__(self, reason: str, code: int = CloseCode.POLICY_VIOLATION) -> None:
        """Note the reason, and the code to close with."""
        super().__init__(reason)
        self.code = code


class Member:
    """Somebody in the room, and what waits for them."""

    def __init__(self, connection: ServerConnection, name: str, key: str) -> None:
        """Begin with nothing waiting."""
        self.connection = connection
        self.name = name
        self.key = key
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue(WAITING)

    def tell(self, **news: object) -> None:
        """Queue a message for this member."""
        self._put(json.dumps(news))

    def dismiss(self) -> None:
        """Let write() return when all that waits is sent."""
        self._put(None)

    def _put(self, message: str | None) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            # In websockets 17.4 close() would first wait for room in a full buffer.
            self.connection.transport.abort()

    async def write(self) -> None:
        """Send what is queued, or else a sign of life, until dismiss() was called.

        Raises:
            TimeoutError: the member did not take a message.
        """
        while True:
            try:
                async with asyncio.timeout(ALIVE):
                    message = await self._waiting.get()
            except TimeoutError:
                message = json.dumps({"kind": "alive"})
            if message is None:
                return
            async with asyncio.timeout(ALIVE):
                await self.connection.send(message)


class Service:
    """A page at /, and at /live a WebSocket for whoever comes, rude or slow.

    Args:
        page: the page at /.
        origin: from which pages may dial, such as https://live.example; None: from
            those that have our host and port, as the browser's Host header tells it.
            That is for a desk: a name that an attacker lets point here passes, too.
        max_clients: further ones are refused with status 503.
        told: called with a line on what happens.
    """

    def __init__(
        self,
        page: Page,
        *,
        origin: str | None = None,
        max_clients: int = 500,
        told: Callable[[str], None] = say,
    ) -> None:
        """Begin without clients."""
        self.told = told
        self._page = page
        self._origin = origin
        self._max_clients = max_clients
        self._connections: set[ServerConnection] = set()

    async def converse(self, connection: ServerConnection) -> None:
        """Serve one client until it or the service ends: this is for you to write.

        Raises:
            RefusedError: the client does not keep to the protocol.
            TimeoutError: it is too slow, and is cut off.
            ConnectionClosed: it has gone.
        """
        raise NotImplementedError

    def dismiss_all(self) -> None:
        """Let every converse() return soon: this, too, is for you to write."""
        raise NotImplementedError

    def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request with the page or an error; None goes on with the handshake.

        A browser lets any page in the world dial here, and names the page's origin.
        """
        path = request.path.partition("?")[0]
        if path == "/":
            return self._page.response()
        if path != "/live":
            return connection.respond(404, "there is / and /live\n")
        origin = request.headers.get("Origin")
        ours = self._origin or f"http://{request.headers.get('Host')}"
        if origin not in (None, ours):
            return connection.respond(403, "not for pages from elsewhere\n")
        if len(self._connections) >= self._max_clients:
            return connection.respond(503, "too many are here\n")
        return None

    async def handle(self, connection: ServerConnection) -> None:
        """Serve one client to its end, and close with the code that tells why."""
        code, why = int(CloseCode.GOING_AWAY), ""
        self._connections.add(connection)
        try:
            await self.converse(connection)
        except RefusedError as error:
            code, why = error.code, str(error)
        except TimeoutError:
            # In websockets 17.4 close() would first wait for room in a full buffer.
            connection.transport.abort()
        except ConnectionClosed:
            pass
        except Exception as error:  # noqa: BLE001 - our own mistake, told in one line
            code, why = CloseCode.INTERNAL_ERROR, "a mistake of the server"
            self.told(f"error: {type(error).__name__}: {error}")
        finally:
            await close(connection, code, why)
            self._connections.discard(connection)

    async def run(self, host: str, port: int) -> None:
        """Serve until a signal comes, and leave in order.

        Raises:
            OSError: the port is taken or not permitted, or the name is unknown.
        """
        loop = asyncio.get_running_loop()
        signals: asyncio.Queue[int] = asyncio.Queue()

        def on_signal(number: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(signals.put_nowait, number)

        async with self.serve(host, port) as server:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, on_signal)
            host, port = server.sockets[0].getsockname()[:2]
            say(f"listening on {host} port {port}")
            say(f"stopped by {signal.Signals(await signals.get()).name}")
            await self.stop(server)

    def serve(self, host: str, port: int) -> Server:
        """Return a server to be used in "async with"; stop() it before the end."""
        return serve(
            self.handle,
            host,
            port,
            process_request=self.answer,
            max_size=MAX_SIZE,
            compression=None,  # it would cost memory for each client
            open_timeout=LINGER,
            close_timeout=LINGER,
        )

    async def stop(self, server: Server) -> None:
        """Send what is left and close with 1001; cut off who does not take it."""
        server.close(close_connections=False)  # handle() does that, after the rest
        self.dismiss_all()
        try:
            async with asyncio.timeout(LINGER):
                await server.wait_closed()
        except TimeoutError:
            for connection in self._connections:
                connection.transport.abort()


class ChatServer(Service):
    """One room in which everybody hears everybody."""

    def __init__(
        self,
        page: Page,
        *,
        origin: str | None = None,
        max_clients: int = 500,
        told: Callable[[str], None] = say,
    ) -> None:
        """Begin with an empty room; the arguments are those of a Service."""
        super().__init__(page, origin=origin, max_clients=max_clients, told=told)
        self._members: dict[str, Member] = {}

    def dismiss_all(self) -> None:
        """Let everybody go when they have got the rest."""
        for member in self._members.values():
            member.dismiss()

    async def converse(self, connection: ServerConnection) -> None:
        """Let a client in; read and write until one of the two ends."""
        async with asyncio.timeout(LINGER):
            member = self._join(connection, parsed(await connection.recv()))
        tasks = [
            asyncio.create_task(self._read(member)),
            asyncio.create_task(member.write()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._leave(member)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()

    def _join(self, connection: ServerConnection, asked: dict[str, Any]) -> Member:
        """Let a client into the room, or back into it."""
        name, key = asked.get("name"), asked.get("key")
        if not (is_text(name, NAME) and name.isprintable() and name == name.strip()):
            raise RefusedError("not a name")
        if not is_text(key, KEY):
            raise RefusedError("not a key")
        member = Member(connection, name, key)
        before = self._members.get(name)
        if before is None:
            self._tell_all(kind="joined", name=name)
            self.told(f"joined: {name}")
        elif secrets.compare_digest(before.key.encode(), key.encode()):
            before.connection.transport.abort()  # it is dead, and we do not know yet
        else:
            raise RefusedError("this name is taken", NAME_TAKEN)
        self._members[name] = member
        member.tell(kind="welcome", names=sorted(self._members))
        return member

    def _leave(self, member: Member) -> None:
        """Take a member out of the room, but not whoever came back in their place."""
        if self._members.get(member.name) is member:
            del self._members[member.name]
            self._tell_all(kind="left", name=member.name)
            self.told(f"left: {member.name}")

    async def _read(self, member: Member) -> None:
        """Tell all what a member says, at most RATE messages a second.

        While this sleeps nothing is read, and the client's own buffers fill.
        """
        clock = asyncio.get_running_loop().time
        due = 0.0
        async for message in member.connection:
            text = parsed(message).get("text")
            if not is_text(text, TEXT):
                raise RefusedError("not a message")
            self._tell_all(kind="said", name=member.name, text=text)
            due = max(due, clock() - BURST / RATE) + 1 / RATE
            await asyncio.sleep(due - clock())  # waits: the pace of one client

    def _tell_all(self, **news: object) -> None:
        for member in self._members.values():
            member.tell(**news)


async def close(connection: ServerConnection, code: int, reason: str) -> None:
    """Close a connection, in LINGER seconds at most."""
    try:
        async with asyncio.timeout(LINGER):
            await connection.close(code, reason)
    except TimeoutError:
        connection.transport.abort()


def parsed(message: str | bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        RefusedError: the message is none.
    """
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError("not a JSON object")
    return found


def is_text(value: object, longest: int) -> TypeGuard[str]:
    """Say whether a field is a text that is not empty and not too long."""
    return isinstance(value, str) and 0 < len(value) <= longest


class OneLine(logging.Formatter):
    """Tells an error of the library or of asyncio in one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the message and what was raised, without a traceback."""
        error = record.exc_info[1] if record.exc_info else None
        cause = f": {type(error).__name__}: {error}" if error else ""
        return f"{record.name}: {record.getMessage()}{cause}".replace("\n", " ")


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """Return text as a port; 0 lets the kernel choose.

    Checked here because getaddrinfo() may take 70000 and silently make it 4464.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port from 0 to 65535: {text!r}")
    return int(text)


def at_least_one(text: str) -> int:
    """Return text as a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a whole number above 0: {text!r}")
    return int(text)


def page_origin(text: str) -> str:
    """Return text if a browser may say it as its Origin: scheme, host, other port."""
    if not re.fullmatch(r"https?://[^/?#@\s]+", text) or text != text.lower():
        raise argparse.ArgumentTypeError(f"not like https://live.example: {text!r}")
    return text


def main() -> None:
    """Parse the command line and serve."""
    parser = OneLineParser(description="A chat room for pages and programs.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument(
        "--origin",
        type=page_origin,
        help="the page's, if it is not http:// and our host",
    )
    parser.add_argument("--max-clients", type=at_least_one, default=500)
    options = parser.parse_args()
    told = logging.StreamHandler()
    told.setFormatter(OneLine())
    logging.basicConfig(handlers=[told], level=logging.ERROR)
    page = Page(Path(__file__).with_name("chat.html"))
    chat = ChatServer(page, origin=options.origin, max_clients=options.max_clients)
    try:
        asyncio.run(chat.run(options.host, options.port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot serve on {options.host}: {reason}")


if __name__ == "__main__":
    main()
