"""The kernel tells who is at the other end of a UNIX socket: SO_PEERCRED.

Needs: Linux
"""

import os
import socket
import struct
import sys
import tempfile


def credentials(connection: socket.socket) -> tuple[int, int, int]:
    """Return the pid, uid and gid that the peer had when it connected (unix(7))."""
    size = struct.calcsize("=iII")
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    pid, uid, gid = struct.unpack("=iII", told)
    return pid, uid, gid


def main() -> None:
    """Let a child process dial, and ask the kernel who it is."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/door.sock")
        door.listen()
        door.settimeout(5)
        child = os.fork()
        if child == 0:
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(5)
                    client.connect(f"{folder}/door.sock")
                    client.recv(1)  # stay until the server has asked
            finally:
                os._exit(0)
        try:
            connection, address = door.accept()
            with connection:
                pid, uid, gid = credentials(connection)
                print("the client's address:", repr(address))
                print("its process is my child:", pid == child)
                print("its user is mine:", (uid, gid) == (os.getuid(), os.getgid()))
        finally:
            os.waitpid(child, 0)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: others have LOCAL_PEERCRED or getpeereid().")
