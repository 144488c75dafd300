"""Two messages that come in drips, cut anywhere, and then the sender is gone.

Needs: framing.py
"""

import socket
from itertools import pairwise

from framing import CutShortError, LengthFramer

framer = LengthFramer(max_size=100)
stream = framer.encode(b"hello") + framer.encode(b"you")
CUTS = (0, 3, 12, 14)  # the first of them within the length of "hello"

with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as sender,
):
    listener.settimeout(5)
    receiver, _ = listener.accept()
    with receiver:
        receiver.settimeout(5)
        for begin, end in pairwise(CUTS):
            sender.sendall(stream[begin:end])
            data = receiver.recv(1024)
            framer.feed(data)
            print(f"{data.hex(' '):26} -> {list(framer.events())}")
        sender.close()
        if receiver.recv(1024) == b"":
            framer.feed_eof()
        try:
            print(*framer.events())
        except CutShortError as error:
            print("the end:", error)
