"""The peer has closed: the first send() works, and the second is a broken pipe.

Needs: Linux
"""

import select
import socket
import sys


def wait_for_the_reset(sock: socket.socket) -> None:
    """Return when the connection is over in both directions (poll(2): POLLHUP)."""
    over = select.poll()
    over.register(sock, 0)  # POLLHUP and POLLERR are reported unasked
    over.poll(5000)


def main() -> None:
    """Read the end of the stream, and send all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        server.close()
        print("client: recv() ->", client.recv(1024))
        print("client: send() ->", client.send(b"an order"))
        wait_for_the_reset(client)
        try:
            client.send(b"another")
        except OSError as error:
            print("client: send() ->", error)
        print("client: recv() ->", client.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; others may give another error.")
