"""An echo server to copy: it sends back every byte it gets, to many clients at once.

Each client has a thread, and there are never more than --max-clients of them:
further clients wait, connected, in the kernel's queue. A client that is silent
for --timeout seconds, or does not take its echo in that time, is cut off.
Ctrl-C or SIGTERM ends the server with exit status 0. Protocol: RFC 862.

Pair: server = echo_server.py --port 0
Pair: client = echo_client.py --port {port} hello "two words"
Port: listening on 127.0.0.1 port {port}
"""

from __future__ import annotations

import argparse
import contextlib
import select
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from types import FrameType

CHUNK = 65_536  # bytes read at a time, and all that is held for one client
TICK = 0.25  # seconds between two looks at whether a signal has come


def say(text: str) -> None:
    """Print a line in one piece, so that the lines of two threads do not mix."""
    print(f"{text}\n", end="", flush=True)


class EchoServer:
    """Echo whatever the clients of one listening socket send.

    Args:
        listener: a socket that listens; close() closes it.
        max_clients: how many clients are served at the same time.
        timeout: seconds a client may be silent, or may leave its echo unread.
    """

    def __init__(
        self, listener: socket.socket, *, max_clients: int, timeout: float
    ) -> None:
        """Take over listener; no client is accepted before run()."""
        self._listener = listener
        self._timeout = timeout
        self._slots = threading.Semaphore(max_clients)
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()  # guards _clients
        self._stop: str | None = None

    def stop(self, reason: str) -> None:
        """Make run() return; only sets a variable, so a signal handler may call it."""
        self._stop = reason

    def run(self) -> str:
        """Serve until stop() is called; return its reason."""
        self._listener.settimeout(0)  # if a client left meanwhile, do not wait for it
        while self._stop is None:
            # waits: no longer than a tick, to see whether stop() was called
            waiting, _, _ = select.select([self._listener], [], [], TICK)
            # Without a free slot the client is better off in the kernel's queue.
            if waiting and self._slots.acquire(timeout=TICK) and not self._take_one():
                self._slots.release()
        return self._stop

    def close(self) -> None:
        """Close the listening socket, cut off every client, wait for the threads."""
        self._listener.close()
        with self._lock:
            threads = list(self._clients.values())
            for connection in self._clients:
                # Wakes a recv() or sendall() in its thread; close() would not.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(self._timeout)

    def _take_one(self) -> bool:
        """Accept one client and start its thread; return whether that was done."""
        try:
            connection, peer = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            # EMFILE leaves the client in the queue: without a pause this would spin.
            say(f"cannot accept: {error.strerror}")
            time.sleep(TICK)  # waits: for another client to free a descriptor
            return False
        connection.settimeout(self._timeout)
        who = f"{peer[0]} port {peer[1]}"
        thread = threading.Thread(
            target=self._serve, args=(connection, who), name="connection"
        )
        with self._lock:
            self._clients[connection] = thread
        try:
            thread.start()
        except RuntimeError as error:
            say(f"cannot serve {who}: {error}")
            self._forget(connection)
            return False
        return True

    def _serve(self, connection: socket.socket, who: str) -> None:
        """Echo one client until it closes, fails, or is too slow."""
        echoed = 0
        end = "it closed"
        say(f"joined: {who}")
        try:
            while data := connection.recv(CHUNK):
                connection.sendall(data)
                echoed += len(data)
        except TimeoutError:
            end = f"too slow: waited {self._timeout:g} seconds"
        except OSError as error:
            end = error.strerror or str(error)
        say(f"left: {who}, {echoed} bytes echoed, {self._stop or end}")
        self._forget(connection)
        self._slots.release()

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            del self._clients[connection]
            connection.close()


class OneLineParser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with exit status 2."""

    def error(self, message: str) -> NoReturn:
        """Print only the message: --help has the rest."""
        self.exit(2, f"{self.prog}: {message}\n")


def port_number(text: str) -> int:
    """Return text as a port; 0 lets the kernel choose.

    Checked here because getaddrinfo() may take 70000 and silently make it 4464.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port from 0 to 65535: {text!r}")
    return int(text)


def positive(text: str) -> float:
    """Return text as a number of seconds above 0 and at most one day."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text!r}")
    return seconds


def at_least_one(text: str) -> int:
    """Return text as a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"not a whole number above 0: {text!r}")
    return int(text)


def open_listener(host: str, port: int) -> socket.socket:
    """Return a socket that listens on the first address of host, IPv4 or IPv6.

    Raises:
        OSError: the name is unknown, the port is taken or not permitted.
        UnicodeError: the name cannot be a host name.
    """
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    return socket.create_server(address, family=family)


def main() -> None:
    """Parse the command line, serve until a signal comes, leave in order."""
    parser = OneLineParser(description="Send back every byte that clients send.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=port_number, default=0, help="0: any free one")
    parser.add_argument("--timeout", type=positive, default=60.0, help="seconds")
    parser.add_argument("--max-clients", type=at_least_one, default=100)
    options = parser.parse_args()
    try:
        listener = open_listener(options.host, options.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        sys.exit(f"{parser.prog}: cannot listen on {options.host}: {reason}")
    with listener:
        server = EchoServer(
            listener, max_clients=options.max_clients, timeout=options.timeout
        )

        def on_signal(number: int, _frame: FrameType | None) -> None:
            server.stop(f"stopped by {signal.Signals(number).name}")

        signal.signal(signal.SIGINT, on_signal)
        signal.signal(signal.SIGTERM, on_signal)
        host, port = listener.getsockname()[:2]
        say(f"listening on {host} port {port}")
        say(server.run())
        server.close()


if __name__ == "__main__":
    main()
