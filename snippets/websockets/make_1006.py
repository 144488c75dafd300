"""End a WebSocket in three ways without a Close frame, and see 1006 each time.

Needs: rfc6455.py
"""

import socket
import struct
import subprocess
import sys

from rfc6455 import ClientConnection, Request, ServerConnection

# A program that dials, asks for a WebSocket, waits for the answer, and is killed.
KILLED = """
import os, signal, socket, sys
sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
sock.sendall(bytes.fromhex(sys.argv[2]))
sock.recv(4096)
os.kill(os.getpid(), signal.SIGTERM)
"""


def hear(sock: socket.socket, server: ServerConnection) -> bool:
    """Receive once; say how it ended, and return whether it did."""
    try:
        data = sock.recv(4096)
        told = f"recv() gave {data!r}"
    except ConnectionResetError as error:
        data, told = b"", f"recv() raised {error}"
    if data:
        server.feed(data)
    else:
        server.feed_eof()
    for event in server.events():
        if isinstance(event, Request):
            server.accept()
            sock.sendall(server.data_to_send())
        else:
            print(f"  {told}: {event}")
    return not data


def open_and_end(how: str, listener: socket.socket) -> None:
    """Open a WebSocket, and end it."""
    print(f"{how}:")
    request = ClientConnection("127.0.0.1").data_to_send()
    port = str(listener.getsockname()[1])
    if how == "the process is killed":
        command = [sys.executable, "-c", KILLED, port, request.hex()]
        process = subprocess.Popen(command)
        accepted, _ = listener.accept()
    else:
        client = socket.create_connection(listener.getsockname(), timeout=5)
        client.sendall(request)
        accepted, _ = listener.accept()
    with accepted:
        accepted.settimeout(5)
        server = ServerConnection()
        hear(accepted, server)
        if how == "the process is killed":
            process.wait(timeout=5)
        else:
            client.recv(4096)
            if how == "close() with linger 0":
                linger = struct.pack("ii", 1, 0)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
        while not hear(accepted, server):
            pass


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    for how in ("close()", "close() with linger 0", "the process is killed"):
        open_and_end(how, listener)
