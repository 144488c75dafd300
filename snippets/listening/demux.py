"""Two clients write to one port, and each connected socket gets only its own bytes.

The kernel looks at four numbers of what arrives: two addresses and two ports.
The server's port is the same for both clients; the client's port is not.
"""

import socket

with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    address = listener.getsockname()
    with (
        socket.create_connection(address, timeout=5) as alice,
        listener.accept()[0] as for_alice,
        socket.create_connection(address, timeout=5) as bob,
        listener.accept()[0] as for_bob,
    ):
        for_alice.settimeout(5)
        for_bob.settimeout(5)

        bob.sendall(b"bob was here")
        alice.sendall(b"alice was here")
        print("for_alice:", for_alice.getsockname(), "<-", for_alice.getpeername())
        print("          ", for_alice.recv(1024))
        print("for_bob:  ", for_bob.getsockname(), "<-", for_bob.getpeername())
        print("          ", for_bob.recv(1024))

        for_alice.sendall(b"only for alice")
        for_bob.sendall(b"only for bob")
        print("alice:    ", alice.getsockname(), "got", alice.recv(1024))
        print("bob:      ", bob.getsockname(), "got", bob.recv(1024))
