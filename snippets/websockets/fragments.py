"""A message in three fragments, with a ping between them, over a TCP connection.

Needs: rfc6455.py
"""

import socket

from rfc6455 import ClientConnection, Connection, Request, ServerConnection


def carry(name: str, sock: socket.socket, connection: Connection) -> None:
    """Receive what has come, print its events, and send the answers."""
    connection.feed(sock.recv(4096))
    for event in connection.events():
        if isinstance(event, Request) and isinstance(connection, ServerConnection):
            print(f"{name}: a request for {event.target}")
            connection.accept()
        else:
            print(f"{name}: {event}")
    if answers := connection.data_to_send():
        sock.sendall(answers)


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    dialled = socket.create_connection(listener.getsockname(), timeout=5)
    accepted, _ = listener.accept()
    with dialled, accepted:
        accepted.settimeout(5)
        client, server = ClientConnection("127.0.0.1"), ServerConnection()
        dialled.sendall(client.data_to_send())
        carry("server", accepted, server)
        carry("client", dialled, client)

        client.send("Hel", fin=False)
        dialled.sendall(client.data_to_send())
        carry("server", accepted, server)
        client.ping(b"there?")
        dialled.sendall(client.data_to_send())
        carry("server", accepted, server)
        carry("client", dialled, client)
        client.send("lo", fin=False)
        client.send("!")
        dialled.sendall(client.data_to_send())
        carry("server", accepted, server)
