"""A connection that no program has accepted yet: established, with bytes waiting.

One thread makes every call, so accept() certainly comes last. What there is
before it stands in the kernel's own table, /proc/net/tcp: an inode of 0 there
means that no program has a descriptor for the socket.

Needs: Linux
"""

import os
import socket
import sys
import time
from pathlib import Path


def inode_in_kernel(server_port: int, client_port: int, waiting: int) -> int:
    """Find the server's end in /proc/net/tcp, print what it says, return the inode.

    Looks again, for 5 seconds at most, until that many bytes wait to be received.
    """
    local, remote = f":{server_port:04X}", f":{client_port:04X}"
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for line in Path("/proc/net/tcp").read_text().splitlines():
            _, here, there, state, queues, *_, inode = line.split()[:10]
            ends = here.endswith(local) and there.endswith(remote)
            if ends and state == "01" and queues.endswith(f":{waiting:08X}"):
                owner = "a program's" if int(inode) else "0, no program has it"
                print(f"kernel: ESTABLISHED, {waiting} bytes waiting, inode: {owner}")
                return int(inode)
    raise TimeoutError(f"no such connection with {waiting} bytes waiting")


def main() -> None:
    """Connect and send; look; only then accept, and look again."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.settimeout(5)
        client.connect(listener.getsockname())
        print("client: connect() to", client.getpeername())
        print("client: send() ->", client.send(b"are you there, yet?"))
        ports = client.getpeername()[1], client.getsockname()[1]
        inode_in_kernel(*ports, waiting=19)

        listener.settimeout(5)
        connection, peer = listener.accept()
        with connection:
            connection.settimeout(5)
            print("server: accept() -> a second socket, connected to", peer)
            inode = inode_in_kernel(*ports, waiting=19)
            same = inode == os.fstat(connection.fileno()).st_ino
            print("server: the second socket has this inode:", same)
            print("server: recv() ->", connection.recv(1024))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc/net/tcp.")
