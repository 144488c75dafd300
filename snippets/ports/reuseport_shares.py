"""Two processes listen on one port: SO_REUSEPORT, and the kernel deals the clients.

Neither accepts; it is enough to ask whether clients wait in its queue.

Needs: Linux
"""

import os
import select
import socket
import sys
from contextlib import ExitStack

CLIENTS = 40  # one process gets them all about once in 500 thousand million runs


def server(address: tuple[str, int]) -> socket.socket:
    """Return a listening socket that others of the same user may join."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(CLIENTS)
    except BaseException:
        sock.close()
        raise
    return sock


def has_some(listener: socket.socket) -> bool:
    """Say whether a client waits in the accept queue."""
    return select.select([listener], [], [], 0)[0] == [listener]


def other_process(address: tuple[str, int], parent: socket.socket) -> None:
    """Listen, say so; when asked, tell whether clients wait."""
    with server(address) as listener:
        parent.sendall(b"ready")
        parent.recv(1)
        parent.sendall(b"some" if has_some(listener) else b"none")
        parent.recv(1)


def main() -> None:
    """Listen in two processes, dial many times, and look into both queues."""
    here, there = socket.socketpair()
    with here, there, server(("127.0.0.1", 0)) as listener:
        here.settimeout(5)
        there.settimeout(5)
        address = listener.getsockname()
        process = os.fork()
        if process == 0:
            listener.close()
            other_process(address, there)
            os._exit(0)
        try:
            here.recv(5)
            print("two processes listen on one port")
            with ExitStack() as clients:  # closes every client at the end
                for _ in range(CLIENTS):
                    clients.enter_context(socket.create_connection(address, 5))
                print(f"{CLIENTS} clients are connected")
                here.sendall(b"?")
                print("the first process has some of them:", has_some(listener))
                print("the second has", here.recv(4).decode())
            here.sendall(b".")
        finally:
            os.waitpid(process, 0)


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
