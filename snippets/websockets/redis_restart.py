"""What is said while a subscriber is away: pub/sub forgets it, a stream keeps it.

Needs: Linux, redis-server, pip install redis
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import redis.asyncio as redis

KEPT = 1000  # messages, about; older ones go


@contextlib.asynccontextmanager
async def redis_server(folder: str) -> AsyncIterator[redis.Redis]:
    """Run a Redis that keeps its data in `folder`; give a client of it."""
    path = str(Path(folder, "redis.sock"))
    command = ["redis-server", "--port", "0", "--unixsocket", path]
    process = await asyncio.create_subprocess_exec(
        *(*command, "--dir", folder, "--save", "", "--appendonly", "yes"),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            if b"ready to accept connections" in line.lower():
                break
        async with redis.Redis(unix_socket_path=path, decode_responses=True) as store:
            yield store
    finally:
        process.terminate()
        await process.communicate()


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
            async with redis_server(folder) as store:
                subscriber += await listen(store, "one")
                reader |= await read_after(store, "0")
            print("Redis restarts")
            async with redis_server(folder) as store:
                await say(store, "two")
                subscriber += await listen(store, "three")
                reader |= await read_after(store, list(reader)[-1])
    print("the subscriber has", *subscriber)
    print("the reader of the stream has", *reader.values())


if os.name != "posix" or shutil.which("redis-server") is None:
    print("This program needs Linux and redis-server.")
else:
    asyncio.run(main())
