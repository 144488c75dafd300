"""listen() does not wait for a client: it returns at once. accept() is what waits."""

import socket

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    accepts = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    print("before listen(): a listening socket?", bool(accepts))

    listener.listen()
    print("listen() has returned, and nobody has dialled")
    accepts = listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    print("after listen():  a listening socket?", bool(accepts))

    listener.settimeout(0.2)  # waits: nobody will come, and that is the point
    try:
        listener.accept()
    except TimeoutError as error:
        print("accept() waited 0.2 seconds for a client:", error)

    with socket.create_connection(listener.getsockname(), timeout=5) as client:
        connection, peer = listener.accept()
        with connection:
            print("accept() -> a connection from", peer)
            print("is that the client?", peer == client.getsockname())
