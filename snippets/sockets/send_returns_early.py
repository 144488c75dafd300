"""send() returns although the other program cannot read: it is stopped.

send() hands the bytes to the kernel and reports how many it took. That the other
program has read them is only known when that program says so.

Needs: Linux
"""

import os
import signal
import socket
import sys
from pathlib import Path

MESSAGE = b"are you awake?"


def reader(listener: socket.socket) -> None:
    """Say when the connection is taken; then read one message and report it."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(b"ready")
        message = connection.recv(1024)
        connection.sendall(b"I have read %d bytes" % len(message))


def state_of(process: int) -> str:
    """Return the state in /proc/PID/status, such as "T (stopped)" (proc(5))."""
    status = Path(f"/proc/{process}/status").read_text()
    return status.partition("State:\t")[2].partition("\n")[0]


def main() -> None:
    """Send to a process while it is stopped, then let it go on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        process = os.fork()
        if process == 0:
            reader(listener)
            os._exit(0)
        try:
            with socket.create_connection(listener.getsockname(), 5) as sender:
                print("reader:", sender.recv(1024).decode())
                os.kill(process, signal.SIGSTOP)
                os.waitpid(process, os.WUNTRACED)  # returns when it has stopped
                print("the reader's state:", state_of(process))
                print("sender: send() ->", sender.send(MESSAGE))
                os.kill(process, signal.SIGCONT)
                print("reader:", sender.recv(1024).decode())
        except BaseException:
            os.kill(process, signal.SIGKILL)  # it may be stopped: nothing else ends it
            raise
        finally:
            os.waitpid(process, 0)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads the state of a process in /proc.")
