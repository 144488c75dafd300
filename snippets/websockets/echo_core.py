"""The loop around the core: receive, feed, go through the events, send.

Needs: rfc6455.py
"""

import socket
import threading

from rfc6455 import ClientConnection, Closed, Connection, Opened, Request, State, Text
from rfc6455 import ServerConnection as Server


def flush(sock: socket.socket, connection: Connection) -> None:
    """Send what there is to be sent."""
    if data := connection.data_to_send():
        sock.sendall(data)


def talk(sock: socket.socket, connection: Connection) -> None:
    """Carry bytes between a socket and the core until the WebSocket is closed."""
    who = threading.current_thread().name
    while True:
        for event in connection.events():
            if isinstance(event, Request) and isinstance(connection, Server):
                connection.accept()
            elif isinstance(event, Opened):
                connection.send("hello")
            elif isinstance(event, Text):
                print(f"{who}: {event.data}")
                if isinstance(connection, Server):
                    connection.send(event.data.upper())
                else:
                    connection.close()
            elif isinstance(event, Closed):
                print(f"{who}: closed with {event.code}")
            flush(sock, connection)
        flush(sock, connection)
        if connection.state is State.CLOSED:
            return
        if data := sock.recv(65_536):
            connection.feed(data)
        else:
            connection.feed_eof()


def serve(listener: socket.socket) -> None:
    """Talk with one client."""
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(5)
        talk(sock, Server())


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    thread = threading.Thread(target=serve, args=(listener,), name="server")
    thread.start()
    with socket.create_connection(listener.getsockname(), timeout=5) as sock:
        threading.current_thread().name = "client"
        talk(sock, ClientConnection("127.0.0.1"))
        print("client:", sock.recv(1), "is the server's FIN")
    thread.join()
