"""How much one send() hands to the kernel, while the other side reads nothing.

Varies: send() -> {int>=1} of
"""

import socket

MUCH = 50_000_000  # bytes


def main() -> None:
    """Send without waiting, to a peer that does not read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        client.settimeout(0)  # take what there is room for, and return
        print("send() ->", client.send(bytes(MUCH)), "of", MUCH, "bytes")


main()
