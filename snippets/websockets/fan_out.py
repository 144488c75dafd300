"""Two server processes and a Redis: a message reaches the clients of both.

Needs: Linux, redis-server, pip install websockets, pip install redis
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import redis.asyncio as redis
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

CHANNEL = "chat"


async def node(path: str) -> None:
    """Serve WebSockets; all that any node hears goes through Redis to every node."""
    clients: set[ServerConnection] = set()
    async with (
        redis.Redis(unix_socket_path=path, decode_responses=True) as store,
        store.pubsub() as heard,
    ):
        await heard.subscribe(CHANNEL)
        await heard.get_message(timeout=5)  # Redis confirms: from now on it is heard

        async def handle(websocket: ServerConnection) -> None:
            clients.add(websocket)
            try:
                async for message in websocket:
                    await store.publish(CHANNEL, message)
            except ConnectionClosed:
                pass  # without a close frame; a traceback would tell no more
            finally:
                clients.remove(websocket)

        # In a TaskGroup: if one task fails, the node ends.
        async with (
            serve(handle, "127.0.0.1", 0) as server,
            asyncio.TaskGroup() as group,
        ):
            relay = group.create_task(pass_on(heard, clients), name="relay")
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.close)
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.wait_closed()
            relay.cancel()


async def pass_on(heard: redis.client.PubSub, clients: set[ServerConnection]) -> None:
    """Give each message to all clients of this node."""
    async for event in heard.listen():
        if event["type"] == "message":  # and not that it has subscribed anew
            broadcast(clients, event["data"])


@contextlib.contextmanager
def redis_server(folder: str, *options: str) -> Iterator[str]:
    """Run a Redis that listens on a UNIX socket and on no port; give its path."""
    path = str(Path(folder, "redis.sock"))
    command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", ""]
    with subprocess.Popen(
        [*command, "--dir", folder, *options], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if b"ready to accept connections" in line.lower():
                    break
            yield path
        finally:
            process.terminate()
            process.communicate(timeout=5)


@contextlib.contextmanager
def node_process(path: str) -> Iterator[str]:
    """Run this file once more, as a node; give its address."""
    with subprocess.Popen(
        [sys.executable, __file__, path], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        finally:
            process.terminate()


async def talk(one: str, two: str) -> None:
    """Let a client of one node speak to a client of the other."""
    async with connect(one, proxy=None) as alice, connect(two, proxy=None) as bob:
        await alice.send("hello from alice")
        print("alice, at one process, hears", await alice.recv())
        print("bob, at another, hears", await bob.recv())


if __name__ != "__main__":
    pass  # redis_restart.py takes redis_server()
elif len(sys.argv) == 2:
    asyncio.run(node(sys.argv[1]))
elif os.name != "posix" or shutil.which("redis-server") is None:
    print("This program needs Linux and redis-server.")
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory() as folder,
        redis_server(folder) as redis_path,
        node_process(redis_path) as first,
        node_process(redis_path) as second,
    ):
        asyncio.run(asyncio.wait_for(talk(first, second), timeout=5))
