"""What the number in curl's message says: five ways to get no answer.

Needs: curl
"""

import shutil
import socket
import struct
import subprocess
from collections.abc import Callable


def leave(client: socket.socket) -> None:
    """Close, with the request read and no answer given."""


def reset(client: socket.socket) -> None:
    """Close with a reset."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def greet(client: socket.socket) -> None:
    """Say something that is no HTTP."""
    client.sendall(b"220 mail.example\r\n")


def ask(port: int, within: float = 10) -> subprocess.Popen[bytes]:
    """Start curl, which ends with the number of its message as exit status."""
    return subprocess.Popen(["curl", "-sm", str(within), f"http://127.0.0.1:{port}/"])


def failed(server: socket.socket, behave: Callable[[socket.socket], None]) -> int:
    """Let curl ask a server that reads the request and behaves; return the number."""
    with ask(server.getsockname()[1]) as curl:
        client, _ = server.accept()
        with client:
            client.settimeout(5)
            client.recv(65536)
            behave(client)
        return curl.wait(10)


def main() -> None:
    """Ask servers that fail, each in its own way."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        ask(silent.getsockname()[1], within=0.5) as curl,
    ):
        print(f"{curl.wait(10)}  nobody answers within the time of -m")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        port = server.getsockname()[1]
        print(f"{failed(server, leave)}  the server closes without an answer")
        print(f"{failed(server, reset)}  the server resets the connection")
        print(f"{failed(server, greet)}  what answers speaks no HTTP")
    with ask(port) as curl:
        print(f"{curl.wait(10)}  nobody listens at that port")


if shutil.which("curl"):
    main()
else:
    print("There is no curl here.")
