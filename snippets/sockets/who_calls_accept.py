"""The client never calls accept(): on its socket the call is an error.

accept() takes a connection out of a listening socket's queue, and a client's
socket has no queue. The calls are non-blocking because of the error's text: on a
connected socket with a time-out Python first waits, and then says "timed out".
"""

import socket

with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
    client.settimeout(0)
    try:
        client.accept()
    except OSError as error:
        print("client: accept() before connect() ->", error)

    client.settimeout(5)
    client.connect(listener.getsockname())
    print("client: connect() to", client.getpeername())

    client.settimeout(0)
    try:
        client.accept()
    except OSError as error:
        print("client: accept() after connect()  ->", error)

    listener.settimeout(5)
    connection, peer = listener.accept()
    with connection:
        print("server: accept() -> a second socket, connected to", peer)
