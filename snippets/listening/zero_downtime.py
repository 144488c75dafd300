"""A server is replaced by a new process while clients dial: none is refused.

The old process sends its listening socket to the new one and closes its own
descriptor. The socket itself, with its queue, lives on.

Needs: Linux
"""

import socket
import subprocess
import sys
from contextlib import ExitStack


def serve(listener: socket.socket, name: str, number: int) -> None:
    """Answer so many clients, each with the name of the server."""
    for _ in range(number):
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            connection.sendall(name.encode())


def successor() -> None:
    """Be the new process: get the listening socket by way of standard input."""
    with socket.socket(fileno=0) as parent:
        parent.settimeout(5)
        _, descriptors, _, _ = socket.recv_fds(parent, 1, maxfds=1)
        with socket.socket(fileno=descriptors[0]) as listener:
            listener.settimeout(5)
            serve(listener, "the new process", 2)


def main() -> None:
    """Serve, start the successor, hand over; a client dials before each step."""
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    command = [sys.executable, __file__, "new"]
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as ended:
        listener.settimeout(5)
        address = listener.getsockname()
        clients = []

        def dial() -> None:
            client = socket.create_connection(address, timeout=5)
            clients.append(ended.enter_context(client))

        dial()
        serve(listener, "the old process", 1)
        ended.enter_context(ours)
        with theirs:
            new = ended.enter_context(subprocess.Popen(command, stdin=theirs.fileno()))
            ended.callback(new.kill)
        dial()
        socket.send_fds(ours, [b"!"], [listener.fileno()])
        listener.close()
        dial()
        for number, client in enumerate(clients, 1):
            print(f"client {number}: served by", client.recv(1024).decode())
        print("the new process ended with", new.wait(5))


if sys.platform != "linux":
    print("This program needs Linux: elsewhere a passed socket may behave otherwise.")
elif sys.argv[1:] == ["new"]:
    successor()
else:
    main()
