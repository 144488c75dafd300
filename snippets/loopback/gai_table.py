"""What getaddrinfo() gives: a list, one entry for each address and kind of socket.

Varies: localhost here: {text}
"""

import socket


def show(host: str, kind: int = 0) -> None:
    """Print the entries for a numeric address; no file and no server is asked."""
    print(f"getaddrinfo({host!r}, 80, type={kind})")
    for family, type_, _, _, address in socket.getaddrinfo(
        host, 80, type=kind, flags=socket.AI_NUMERICHOST
    ):
        print(f"  {family.name:<8}  {getattr(type_, 'name', 'any'):<11}  {address}")


show("127.0.0.1")
show("127.0.0.1", socket.SOCK_STREAM)
show("::1", socket.SOCK_STREAM)
found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
print("localhost here:", *(address[0] for *_, address in found))
