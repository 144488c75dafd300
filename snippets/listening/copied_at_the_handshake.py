"""Options are copied when the kernel makes the connection, not by accept().

Needs: Linux
"""

import socket
import sys


def nodelay(sock: socket.socket) -> bool:
    """Say whether TCP_NODELAY is set."""
    return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def main() -> None:
    """Connect, set an option on the listening socket, connect again; accept both."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = listener.getsockname()
        with socket.create_connection(address, timeout=5) as early:
            print("early client: connected, and waits in the queue")
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            print("listener: TCP_NODELAY", nodelay(listener))
            with socket.create_connection(address, timeout=5) as late:
                print("late client: connected")
                for name, client in (("early", early), ("late", late)):
                    connection, peer = listener.accept()
                    with connection:
                        assert peer == client.getsockname()
                        print(f"accept() -> {name}: TCP_NODELAY", nodelay(connection))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: elsewhere options may be copied differently.")
