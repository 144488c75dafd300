"""Wrong on purpose: one recv() is taken for one message.

A short message arrives whole, so the tests pass. A long one arrives in pieces,
and its rest is then taken for the next message.
"""

import json
import socket


def receive(connection: socket.socket) -> int:
    """Return the length of the text in a message; wrong, see above."""
    message = json.loads(connection.recv(4096))
    return len(message["text"])


with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as client,
):
    listener.settimeout(5)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        for length in (10, 10_000, 10):
            client.sendall(json.dumps({"text": "x" * length}).encode())
            try:
                print(f"sent a text of {length}: got {receive(connection)}")
            except ValueError as error:
                print(f"sent a text of {length}: {type(error).__name__}: {error}")
