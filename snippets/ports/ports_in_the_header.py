"""The first four bytes of a TCP header are the two ports.

TCP_SAVE_SYN tells the kernel to keep the first segment of each client, with its
headers, for the program to read (linux/tcp.h).

Needs: Linux
Varies: header begins with: {hex} {hex}
"""

import socket
import struct
import sys

TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28  # linux/tcp.h; Python has no names for them


def first_segment(connection: socket.socket) -> bytes:
    """Return the TCP header of the SYN that began an accepted connection."""
    packet = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 128)
    length = (packet[0] & 0x0F) * 4  # bytes of the IPv4 header: RFC 791 section 3.1
    return packet[length:]


def main() -> None:
    """Dial once and look at what the server's kernel received."""
    with socket.socket() as listener, socket.socket() as client:
        listener.settimeout(5)
        listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.settimeout(5)
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            header = first_segment(connection)
        source, destination = struct.unpack("!HH", header[:4])
        print("header begins with:", header[:2].hex(), header[2:4].hex())
        print("source port", source, "- the client has", client.getsockname())
        print("destination port", destination, "- dialled", client.getpeername())


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it asks for a segment that the kernel saved.")
