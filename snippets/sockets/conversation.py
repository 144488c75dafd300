"""A whole conversation: every call that a server and a client make, in order.

Calls that may wait (connect, accept, recv) are printed when they return, the
others when they are made. Each message is a few bytes, so that one recv() takes
it whole; a longer one can arrive in pieces, as echo_client.py expects.
"""

import socket
import threading
from queue import Queue

socket.setdefaulttimeout(5)  # seconds: no call here may wait for ever
addresses: Queue[tuple[str, int]] = Queue()
in_step = threading.Barrier(2, timeout=5)  # keeps the printed lines in one order


def server() -> None:
    """Take one client, answer it once, and wait until it leaves."""
    with socket.socket() as listener:
        print("server: socket()")
        listener.bind(("127.0.0.1", 0))
        print("server: bind()     the kernel picks", listener.getsockname())
        listener.listen()
        print("server: listen()")
        addresses.put(listener.getsockname())
        connection, peer = listener.accept()
        with connection:
            in_step.wait()
            print("server: accept()   -> a second socket, connected to", peer)
            in_step.wait()
            print("server: recv()     ->", connection.recv(1024))
            print("server: sendall()  b'hello, client'")
            connection.sendall(b"hello, client")
            print("server: recv()     ->", connection.recv(1024))
            print("server: close()    the second socket")
            connection.close()
        print("server: close()    the listening socket")
        listener.close()


threading.Thread(target=server, name="server").start()
address = addresses.get(timeout=5)
with socket.socket() as client:
    print("client: socket()")
    client.connect(address)
    print("client: connect()  to", address)
    in_step.wait()
    in_step.wait()
    print("client: sendall()  b'hello, server'")
    client.sendall(b"hello, server")
    print("client: recv()     ->", client.recv(1024))
    print("client: close()")
    client.close()
