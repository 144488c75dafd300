"""A datagram is sent whole or not at all, and what does not fit recv() is lost.

65535 bytes are the most that one IPv4 packet holds. Of these its own header takes
20 and that of UDP 8.

Needs: Linux
"""

import socket
import sys


def main() -> None:
    """Send the longest datagram and one longer; then read one with too little room."""
    with (
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.socket(type=socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(0.3)
        sender.connect(receiver.getsockname())
        for size in (65_507, 65_508):
            try:
                print(f"send() of {size} bytes ->", sender.send(bytes(size)))
            except OSError as error:
                print(f"send() of {size} bytes ->", error)
        print("recv(65536) ->", len(receiver.recv(65_536)), "bytes")

        sender.send(b"0123456789")
        data, _, flags, _ = receiver.recvmsg(4)
        print("recvmsg(4) ->", data, "cut short:", bool(flags & socket.MSG_TRUNC))
        try:
            print("recv(4) ->", receiver.recv(4))
        except TimeoutError as error:
            print("recv(4) ->", error)


if sys.platform == "linux":
    main()
else:
    print("This program shows what Linux does; other systems have other limits.")
