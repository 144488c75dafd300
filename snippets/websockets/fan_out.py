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
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import redis.asyncio as redis
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

CHANNEL = "chat"


# [node]
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


# [/node]


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


@contextlib.asynccontextmanager
async def node_process(path: str) -> AsyncIterator[str]:
    """Run this file once more, as a node; give its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, path), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"ws://127.0.0.1:{int(await process.stdout.readline())}/"
    finally:
        process.terminate()
        await process.wait()


async def main() -> None:
    """Let clients of two nodes talk."""
    async with asyncio.timeout(10), contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = stack.enter_context(redis_server(folder))
        clients = {}
        for number, name in enumerate(("alice", "bob"), 1):
            uri = await stack.enter_async_context(node_process(path))
            clients[name] = await stack.enter_async_context(connect(uri, proxy=None))
            print(f"{name} is connected to process {number}")
        await clients["alice"].send("hello from alice")
        for name, websocket in clients.items():
            print(f"{name} hears {await websocket.recv()!r}")


if __name__ != "__main__":
    pass  # redis_restart.py takes redis_server()
elif len(sys.argv) == 2:
    asyncio.run(node(sys.argv[1]))
elif os.name != "posix" or shutil.which("redis-server") is None:
    print("This program needs Linux and redis-server.")
else:
    asyncio.run(main())
