"""Turn a client away when no descriptor is left: the spare-descriptor trick.

A descriptor is kept open for nothing. When accept() fails, it is closed, the
client is accepted with its number and dropped, and the spare is opened again.

Needs: Linux
"""

import errno
import os
import resource
import socket
import sys


class Acceptor:
    """accept() for one thread that drops a client where no descriptor is left.

    Where another thread takes the number between close() and accept(), EMFILE is
    raised as before.
    """

    def __init__(self, listener: socket.socket) -> None:
        """Open the spare; `listener` has a time-out or does not block."""
        self._listener = listener
        self._spare = -1
        self._keep_spare()

    def _keep_spare(self) -> None:
        if self._spare < 0:
            self._spare = os.open(os.devnull, os.O_RDONLY)

    def close(self) -> None:
        """Let go of the spare; the listening socket is the caller's."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def accept(self) -> socket.socket | None:
        """Return a connection, or None if its client was turned away.

        Raises:
            OSError: what accept(2) raises otherwise.
        """
        self._keep_spare()
        try:
            return self._listener.accept()[0]
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        self.close()
        try:
            self._listener.accept()[0].close()
        finally:
            self._keep_spare()
        return None


def main() -> None:
    """Run out of descriptors with two clients in the queue."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as first,
        socket.create_connection(listener.getsockname(), timeout=5) as second,
    ):
        listener.settimeout(5)
        acceptor = Acceptor(listener)
        try:
            free = os.dup(listener.fileno())
            os.close(free)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
            connection = acceptor.accept()
            if connection is None:
                raise RuntimeError("there was a descriptor for the first client")
            with connection:
                connection.settimeout(5)
                print("server: first client accepted")
                print("server: second client ->", acceptor.accept())
                connection.sendall(b"welcome")
                print("first client: recv() ->", first.recv(1024))
                print("second client: recv() ->", second.recv(1024))
        finally:
            acceptor.close()


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it counts on how Linux numbers descriptors.")
