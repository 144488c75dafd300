"""One UDP socket talks to three clients, in both directions, without accept()."""

import socket
from contextlib import ExitStack

with ExitStack() as sockets:  # closes every socket at the end
    server = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    server.bind(("127.0.0.1", 0))
    server.settimeout(5)
    clients = []
    for name in (b"ann", b"bob", b"cy"):
        client = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        client.settimeout(5)
        client.sendto(name, server.getsockname())
        clients.append(client)

    for _ in clients:
        name, address = server.recvfrom(1024)
        print("server:", name.decode(), "is at", address)
        server.sendto(b"hello, " + name, address)
    for client in clients:
        data, address = client.recvfrom(1024)
        print("client at port", client.getsockname()[1], "got", data, "from", address)
