"""Three messages by TCP and three by UDP: what each takes, and what arrives.

The second message is empty. TCP has nothing to carry for it, UDP has.
"""

import socket

MESSAGES = (b"one", b"", b"three")


def by_tcp() -> None:
    """Dial and send; the server reads until the end of the stream."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), timeout=5) as client,
    ):
        listener.settimeout(5)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            for message in MESSAGES:
                client.sendall(message)
            client.shutdown(socket.SHUT_WR)  # no more from the client
            pieces = iter(lambda: connection.recv(1024), b"")
            print("TCP, until the end:", b"".join(pieces))


def by_udp() -> None:
    """Send without dialling; one recvfrom() takes one message."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        for message in MESSAGES:
            sender.sendto(message, receiver.getsockname())
        for _ in MESSAGES:
            print("UDP, one recvfrom():", *receiver.recvfrom(1024))


by_tcp()
by_udp()
