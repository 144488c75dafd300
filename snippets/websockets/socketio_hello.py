"""What a plain WebSocket client gets at a Socket.IO server.

Needs: pip install python-socketio, pip install aiohttp, pip install websockets
Varies: "sid":"{text}"
"""

import asyncio
import logging

import socketio
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

server = socketio.AsyncServer(async_mode="aiohttp")


async def hello(url: str) -> None:
    """Say what every WebSocket server takes."""
    try:
        async with connect(url, compression=None) as websocket:
            await websocket.recv()  # a greeting
            await websocket.send("hello")
            await websocket.recv()
    except WebSocketException as error:
        print(f"{type(error).__name__}: {error}")


async def main() -> None:
    """Run the server, and say hello at two addresses."""
    logging.disable()  # the server logs a traceback for "hello"
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
        async with asyncio.timeout(5):
            await hello(url)
            await hello(f"{url}socket.io/?EIO=4&transport=websocket")
    finally:
        await runner.cleanup()


asyncio.run(main())
