"""A WebSocket client meets a plain TCP echo server, and a plain HTTP server.

Needs: rfc6455.py, ws_client.py
"""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from ws_client import ClosedError, WebSocket


class Page(BaseHTTPRequestHandler):
    """A web server that knows nothing of WebSockets."""

    timeout = 5
    server_version = sys_version = "-"  # else it tells everybody which Python it is

    def do_GET(self) -> None:
        """Answer with an empty page, whatever the headers say."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def echo_once(listener: socket.socket) -> None:
    """Send back what comes first."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(connection.recv(4096))


def dial(what: str, port: int) -> None:
    """Try to open a WebSocket."""
    try:
        WebSocket(f"ws://127.0.0.1:{port}/", timeout=5)
    except ClosedError as error:
        print(f"{what}: {error}")


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    thread = threading.Thread(target=echo_once, args=(listener,), name="echo server")
    thread.start()
    dial("TCP echo server", listener.getsockname()[1])
    thread.join()

with HTTPServer(("127.0.0.1", 0), Page) as server:
    server.timeout = 5
    thread = threading.Thread(target=server.handle_request, name="web server")
    thread.start()
    dial("HTTP server", server.server_port)
    thread.join()
