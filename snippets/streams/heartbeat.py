"""A heartbeat in your own protocol: ask when it is quiet, give up when none answers.

The peer here answers once and then hangs in a lock, as programs do.
"""

import socket
import threading
from collections.abc import Iterator

LONGEST = 65_536  # bytes in one line


def lines(sock: socket.socket, every: float = 15, limit: int = 2) -> Iterator[bytes]:
    """Yield the lines that come, until the peer ends its stream.

    After each `every` seconds of silence it asks the peer. Both sides use it, or
    answer b"ping" in another way. It sets the time-out of the socket, which holds for
    your own sends, too: send from the same thread, and close after one that timed out.

    Raises:
        TimeoutError: `limit` questions in a row had no answer, or the peer takes
            nothing.
        OSError: the connection was reset, or the kernel has given it up.
        ValueError: a line has no end, or the stream ends within one.
    """
    sock.settimeout(every)
    asked, rest = 0, b""
    while True:
        try:
            data = sock.recv(4096)
        except TimeoutError as error:
            if error.errno:  # not our time-out: the kernel's ETIMEDOUT
                raise
            if asked == limit:
                raise TimeoutError(f"no answer to {limit} pings") from None
            asked += 1
            sock.sendall(b"ping\n")
            continue
        if not data:
            if rest:
                raise ValueError("the stream ended within a line")
            return
        asked = 0
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > LONGEST:
            raise ValueError("a line without an end")
        if b"ping" in whole:
            sock.sendall(b"pong\n")
        yield from (line for line in whole if line not in {b"ping", b"pong"})


def peer(sock: socket.socket, lock: threading.Lock) -> None:
    """Be well for one ping, and then wait for a lock that somebody else holds."""
    sock.sendall(b"welcome\n")
    print("peer:", sock.recv(5))
    sock.sendall(b"pong\n")
    print("peer: waits for a lock")
    lock.acquire(timeout=5)


def main() -> None:
    """Read lines from a peer until its heart stops."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(5)
        lock = threading.Lock()
        with lock:
            thread = threading.Thread(target=peer, args=(server, lock), name="peer")
            thread.start()
            try:
                for line in lines(client, every=0.3):
                    print("client:", line)
            except TimeoutError as error:
                print("client:", error)
        thread.join(5)


main()
