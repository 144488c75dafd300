"""An HTTP server that speaks before it is asked: its words are no answer."""

import http.client
import socket
import threading


def serve(listener: socket.socket) -> None:
    """Send the news to whoever dials, and then listen."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)
        connection.sendall(b"news: the bread is out of the oven\r\n")
        while connection.recv(65536):
            pass  # until the client has closed: then nothing unread makes a reset


def main() -> None:
    """Ask a server that has spoken already."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = threading.Thread(target=serve, args=[listener], name="server")
        server.start()
        port = listener.getsockname()[1]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        client.request("GET", "/bread", headers={"Host": "localhost"})
        try:
            client.getresponse()
        except http.client.BadStatusLine as error:
            print("BadStatusLine:", str(error).rstrip())
        finally:
            client.close()
        server.join()


main()
