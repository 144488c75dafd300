"""Port 0 asks the kernel for a free port; getsockname() tells which one it is."""

import socket
from contextlib import ExitStack

with ExitStack() as sockets:  # closes every socket at the end
    ports = []
    for _ in range(10):
        sock = sockets.enter_context(socket.socket())
        sock.bind(("127.0.0.1", 0))
        ports.append(sock.getsockname()[1])
    print("asked for port 0 ten times, and got:")
    print(*ports[:5])
    print(*ports[5:])
    print("different ports:", len(set(ports)))
