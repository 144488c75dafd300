"""A client that was away asks by the last id that it has, and gets what it missed.

Needs: pip install websockets, feed_server.py, feed_client.py
Varies: "client": "{hex}
Varies: "feed": "{hex}
"""

import asyncio

from feed_client import FeedClient
from feed_server import FeedServer
from websockets.asyncio.server import serve


async def main() -> None:
    """Let ann leave, bob speak and ann come back: once in time, once too late."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    feeds = FeedServer(keep=3, timeout=5, max_clients=2, told=lambda _: None)
    serving = serve(feeds.handle, "127.0.0.1", 0, compression=None)
    async with asyncio.timeout(5), serving as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        ann = FeedClient(url, heard=lines.put_nowait, told=lines.put_nowait)
        bob = FeedClient(url, heard=lambda _: None, told=print)

        async def ann_stays_until(last: str) -> None:
            listening = asyncio.create_task(ann.run(), name="ann")
            line = ""
            while line != last:
                line = await lines.get()
                print("ann gets:", line)
            listening.cancel()
            await asyncio.wait([listening])

        talking = asyncio.create_task(bob.run(), name="bob")
        await ann.say("hello")
        await ann_stays_until("hello")
        for texts in (["one", "two"], ["3", "4", "5", "6", "7"]):
            for text in texts:
                await bob.say(text)
            await bob.all_heard()  # the server has published them
            print("ann was away; bob has said:", *texts)
            await ann_stays_until(texts[-1])
        talking.cancel()
        await asyncio.wait([talking])


asyncio.run(main())
