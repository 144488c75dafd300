"""Read exactly so many bytes, in however many pieces they come."""

import socket

PIECE = 65_536  # bytes; recv(n) makes room for n bytes before any have come


def recv_exactly(connection: socket.socket, size: int) -> bytes:
    """Return the next size bytes of the stream.

    The socket's time-out bounds each wait, and not the sum of them.

    Raises:
        ConnectionError: the stream ended before.
        OSError: the connection broke, or a wait was too long.
    """
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(min(PIECE, size - len(received)))
        if not piece:
            raise ConnectionError(f"ended after {len(received)} of {size} bytes")
        received += piece
    return bytes(received)


def main() -> None:
    """Read what was sent in other pieces, until the sender stops half-way."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as sender,
    ):
        listener.settimeout(5)
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(5)
            sender.sendall(b"onetwo, and thr")
            sender.shutdown(socket.SHUT_WR)  # no more: it stops within a word
            for size in (3, 3, 0, 4, 7):
                try:
                    print(f"{size} bytes:", recv_exactly(receiver, size))
                except ConnectionError as error:
                    print(f"{size} bytes:", error)


if __name__ == "__main__":
    main()
