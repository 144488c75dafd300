"""HTTP keep-alive: one connection for many requests, until one side tires of it."""

import http.client
import select
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Count the requests of one connection; close it when it is idle too long."""

    protocol_version = "HTTP/1.1"  # the class's own default is 1.0
    timeout = 0.5  # seconds
    wbufsize = -1  # head and body go out together, at flush()
    answers = 0

    def do_GET(self) -> None:
        """Answer with a number: each connection has its own handler, which counts."""
        self.answers += 1
        body = b"answer %d of this connection" % self.answers
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def ask(client: http.client.HTTPConnection) -> str:
    """Return what a request brings: an answer, or the error."""
    try:
        client.request("GET", "/", headers={"Host": "localhost"})
        return client.getresponse().read().decode()
    except OSError as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Ask twice, wait until the server closes, and ask again."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False  # so that the end waits for them
        threading.Thread(target=server.serve_forever, name="server").start()
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        try:
            print("request 1:", ask(client))
            print("request 2:", ask(client))
            keep = client.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            print("SO_KEEPALIVE:", keep)
            select.select([client.sock], [], [], 5)
            print("idle: the server sends", client.sock.recv(1))
            print("request 3:", ask(client))
            print("request 4:", ask(client))
        finally:
            client.close()
            server.shutdown()


main()
