"""Which of its own addresses does this machine use to reach a host? Nothing is sent.

    python my_ip.py [ADDRESS ...]    without one, some addresses of loopback

Varies: by name: {text}
"""

import socket
import sys


def own_address(towards: str) -> str:
    """Return this machine's IPv4 address on the way to another.

    connect() on a UDP socket looks up the route, notes the result, and sends
    nothing. A name instead of an address would first be asked for by DNS.

    Raises:
        OSError: there is no way to go (ENETUNREACH), or no such address.
    """
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.connect((towards, 9))  # any port but 0: nothing goes there
        address: str = sock.getsockname()[0]
        return address


def by_name() -> str:
    """Look up the address of this machine's own name: often another answer."""
    try:
        # elsewhere: this machine's own name, which its resolver may be asked for
        return socket.gethostbyname(socket.gethostname())
    except OSError as error:
        return str(error)


print("by name:", by_name())
for host in sys.argv[1:] or ["127.0.0.1", "127.20.30.40"]:
    try:
        print(f"on the way to {host}:", own_address(host))
    except OSError as error:
        print(f"on the way to {host}:", error)
