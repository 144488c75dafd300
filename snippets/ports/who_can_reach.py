"""Who reaches a server that is bound to one address, or to all of them.

127.0.0.2 stands for a second address of this machine, such as the one in your
network. Linux gives the whole of 127.0.0.0/8 to loopback, so it is there already.

Needs: Linux
Varies: localhost is {text}
"""

import socket
import sys

ADDRESSES = ("127.0.0.1", "127.0.0.2", "0.0.0.0")


def dial(listener: socket.socket, host: str) -> str:
    """Connect to a host on the listener's port; say where the server met the client."""
    with socket.socket() as client:
        client.settimeout(5)
        try:
            client.connect((host, listener.getsockname()[1]))
        except ConnectionRefusedError:
            return "refused"
        connection, _ = listener.accept()
        with connection:
            return f"met at {connection.getsockname()[0]}"


def row(name: str, cells: list[str]) -> str:
    """Put cells under each other."""
    return f"{name:12}{''.join(f'{cell:19}' for cell in cells)}".rstrip()


def main() -> None:
    """Bind each address in turn, and dial each."""
    print(row("bound to", [f"dial {host}" for host in ADDRESSES]))
    for bound in ADDRESSES:
        with socket.create_server((bound, 0)) as listener:
            listener.settimeout(5)
            print(row(bound, [dial(listener, host) for host in ADDRESSES]))
    found = socket.getaddrinfo("localhost", None, type=socket.SOCK_STREAM)
    print("localhost is", " and ".join(str(entry[4][0]) for entry in found))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux, which answers on all of 127.0.0.0/8.")
