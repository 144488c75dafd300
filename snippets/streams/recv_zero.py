"""b'' from recv() means the end of the stream, unless you asked for 0 bytes."""

import socket

with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as sender,
):
    listener.settimeout(5)
    receiver, _ = listener.accept()
    with receiver:
        receiver.settimeout(5)
        sender.sendall(b"hi")
        print("recv(0) ->", receiver.recv(0))
        print("recv(9) ->", receiver.recv(9))
        sender.close()
        print("recv(9) ->", receiver.recv(9), "the sender has closed")
        print("recv(9) ->", receiver.recv(9), "and again")
