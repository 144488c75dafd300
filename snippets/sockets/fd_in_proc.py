"""One socket, seen three times: as a descriptor, in /proc and in the TCP table.

Needs: Linux
Varies: inode {int>=1}
Varies: socket:[{int>=1}]
"""

import os
import socket
import stat
import sys
from pathlib import Path


def in_tcp_table(inode: int) -> str:
    """Return address and state (0A is LISTEN) of a socket in /proc/net/tcp."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        cells = line.split()
        if int(cells[9]) == inode:
            return f"port {int(cells[1].split(':')[1], 16)}, state {cells[3]}"
    return "not in the table"


def main() -> None:
    """Look at a listening socket from all three sides."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()
        status = os.fstat(number)
        print("getsockname():", listener.getsockname())
        print("descriptor:", number)
        entry = Path(f"/proc/self/fd/{number}")
        print(entry, "->", entry.readlink())
        print("fstat(): inode", status.st_ino)
        print("fstat(): a socket?", stat.S_ISSOCK(status.st_mode))
        print("fstat(): a device?", stat.S_ISCHR(status.st_mode))
        print("/proc/net/tcp:", in_tcp_table(status.st_ino))


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it reads /proc.")
