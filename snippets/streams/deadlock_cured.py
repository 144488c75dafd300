"""Both sides send much at once and do not hang: each reads while it sends.

Needs: Linux
"""

import socket
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

MUCH = bytes(30_000_000)
SECONDS = struct.pack("ll", 5, 0)  # struct timeval: no call waits longer
WHOLE = int(socket.MSG_WAITALL)  # recv() waits until all of it has come
outcomes: dict[str, str] = {}


def exchange(sock: socket.socket, data: bytes, size: int) -> bytes:
    """Send `data` and read `size` bytes at the same time, on a socket that blocks.

    Raises:
        EOFError: the peer ended before `size` bytes had come.
        OSError: sending or reading failed, or took longer than the socket's time-out.
    """
    name = f"{threading.current_thread().name} sends"
    received = bytearray()
    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        sending = pool.submit(sock.sendall, data)
        while len(received) < size:
            piece = sock.recv(size - len(received), WHOLE)
            if not piece:
                raise EOFError(f"the peer ended after {len(received)} bytes")
            received += piece
        sending.result()  # raises what sendall() raised
    return bytes(received)


def one_end(sock: socket.socket) -> None:
    """Send it all and read as much; note how that ends."""
    name = threading.current_thread().name
    outcomes[name] = f"read {len(exchange(sock, MUCH, len(MUCH)))} bytes"


def main() -> None:
    """Let a client and a server do the same to each other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        both = []
        for name, sock in (("client", client), ("server", server)):
            sock.settimeout(None)  # MSG_WAITALL wants a blocking socket
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, SECONDS)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, SECONDS)
            both.append(threading.Thread(target=one_end, args=[sock], name=name))
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
            print(f"{thread.name}:", outcomes[thread.name])


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it sets time-outs as Linux has them.")
