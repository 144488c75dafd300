"""A ticket in the URL that is worth something once, and only for seconds.

Needs: pip install websockets
Varies: ticket={text} HTTP
"""

import asyncio
import secrets
import time
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

tickets: dict[str, tuple[str, float]] = {}  # a ticket -> whose it is, and its end


def issue(user: str, seconds: float = 10) -> str:
    """Make a ticket; the page asks for it by HTTPS, with the cookie of its login."""
    for old in [old for old, (_, end) in tickets.items() if end < time.monotonic()]:
        del tickets[old]  # those that nobody has used
    ticket = secrets.token_urlsafe(16)
    tickets[ticket] = user, time.monotonic() + seconds
    return ticket


def redeem(websocket: ServerConnection, request: Request) -> Response | None:
    """Let in who brings a ticket that is good; take the ticket away in any case."""
    query = parse_qs(urlsplit(request.path).query)
    user, end = tickets.pop(query.get("ticket", [""])[0], ("", 0))
    if end < time.monotonic():
        return websocket.respond(HTTPStatus.UNAUTHORIZED, "no good ticket\n")
    websocket.username = user
    return None


async def greet(websocket: ServerConnection) -> None:
    """Know who it is from the first frame on."""
    await websocket.send(f"welcome, {websocket.username}")


async def dial(what: str, uri: str) -> None:
    """Open a WebSocket, and print what comes of it."""
    try:
        async with connect(uri, proxy=None) as websocket:
            print(f"{what}  101  {await websocket.recv()!r}")
    except InvalidStatus as refused:
        body = (refused.response.body or b"").decode().strip()
        print(f"{what}  {refused.response.status_code}  {body}")


async def main() -> None:
    """Use a ticket, use it again, come too late, and come without."""
    serving = serve(greet, "127.0.0.1", 0, process_request=redeem)
    async with asyncio.timeout(5), serving as server:
        uri = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat"
        ticket = issue("alice")
        await dial("a fresh ticket", f"{uri}?ticket={ticket}")
        await dial("the same again", f"{uri}?ticket={ticket}")
        await dial("a ticket too old", f"{uri}?ticket={issue('bob', seconds=-1)}")
        await dial("no ticket", uri)


asyncio.run(main())
