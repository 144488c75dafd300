"""Three ways to close a socket, and what the other side's recv() makes of each."""

import socket
import struct
import sys

NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # on, 0 s


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    server.settimeout(5)
    return client, server


def outcome(sock: socket.socket) -> str:
    """Return what one recv() gives: bytes, or the words of the error."""
    try:
        return str(sock.recv(1024))
    except OSError as error:
        return str(error)


def attempt(how: str, *, read: bool, linger: bool) -> None:
    """Let the server answer and close; print what the client gets of it."""
    client, server = pair()
    with client, server:
        client.sendall(b"question")
        if read:
            server.recv(1024)
        server.sendall(b"answer")
        if linger:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        server.close()
        print(f"{how}:")
        for _ in range(3):
            print("  client: recv() ->", outcome(client))


attempt("close(), all was read", read=True, linger=False)
attempt("close(), the question was not read", read=False, linger=False)
attempt("SO_LINGER with 0 seconds, close()", read=True, linger=True)
