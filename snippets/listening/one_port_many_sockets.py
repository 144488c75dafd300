"""One listening socket and three connections: four sockets, one local port.

accept() makes a new socket, not a new port. What differs from one connection to
the next is the address of the other end.
"""

import socket
from contextlib import ExitStack

with ExitStack() as sockets:  # closes every socket at the end
    listener = sockets.enter_context(socket.socket())
    listener.settimeout(5)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print("listening socket:   descriptor", listener.fileno())
    print("   local", listener.getsockname(), "peer none")

    for _ in range(3):
        client = sockets.enter_context(socket.socket())
        client.settimeout(5)
        client.connect(listener.getsockname())

    for number in (1, 2, 3):
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        print(f"connected socket {number}: descriptor", connection.fileno())
        print("   local", connection.getsockname(), "peer", peer)
