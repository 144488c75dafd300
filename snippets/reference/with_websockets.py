"""Talk to a WebSocket server by hand: type a line, and read what comes.

Needs: pip install websockets
"""

import re
import subprocess
import sys
import threading

from websockets.sync.server import ServerConnection, serve

ESCAPES = re.compile("\x1b(?:[78]|\\[[A-Z])")  # by these it moves the cursor


def echo(websocket: ServerConnection) -> None:
    """Say again what the client says."""
    for message in websocket:
        websocket.send(f"you said {message!r}")


def talk(url: str) -> None:
    """Type one line into the client that comes with websockets, and leave."""
    print("$ python -m websockets", url)
    with subprocess.Popen(
        [sys.executable, "-m", "websockets", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("hello\n")
        client.stdin.flush()
        for line in client.stdout:
            shown = ESCAPES.sub("", line).strip()
            if shown:
                print(shown)
            if "said" in shown:
                client.stdin.close()


def main() -> None:
    """Start a server, and talk to it."""
    with serve(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, name="server")
        thread.start()
        talk(f"ws://127.0.0.1:{server.socket.getsockname()[1]}/")
        server.shutdown()
        thread.join()


main()
