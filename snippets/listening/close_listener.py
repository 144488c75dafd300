"""Closing the listening socket ends no conversation: it only takes no new ones."""

import socket

with socket.socket() as listener, socket.socket() as client:
    listener.settimeout(5)
    client.settimeout(5)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    address = listener.getsockname()
    client.connect(address)
    connection, _ = listener.accept()

    listener.close()
    print("the listening socket is closed")

    with connection, socket.socket() as late:
        connection.settimeout(5)
        client.sendall(b"still there?")
        print("server: recv() ->", connection.recv(1024))
        connection.sendall(b"yes")
        print("client: recv() ->", client.recv(1024))
        print(
            "server: the connection's local address is still", connection.getsockname()
        )

        late.settimeout(5)
        try:
            late.connect(address)
        except ConnectionRefusedError as error:
            print("a new client: connect() ->", error)
