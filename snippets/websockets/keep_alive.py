"""Does HTTP close the connection after each answer? Two requests, in three ways."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class NewHandler(BaseHTTPRequestHandler):
    """Answer, and note from which port the client has dialled."""

    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds
    wbufsize = -1  # head and content in one write: see the chapter on buffers
    ports: list[int] = []  # noqa: RUF012 - one list for all connections

    def do_GET(self) -> None:
        """Answer."""
        self.ports.append(self.client_address[1])
        self.send_response_only(200)
        self.send_header("Content-Length", "2")
        if self.close_connection:
            self.send_header("Connection", "close")  # http.server leaves that to you
        self.end_headers()
        self.wfile.write(b"ok")
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class OldHandler(NewHandler):
    """The same in the version that http.server speaks unless told otherwise."""

    protocol_version = BaseHTTPRequestHandler.protocol_version


def ask_twice(handler: type[NewHandler], headers: dict[str, str]) -> str:
    """Return the client's ports in two requests, and if the connection is open."""
    handler.ports.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = False  # so that the end waits for them
        threading.Thread(target=server.serve_forever, name="server").start()
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=5)
        try:
            for _ in range(2):
                client.request("GET", "/", headers={"Host": "localhost"} | headers)
                client.getresponse().read()
            first, second = handler.ports
            after = "open" if client.sock else "closed"
            return f"from port {first}   from port {second}   then {after}"
        finally:
            client.close()
            server.shutdown()


def main() -> None:
    """Ask in three ways."""
    print("HTTP/1.1                   ", ask_twice(NewHandler, {}))
    closing = {"Connection": "close"}
    print("HTTP/1.1, Connection: close", ask_twice(NewHandler, closing))
    print(OldHandler.protocol_version, "                  ", ask_twice(OldHandler, {}))


main()
