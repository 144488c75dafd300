"""A server may speak first: no request is needed before it may send.

SMTP, SSH and FTP servers do so. Who sends first is a rule of the protocol that
the two programs have agreed on; TCP has no such rule.
"""

import socket

with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as client,
):
    listener.settimeout(5)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(5)

        connection.sendall(b"220 ready\r\n")
        print("server: sendall() before the client has sent a byte")
        print("client: recv() ->", client.recv(1024))

        client.sendall(b"QUIT\r\n")
        print("client: sendall(), its first word")
        print("server: recv() ->", connection.recv(1024))
