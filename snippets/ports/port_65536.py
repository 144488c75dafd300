"""What happens with port numbers that are none, and with port 0.

Needs: Linux
Varies: dials port {int>=65536}
"""

import platform
import socket


def main() -> None:
    """Use 65536, 70000 and 0 as ports."""
    with socket.socket() as sock:
        sock.settimeout(5)
        try:
            sock.bind(("127.0.0.1", 65_536))
        except OverflowError as error:
            print("bind() to 65536:", error)
        try:
            sock.connect(("127.0.0.1", 70_000))
        except OverflowError as error:
            print("connect() to 70000:", error)
        try:
            sock.connect(("127.0.0.1", 0))
        except ConnectionRefusedError as error:
            print("connect() to 0:", error)

    found = socket.getaddrinfo("127.0.0.1", 70_000, type=socket.SOCK_STREAM)
    print("getaddrinfo() for 70000:", found[0][4])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        print("a server on port", port)
        with socket.create_connection((host, port + 65_536), timeout=5) as client:
            print("create_connection() dials port", port + 65_536)
            print("   and is connected to", client.getpeername())


if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
    main()
else:
    print("This program shows what Linux with glibc does; others differ.")
