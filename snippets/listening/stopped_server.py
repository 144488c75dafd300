"""A client connects and sends while the server's whole process is stopped.

A stopped process runs no code at all. The kernel still completes the handshake
and keeps the bytes; the server finds them when it goes on.

Needs: Linux
"""

import os
import signal
import socket
import sys
import time
from pathlib import Path


def serve_one(listener: socket.socket) -> None:
    """Accept one client and send its message back."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(b"you said: " + connection.recv(1024))


def state_of(process: int) -> str:
    """Return the state in /proc/PID/status, such as "T (stopped)" (proc(5))."""
    status = Path(f"/proc/{process}/status").read_text()
    return status.partition("State:\t")[2].partition("\n")[0]


def in_kernel(server_port: int, waiting: int) -> str:
    """Return what /proc/net/tcp says of the connection on the server's port.

    Looks again, for 5 seconds at most, until that many bytes wait to be received.
    """
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in Path("/proc/net/tcp").read_text().splitlines():
            _, here, _, state, queues, *_, inode = line.split()[:10]
            ours = here.endswith(f":{server_port:04X}") and state == "01"
            if ours and queues.endswith(f":{waiting:08X}"):
                return f"ESTABLISHED, {waiting} bytes waiting, inode {inode}"
    raise TimeoutError(f"no connection with {waiting} bytes waiting")


def main() -> None:
    """Stop the server before anyone connects; let it go on after the message."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = listener.getsockname()
        server = os.fork()
        if server == 0:
            serve_one(listener)
            os._exit(0)
    try:
        os.kill(server, signal.SIGSTOP)
        os.waitpid(server, os.WUNTRACED)  # returns when it has stopped
        print("server process:", state_of(server))
        with socket.create_connection(address, timeout=5) as client:
            print("client: connect() to", client.getpeername())
            print("client: send() ->", client.send(b"hello"))
            print("kernel:", in_kernel(address[1], waiting=5))
            print("server process:", state_of(server))
            os.kill(server, signal.SIGCONT)
            print("client: recv() ->", client.recv(1024))
    except BaseException:
        os.kill(server, signal.SIGKILL)  # it may be stopped: nothing else ends it
        raise
    finally:
        os.waitpid(server, 0)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads the state of a process in /proc.")
