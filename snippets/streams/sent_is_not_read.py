"""send() has returned, the bytes are acknowledged, and nobody will ever read them.

Needs: Linux
"""

import fcntl
import os
import signal
import socket
import struct
import sys
import termios
import time


def server(listener: socket.socket) -> None:
    """Take a connection, and never come to read: this process stops itself."""
    connection, _ = listener.accept()
    with connection:
        os.kill(os.getpid(), signal.SIGSTOP)


def wait_until_acknowledged(sock: socket.socket) -> int:
    """Return how many bytes have no ACK yet: none, unless 3 seconds are over."""
    left, deadline = 1, time.monotonic() + 3
    while left and time.monotonic() < deadline:
        answer = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
        left = int(struct.unpack("i", answer)[0])
    return left


def main() -> None:
    """Send an order to a process, and kill that process before it reads."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        process = os.fork()
        if process == 0:
            server(listener)
            os._exit(0)
        try:
            with socket.create_connection(listener.getsockname(), 5) as client:
                os.waitpid(process, os.WUNTRACED)  # returns when it has stopped
                print("server: has accepted, and does not read")
                client.sendall(b"an order")
                print("client: sendall() has returned")
                print("kernel: bytes without an ACK:", wait_until_acknowledged(client))
                os.kill(process, signal.SIGKILL)
                print("server: killed, and has read nothing")
                print("client: recv() ->", client.recv(1024))
        except OSError as error:
            print("client: recv() ->", error)
        finally:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it asks its kernel what was acknowledged.")
