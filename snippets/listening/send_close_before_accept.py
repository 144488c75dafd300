"""A client connects, sends and leaves before accept(): its bytes are still there.

The kernel keeps what came, and the end of the stream behind it, for the program
that accepts later.
"""

import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    with socket.create_connection(listener.getsockname(), timeout=5) as client:
        client.sendall(b"late")
        print("client: connect(), sendall(b'late')")
    print("client: close()")

    connection, _ = listener.accept()
    print("server: accept()")
    with connection:
        connection.settimeout(5)
        print("server: recv() ->", connection.recv(1024))
        print("server: recv() ->", connection.recv(1024))
