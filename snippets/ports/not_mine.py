"""Cannot assign requested address: bind() takes only an address of this machine."""

import socket

for host in ("198.51.100.1", "127.0.0.1", ""):
    with socket.socket() as sock:
        try:
            sock.bind((host, 0))
        except OSError as error:
            print(f"bind() to {host!r}:", error)
        else:
            print(f"bind() to {host!r}: it is", sock.getsockname()[0])
