"""The idea of SockJS: messages over a WebSocket, or by polling where none gets through.

Needs: pip install aiohttp
"""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

NEWS = ("flour", "dough", "bread")
PLAIN = {"Accept-Encoding": "identity"}  # else it depends on the Python what is offered


async def by_websocket(request: web.Request) -> web.WebSocketResponse:
    """Send the news as messages."""
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    for news in NEWS:
        await websocket.send_str(news)
    await websocket.close()
    return websocket


async def refused(_: web.Request) -> web.Response:
    """Answer as a proxy does that does not pass an upgrade on."""
    return web.Response(status=400)


async def by_polling(request: web.Request) -> web.Response:
    """Answer with the next piece of news, or with 204 when there is no more."""
    number = int(request.query["after"])
    if number < len(NEWS):
        return web.Response(text=NEWS[number])
    return web.Response(status=204)


async def news(http: aiohttp.ClientSession, url: str) -> AsyncIterator[str]:
    """Yield each piece of news, in the best way that gets through."""
    try:
        async with http.ws_connect(f"{url}/socket") as websocket:
            async for message in websocket:
                yield message.data
            return
    except aiohttp.WSServerHandshakeError as error:
        print(f"  {type(error).__name__}: {error.status}, {error.message}")
    number = 0
    while True:
        async with http.get(f"{url}/poll", params={"after": number}) as answer:
            if answer.status == 204:
                return
            yield await answer.text()
        number += 1


async def main() -> None:
    """Ask a server on which a WebSocket gets through, and one on which none does."""
    for way in (by_websocket, refused):
        app = web.Application()
        app.add_routes([web.get("/socket", way), web.get("/poll", by_polling)])
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            print("WebSocket:", way.__name__)
            async with asyncio.timeout(5), aiohttp.ClientSession(headers=PLAIN) as http:
                async for piece in news(http, url):
                    print("  received", piece)
        finally:
            await runner.cleanup()


asyncio.run(main())
