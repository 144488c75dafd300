"""A listening socket is closed while a client waits in its queue.

The client's connect() had succeeded. Nobody had accepted it, so nobody can say
goodbye: the kernel resets the connection.
"""

import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    address = listener.getsockname()
    with socket.create_connection(address, timeout=5) as first:
        connection, _ = listener.accept()
        connection.settimeout(5)
        print("first client:  connect(), and the server accepts it")
        with connection, socket.create_connection(address, timeout=5) as second:
            print("second client: connect(), and nobody accepts it")
            listener.close()
            print("server: close() the listening socket")

            connection.sendall(b"you were in time")
            print("first client:  recv() ->", first.recv(1024))
            try:
                second.recv(1024)
            except ConnectionResetError as error:
                print("second client: recv() ->", error)
