"""What strace shows: each socket call of a program, and what the kernel answered.

Needs: Linux, strace
"""

import shutil
import socket
import subprocess
import sys


def dial(ports: list[str]) -> None:
    """Be the client that strace watches: dial each port, and send if it answers."""
    for port in ports:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", int(port))) == 0:
                client.sendall(b"hello")


def main() -> None:
    """Let strace watch a client that dials two ports, one of which nobody serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens there
        ports = [str(sock.getsockname()[1]) for sock in (listener, unused)]
        print("$ strace -f -e trace=%network python -I with_strace.py", *ports)
        client = [sys.executable, "-I", __file__, *ports]
        done = subprocess.run(
            ["strace", "-f", "-e", "trace=%network", *client],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        print(done.stderr, end="")


if len(sys.argv) > 1:
    dial(sys.argv[1:])
elif shutil.which("strace"):
    main()
else:
    print("There is no strace here: it is for Linux.")
