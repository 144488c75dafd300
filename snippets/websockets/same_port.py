"""A page and a WebSocket from one listening socket: the request says which it is.

Needs: rfc6455.py
"""

import socket
import threading
from http import HTTPStatus
from http.client import HTTPConnection

from rfc6455 import ClientConnection, HandshakeError, Request, ServerConnection, State

PAGE = "<!doctype html><title>Chat</title>"


def serve(listener: socket.socket) -> None:
    """Answer three clients."""
    for _ in range(3):
        serve_one(listener)


def serve_one(listener: socket.socket) -> None:
    """Answer one client: with the page at /, with a WebSocket at /ws."""
    sock, _ = listener.accept()
    with sock:
        sock.settimeout(5)
        server = ServerConnection()
        while server.state is State.CONNECTING:
            if data := sock.recv(4096):
                server.feed(data)
            else:
                server.feed_eof()
            for event in server.events():
                if not isinstance(event, Request):
                    break
                try:
                    if event.target == "/":
                        server.respond(
                            HTTPStatus.OK, PAGE, {"Content-Type": "text/html"}
                        )
                    else:
                        server.accept()
                except HandshakeError as error:
                    server.respond(error.status, str(error))
            sock.sendall(server.data_to_send())
        if server.state is State.OPEN:
            server.send("welcome")
            sock.sendall(server.data_to_send())


def fetch(path: str) -> None:
    """Ask as any HTTP client does."""
    http = HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=5)
    http.request("GET", path)
    answer = http.getresponse()
    print(f"GET {path:3} ->", answer.status, answer.reason, answer.read())
    http.close()


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    thread = threading.Thread(target=serve, args=(listener,), name="server")
    thread.start()
    fetch("/")
    fetch("/ws")
    with socket.create_connection(listener.getsockname(), timeout=5) as sock:
        client = ClientConnection("127.0.0.1", "/ws")
        sock.sendall(client.data_to_send())
        while data := sock.recv(4096):
            client.feed(data)
            for event in client.events():
                print("WebSocket /ws ->", event)
    thread.join()
