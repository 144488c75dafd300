"""An allow-list of addresses lets a stranger in, because a proxy stands between.

Needs: Linux
"""

import socket
import sys

TRUSTED = {"127.0.0.1"}  # wrong: it says where bytes come from, not who sent them


def verdict(listener: socket.socket) -> str:
    """Accept one connection and judge it by its peer's address."""
    connection, peer = listener.accept()
    with connection:
        word = "let in" if peer[0] in TRUSTED else "turned away"
        return f"server sees {peer}: {word}"


def main() -> None:
    """Dial the server directly, and then through a proxy on its own machine."""
    stranger = ("127.0.0.66", 0)  # on Linux all of 127.0.0.0/8 is this machine
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("127.0.0.1", 0)) as proxy,
    ):
        server.settimeout(5)
        proxy.settimeout(5)
        with socket.create_connection(server.getsockname(), 5, stranger) as client:
            print("stranger dials from", client.getsockname())
            print("directly:", verdict(server))
        with socket.create_connection(proxy.getsockname(), 5, stranger) as client:
            print("stranger dials from", client.getsockname())
            inward, _ = proxy.accept()
            with inward, socket.create_connection(server.getsockname(), 5):
                print("by proxy:", verdict(server))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it dials from a second loopback address.")
