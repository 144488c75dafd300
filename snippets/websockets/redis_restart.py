"""What is said while a subscriber is away: pub/sub forgets it, a stream keeps it.

Needs: Linux, redis-server, fan_out.py
Needs: pip install websockets, pip install redis
"""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis
from fan_out import redis_server

KEPT = 1000  # messages, about; older ones go


@contextlib.asynccontextmanager
async def redis_on_disk(folder: str) -> AsyncIterator[redis.Redis]:
    """Run a Redis that writes to `folder` what it keeps; give a client of it."""
    async with (
        redis_server(folder, "--appendonly", "yes") as path,
        redis.Redis(unix_socket_path=path, decode_responses=True) as store,
    ):
        yield store


async def say(store: redis.Redis, words: str) -> None:
    """Say it in both ways."""
    listeners = await store.publish("chat", words)
    number = "0-*"  # the next one; without it Redis takes the time as the number
    await store.xadd("chat-stream", {"text": words}, number, maxlen=KEPT)
    print(f"said {words!r}: {listeners} listening by pub/sub")


async def listen(store: redis.Redis, words: str) -> list[str]:
    """Subscribe, let somebody say these words, and give what was heard."""
    async with store.pubsub() as heard:
        await heard.subscribe("chat")
        found = [await heard.get_message(timeout=5)]  # Redis confirms
        await say(store, words)
        found.append(await heard.get_message(timeout=5))
    return [event["data"] for event in found if event and event["type"] == "message"]


async def read_after(store: redis.Redis, last: str) -> dict[str, str]:
    """Read from the stream what came after the entry `last`, by its number."""
    entries: Any = await store.xrange("chat-stream", min=f"({last}")
    return {number: fields["text"] for number, fields in entries}


async def main() -> None:
    """Say three things; Redis restarts after the first, and nobody hears the second."""
    subscriber: list[str] = []
    reader: dict[str, str] = {}
    async with asyncio.timeout(10):
        with tempfile.TemporaryDirectory() as folder:
            async with redis_on_disk(folder) as store:
                subscriber += await listen(store, "one")
                reader |= await read_after(store, "0")
            print("Redis restarts")
            async with redis_on_disk(folder) as store:
                await say(store, "two")
                subscriber += await listen(store, "three")
                reader |= await read_after(store, list(reader)[-1])
    print("the subscriber has", *subscriber)
    print("the reader of the stream has", *reader.values())


if os.name != "posix" or shutil.which("redis-server") is None:
    print("This program needs Linux and redis-server.")
else:
    asyncio.run(main())
