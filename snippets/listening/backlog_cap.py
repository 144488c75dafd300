"""What becomes of the number that you give to listen().

Needs: Linux
Varies: somaxconn: {int>=1}
Varies: C's listen(-1): {int>=1}
Varies: listen(1_000_000): {int>=1}
"""

import ctypes
import socket
import sys
from pathlib import Path


def limit_of(listener: socket.socket) -> int:
    """Return the limit of the accept queue: tcpi_sacked of TCP_INFO."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int.from_bytes(info[28:32], sys.byteorder)


def main() -> None:
    """Ask for several backlogs; each listen() sets the limit anew."""
    somaxconn = Path("/proc/sys/net/core/somaxconn").read_text().strip()
    print("net.core.somaxconn:", somaxconn)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print("listen():", limit_of(listener))
        listener.listen(5)
        print("listen(5):", limit_of(listener))
        listener.listen(1_000_000)
        print("listen(1_000_000):", limit_of(listener))
        listener.listen(-1)
        print("listen(-1):", limit_of(listener))
        ctypes.CDLL(None).listen(listener.fileno(), -1)
        print("C's listen(-1):", limit_of(listener))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads the limit from TCP_INFO.")
