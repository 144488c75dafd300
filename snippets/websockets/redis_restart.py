"""What is said while a subscriber is away: pub/sub forgets it, a stream keeps it.

Needs: Linux, redis-server, fan_out.py
Needs: pip install websockets, pip install redis
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import redis
from fan_out import redis_server

KEPT = 1000  # messages, about; older ones go


@contextlib.contextmanager
def redis_on_disk(folder: str) -> Iterator[redis.Redis]:
    """Run a Redis that writes to `folder` what it keeps; give a client of it."""
    with (
        redis_server(folder, "--appendonly", "yes") as path,
        redis.Redis(
            unix_socket_path=path, decode_responses=True, socket_timeout=5
        ) as store,
    ):
        yield store


def say(store: redis.Redis, words: str) -> None:
    """Say it in both ways."""
    listeners = store.publish("chat", words)
    number = "0-*"  # the next one; without it Redis takes the time as the number
    store.xadd("chat-stream", {"text": words}, number, maxlen=KEPT)
    print(f"said {words!r}: {listeners} listening by pub/sub")


def listen(store: redis.Redis, words: str) -> list[str]:
    """Subscribe, let somebody say these words, and give what was heard."""
    with store.pubsub() as heard:  # type: ignore[no-untyped-call]
        heard.subscribe("chat")
        found = [heard.get_message(timeout=5)]  # Redis confirms
        say(store, words)
        found.append(heard.get_message(timeout=5))
    return [event["data"] for event in found if event and event["type"] == "message"]


def read_after(store: redis.Redis, last: str) -> dict[str, str]:
    """Read from the stream what came after the entry `last`, by its number."""
    entries: Any = store.xrange("chat-stream", min=f"({last}")
    return {number: fields["text"] for number, fields in entries}


def main() -> None:
    """Say three things; Redis restarts after the first, and nobody hears the second."""
    subscriber: list[str] = []
    reader: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        with redis_on_disk(folder) as store:
            subscriber += listen(store, "one")
            reader |= read_after(store, "0")
        print("Redis restarts")
        with redis_on_disk(folder) as store:
            say(store, "two")
            subscriber += listen(store, "three")
            reader |= read_after(store, list(reader)[-1])
    print("the subscriber has", *subscriber)
    print("the reader of the stream has", *reader.values())


if os.name != "posix" or shutil.which("redis-server") is None:
    print("This program needs Linux and redis-server.")
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
