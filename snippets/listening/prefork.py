"""A listening socket that two forked workers share, and in which they take turns.

Needs: Linux
"""

import contextlib
import errno
import multiprocessing
import socket
import sys
import time
from pathlib import Path

fork = multiprocessing.get_context("fork")


def work(listener: socket.socket, name: str) -> None:
    """Serve one client after the other until the listening socket is shut down."""
    while True:
        try:
            connection, _ = listener.accept()  # waits: main() ends it by shutdown()
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
            raise
        with connection, contextlib.suppress(OSError):  # a rude client ends no worker
            connection.settimeout(5)
            connection.sendall(name.encode())


def wait_until_asleep(process: int | None) -> None:
    """Return when a process sleeps, here in accept() (proc(5), /proc/PID/stat)."""
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] != "S":
        if time.monotonic() > deadline:
            raise TimeoutError(f"{process} does not come to rest")


def main() -> None:
    """Listen, fork, dial four times, and end the workers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        workers = [
            fork.Process(target=work, args=(listener, f"worker {number}"))
            for number in (1, 2)
        ]
        try:
            for worker in workers:
                worker.start()
                wait_until_asleep(worker.pid)
            for number in (1, 2, 3, 4):
                address = listener.getsockname()
                with socket.create_connection(address, timeout=5) as client:
                    print(f"client {number}:", client.recv(1024).decode())
                for worker in workers:
                    wait_until_asleep(worker.pid)
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends accept() in every process
            for worker in workers:
                worker.join(5)
                worker.kill()
        print("the workers ended with", *(worker.exitcode for worker in workers))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it sees in /proc when a worker sleeps.")
