"""A heartbeat made of messages, for clients that cannot send a ping: browsers.

Needs: rfc6455.py
"""

import socket

from rfc6455 import ClientConnection, Request, ServerConnection, Text

PATIENCE = 0.3  # seconds without an answer; in a page some 10 seconds


def answer(sock: socket.socket, server: ServerConnection) -> None:
    """Answer what has come: a message "ping" with a message "pong"."""
    server.feed(sock.recv(4096))
    for event in server.events():
        if isinstance(event, Request):
            server.accept()
        elif event == Text("ping"):
            server.send("pong")
    sock.sendall(server.data_to_send())


def heard(sock: socket.socket, client: ClientConnection) -> bool:
    """Return whether anything comes in time; what comes is printed."""
    try:
        data = sock.recv(4096)
    except TimeoutError:
        return False
    if not data:  # the server has closed
        return False
    client.feed(data)
    for event in client.events():
        print("client:", event)
    return True


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    dialled = socket.create_connection(listener.getsockname(), timeout=5)
    accepted, _ = listener.accept()
    with dialled, accepted:
        accepted.settimeout(5)
        dialled.settimeout(PATIENCE)
        client, server = ClientConnection("127.0.0.1"), ServerConnection()
        dialled.sendall(client.data_to_send())
        answer(accepted, server)
        heard(dialled, client)
        for server_is_well in (True, True, False):
            client.send("ping")
            dialled.sendall(client.data_to_send())
            if server_is_well:
                answer(accepted, server)
            if not heard(dialled, client):
                print("client: no pong, so this connection is dead to me")
