"""Find the process that listens on a port with no tool at all, from /proc.

Needs: Linux
Varies: the table has  0100007F:{hex}  00000000:0000
Varies: socket:[{int>=1}] is
Varies: held by {text}, pid
"""

import contextlib
import socket
import struct
import sys
from pathlib import Path

LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h


def address_of(text: str) -> tuple[str, int]:
    """Decode an address of /proc/net/tcp or tcp6: 0100007F:1F90 is 127.0.0.1:8080.

    The table prints each four bytes of an address as a number in this machine's byte
    order, and the port as the number that it is.
    """
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(family, packed), int(port, 16)


def listening(port: int) -> list[list[str]]:
    """Give the rows of the sockets that listen on a port, as their columns."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    texts = [table.read_text() for table in tables if table.exists()]
    rows = [line.split() for text in texts for line in text.splitlines()[1:]]
    return [row for row in rows if row[3] == LISTEN and address_of(row[1])[1] == port]


def holders(inode: str) -> list[int]:
    """Give the processes that hold a socket, as far as this user may look."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it is another user's, or has just ended
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(FileNotFoundError):  # closed since
                    if str(descriptor.readlink()) == f"socket:[{inode}]":
                        found.append(int(process.name))
    return found


def tell(port: int) -> None:
    """Print who listens on a port."""
    rows = listening(port)
    if not rows:
        print(f"nobody listens on port {port} in this network namespace")
    for row in rows:
        print("the table has", *row[1:4], sep="  ")
        print("in words:", *address_of(row[1]))
        processes = holders(row[9])
        if not processes:
            print(f"socket:[{row[9]}] is held by nobody whom this user may look into")
        for process in processes:
            name = Path(f"/proc/{process}/comm").read_text().strip()
            print(f"socket:[{row[9]}] is held by {name}, pid {process}")


def main() -> None:
    """Look for the port of the command line, or for that of an own server."""
    if len(sys.argv) > 1:
        tell(int(sys.argv[1]))
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = listener.getsockname()
        tell(here[1])
        (row,) = listening(here[1])
        print("as getsockname() has it:", address_of(row[1]) == here)


if __name__ == "__main__":
    if sys.platform == "linux":
        main()
    else:
        print("There is no /proc/net/tcp here: it is Linux's.")
