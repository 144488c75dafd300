"""STOMP over WebSocket: its frames are messages, and a small broker passes them on.

Needs: pip install websockets, pip install stomp.py
"""

import asyncio
import itertools

from stomp.utils import Frame, convert_frame, parse_frame
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

V12 = Subprotocol("v12.stomp")
numbers = itertools.count(1)
subscribed: dict[str, dict[ServerConnection, str]] = {}  # by destination


def frame(command: str, body: str = "", **headers: str) -> str:
    """Write a frame: a command, headers, an empty line, a body and a NUL."""
    return b"".join(convert_frame(Frame(command, headers, body.encode()))).decode()


def parse(message: str | bytes) -> Frame | None:
    """Read a frame; None is a heart-beat, an end of line alone."""
    data = message.encode() if isinstance(message, str) else message
    return parse_frame(data.removesuffix(b"\0"))


async def answer(websocket: ServerConnection, asked: Frame) -> None:
    """Do what a frame of a client asks for."""
    where = asked.headers.get("destination", "")
    if asked.cmd == "CONNECT":
        await websocket.send(frame("CONNECTED", version="1.2"))
    elif asked.cmd == "SUBSCRIBE" and "id" in asked.headers:
        subscribed.setdefault(where, {})[websocket] = asked.headers["id"]
        if "receipt" in asked.headers:
            receipt = {"receipt-id": asked.headers["receipt"]}
            await websocket.send(frame("RECEIPT", **receipt))
    elif asked.cmd == "SEND":
        for client, name in list(subscribed.get(where, {}).items()):
            headers = {"subscription": name, "message-id": str(next(numbers))}
            body = asked.body.decode()
            await client.send(frame("MESSAGE", body, destination=where, **headers))
    else:
        await websocket.send(frame("ERROR", message=f"no {asked.cmd} here"))
        await websocket.close()  # as STOMP demands after an ERROR


async def broker(websocket: ServerConnection) -> None:
    """Serve one client, and forget it when it has left."""
    try:
        async for message in websocket:
            if asked := parse(message):
                await answer(websocket, asked)
    finally:
        for clients in subscribed.values():
            clients.pop(websocket, None)


async def talk(url: str, *said: str) -> None:
    """Send frames, and print each with the one that comes back."""
    async with connect(url, subprotocols=[V12], compression=None) as websocket:
        print("subprotocol:", websocket.subprotocol)
        for sent in said:
            await websocket.send(sent)
            print(f"{sent!r}\n    {await websocket.recv()!r}")


async def main() -> None:
    """Run a broker, and a client that hears what it says itself."""
    serving = serve(broker, "127.0.0.1", 0, subprotocols=[V12])
    async with asyncio.timeout(5), serving as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await talk(
            url,
            frame("CONNECT", host="localhost", **{"accept-version": "1.2"}),
            frame("SUBSCRIBE", id="0", destination="/oven", receipt="r1"),
            frame("SEND", "bread", destination="/oven"),
        )
        await talk(url, "hello")


asyncio.run(main())
