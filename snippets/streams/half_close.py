"""Half-close: the client says that it is done, and still gets the answer."""

import socket


def read_to_end(sock: socket.socket) -> bytes:
    """Return all that comes until the other side has ended its stream.

    Raises:
        OSError: the end did not come in time (TimeoutError), or came as a reset.
    """
    received = b""
    while data := sock.recv(4096):
        received += data
    return received


def main() -> None:
    """Send numbers, end the stream, and let the other side add them up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(5)
        client.sendall(b"20 1 ")
        client.sendall(b"300")
        client.shutdown(socket.SHUT_WR)  # no more bytes will follow
        print("client: shutdown(SHUT_WR)")

        numbers = read_to_end(server)
        print("server: read to the end:", numbers)
        server.sendall(b"%d" % sum(map(int, numbers.split())))
        server.close()

        print("client: read to the end:", read_to_end(client))
        try:
            client.sendall(b" 4")
        except OSError as error:
            print("client: sendall() ->", error)


main()
