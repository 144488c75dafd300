"""A server in one thread that rests its listening socket while it has no descriptor.

Needs: Linux
"""

import errno
import os
import resource
import selectors
import socket
import sys
import time
from contextlib import ExitStack

EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class EchoServer:
    """Serves all clients in the thread that calls step()."""

    def __init__(self, listener: socket.socket, pause: float = 1.0) -> None:
        """Watch `listener`, the caller's to close; `pause` is in seconds."""
        self.listener = listener
        self.pause = pause
        listener.settimeout(0)
        self.selector = selectors.DefaultSelector()
        self.clients: list[socket.socket] = []
        self.resting_until: float | None = None
        self.watch()

    def watch(self) -> None:
        """Take clients (again)."""
        self.resting_until = None
        self.selector.register(self.listener, selectors.EVENT_READ)

    def rest(self) -> None:
        """Take no clients for a while: they wait in the kernel's queue."""
        self.selector.unregister(self.listener)
        self.resting_until = time.monotonic() + self.pause

    def step(self, seconds: float) -> None:
        """Wait for events once, and handle them."""
        if self.resting_until is not None:
            seconds = min(seconds, max(0, self.resting_until - time.monotonic()))
        for key, _ in self.selector.select(seconds):
            if key.fileobj is self.listener:
                self.take()
            elif isinstance(key.fileobj, socket.socket):
                self.serve(key.fileobj)
        if self.resting_until is not None and time.monotonic() >= self.resting_until:
            self.watch()

    def take(self) -> None:
        """Accept one client, or rest if there is no descriptor for it."""
        try:
            client, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # it has left again, or another process has taken it
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            print("accept() ->", error)
            self.rest()
            return
        client.settimeout(0)  # on Linux it is not inherited
        self.clients.append(client)
        self.selector.register(client, selectors.EVENT_READ)

    def serve(self, client: socket.socket) -> None:
        """Echo what has come; forget a client that has left or does not read."""
        try:
            data = client.recv(1024)
            if data and client.send(data) == len(data):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.selector.unregister(client)
        self.clients.remove(client)
        client.close()
        if self.resting_until is not None:
            self.watch()  # a descriptor is free: no need to rest any longer

    def close(self) -> None:
        """Drop the clients."""
        self.selector.close()
        for client in self.clients:
            client.close()


def main() -> None:
    """Let three clients dial a server that has descriptors for two."""
    with ExitStack() as ended:
        listener = ended.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listener.getsockname()
        clients = [socket.create_connection(address, timeout=5) for _ in range(3)]
        for client in clients:
            ended.enter_context(client)
        server = EchoServer(listener, pause=60)  # longer than this program runs
        ended.callback(server.close)
        free = os.dup(listener.fileno())
        os.close(free)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 2, hard))

        for _ in range(3):
            server.step(seconds=5)
        for _ in range(3):
            server.step(seconds=0)  # nothing to do: it does not try again
        print("the listener rests, the server holds", len(server.clients), "clients")
        clients[0].sendall(b"still served?")
        server.step(seconds=5)
        print("client 1: recv() ->", clients[0].recv(1024))
        clients[0].close()
        server.step(seconds=5)
        print("client 1 has left, so the listener is watched again")
        server.step(seconds=5)
        clients[2].sendall(b"my turn?")
        server.step(seconds=5)
        print("client 3: recv() ->", clients[2].recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it counts on how Linux numbers descriptors.")
