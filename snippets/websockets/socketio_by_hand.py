"""Socket.IO by hand: a plain WebSocket client says what Socket.IO's own would say.

Needs: pip install python-socketio, pip install aiohttp, pip install websockets
Varies: "sid":"{text}"
"""

import asyncio

import socketio
from aiohttp import web
from websockets.asyncio.client import connect

server = socketio.AsyncServer(async_mode="aiohttp")


async def bake(_client: str, kind: str) -> str:
    """Answer a client's event."""
    return f"{kind} is done"


server.on("bake", bake)


async def by_hand(url: str) -> None:
    """Open a session, enter the main namespace, send an event and read its answer."""
    async with connect(url, compression=None) as websocket:
        for said in ("40", '421["bake","rye"]'):
            print("received", await websocket.recv())
            print("send    ", said)
            await websocket.send(said)
        print("received", await websocket.recv())


async def main() -> None:
    """Run the server and one client."""
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with asyncio.timeout(5):
            await asyncio.create_task(by_hand(url), name="client")
    finally:
        await runner.cleanup()


asyncio.run(main())
