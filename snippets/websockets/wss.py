"""A wss server with a certificate, and why a client may refuse it.

Needs: pip install websockets, pip install trustme
"""

import asyncio
import datetime
import ssl

import trustme
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

NAME = "chat.example"
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


def context_for(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Make the server's side; in your project load_cert_chain() reads two files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def greet(websocket: ServerConnection) -> None:
    """Say one word through the encrypted stream."""
    await websocket.send("hello")


async def dial(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Serve with one context, dial with the other, and say what comes of it."""
    async with serve(greet, "127.0.0.1", 0, ssl=server) as it:
        port = it.sockets[0].getsockname()[1]
        uri = f"wss://{NAME}:{port}/"
        try:
            # host= is for this machine alone: here no resolver knows the name.
            async with connect(uri, host="127.0.0.1", ssl=client, proxy=None) as ws:
                return (
                    f"{await ws.recv()!r} by {ws.transport.get_extra_info('cipher')[1]}"
                )
        except ssl.SSLError as error:
            return str(error).partition(" (_ssl")[0]


async def main() -> None:
    """Dial with all in order, and then with one thing wrong at a time."""
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    good = context_for(authority.issue_cert(NAME))
    async with asyncio.timeout(5):
        print("all in order ", await dial(good, trusting))
        print("unknown CA ", await dial(good, ssl.create_default_context()))
        old = context_for(authority.issue_cert(NAME, not_after=YESTERDAY))
        print("too old ", await dial(old, trusting))
        other = context_for(authority.issue_cert("shop.example"))
        print("other name ", await dial(other, trusting))


asyncio.run(main())
