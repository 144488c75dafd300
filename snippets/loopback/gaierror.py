"""Four texts of one exception: socket.gaierror, and what each means.

No server is asked: AI_NUMERICHOST lets getaddrinfo() take numbers alone, so that a
name fails at once, with the same error as a name that does not exist.

Needs: Linux
"""

import socket
import sys


def look_up(host: str | None, port: int | str | None, family: int = 0) -> None:
    """Print the error that getaddrinfo() raises."""
    try:
        # elsewhere: nobody is asked, AI_NUMERICHOST takes numbers alone
        socket.getaddrinfo(host, port, family, flags=socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        print(f"{host!r}, {port!r}: {error}")


def main() -> None:
    """Provoke them."""
    look_up("no-such-host", 80)
    look_up("http://127.0.0.1/", 80)
    look_up("127.0.0.1:8000", None)
    look_up("127.0.0.1", "no-such-service")
    look_up("127.0.0.1", 80, socket.AF_INET6)


if sys.platform == "linux":
    main()
else:
    print("This program shows the texts of glibc, the C library of most Linux systems.")
