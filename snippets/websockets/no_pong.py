"""A client that reads nothing gets a ping; without a pong the server closes with 1011.

Needs: rfc6455.py
"""

import select
import socket

from rfc6455 import ClientConnection, Code, Request, ServerConnection, State

PATIENCE = 0.3  # seconds; 20 is usual


def serve(sock: socket.socket) -> None:
    """Ping after silence, and close if the silence goes on."""
    server, pinged = ServerConnection(), False
    while server.state is not State.CLOSED:
        if select.select([sock], [], [], PATIENCE)[0]:  # waits: silence is the subject
            if data := sock.recv(4096):
                server.feed(data)
            else:
                server.feed_eof()
            pinged = False
            for event in server.events():
                if isinstance(event, Request):
                    server.accept()
        elif not pinged:
            print("server: silence, so a ping")
            server.ping(b"there?")
            pinged = True
        else:
            print("server: no pong, so 1011, and nobody to wait for")
            server.close(Code.INTERNAL_ERROR, "no pong")
            sock.sendall(server.data_to_send())
            return
        sock.sendall(server.data_to_send())


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    silent = socket.create_connection(listener.getsockname(), timeout=5)
    accepted, _ = listener.accept()
    with silent:
        client = ClientConnection("127.0.0.1")
        silent.sendall(client.data_to_send())
        with accepted:
            accepted.settimeout(5)
            serve(accepted)
        # The client wakes up too late, and finds what happened meanwhile.
        while data := silent.recv(4096):
            client.feed(data)
            for event in client.events():
                print("client:", event)
