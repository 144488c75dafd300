"""A TCP port and a UDP port of the same number are two different ports.

Needs: Linux
"""

import socket
import sys


def main() -> None:
    """Dial one number with both protocols, where only TCP listens."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(type=socket.SOCK_STREAM) as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
    ):
        host, port = listener.getsockname()
        tcp.settimeout(5)
        tcp.connect((host, port))
        print(f"TCP port {port}: connected to", tcp.getpeername())
        udp.settimeout(5)
        udp.connect((host, port))  # sends nothing: it only sets the peer
        udp.send(b"anybody there?")
        try:
            udp.recv(1024)
        except ConnectionRefusedError as error:
            print(f"UDP port {port}:", error)


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems differ.")
