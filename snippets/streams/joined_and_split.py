"""Two sends become one recv(), and one send becomes two.

TCP keeps the bytes and their order. Where a send() ended, it does not keep.
"""

import select
import socket


def let_arrive(sock: socket.socket, size: int) -> None:
    """Wait until size bytes can be read at once, as for a reader that was busy."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    select.select([sock], [], [], 5)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)


with (
    socket.create_server(("127.0.0.1", 0)) as listener,
    socket.create_connection(listener.getsockname(), timeout=5) as sender,
):
    listener.settimeout(5)
    receiver, _ = listener.accept()
    with receiver:
        receiver.settimeout(5)
        print("send() took", sender.send(b"PAY 10\n"))
        print("send() took", sender.send(b"PAY 20\n"))
        let_arrive(receiver, 14)
        print("recv() gave", receiver.recv(1024))

        print("send() took", sender.send(b"PAY 1000\n"))
        let_arrive(receiver, 9)
        print("recv() gave", receiver.recv(5))
        print("recv() gave", receiver.recv(1024))
