"""Permission denied: a plain user may not bind the ports below 1024.

As root it takes the rights of nobody (user 65534) while it binds. As any other
user it binds as that user.

Needs: Linux, privileged ports
Varies: as user {int>=1}
"""

import os
import socket
import sys
from pathlib import Path

FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
NOBODY = 65534


def try_port(port: int) -> None:
    """Bind a port of 127.0.0.1 and print how that went."""
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            print(f"port {port}: {type(error).__name__}: {error}")
        else:
            print(f"port {port}: bound, and the kernel made it", sock.getsockname()[1])


def main() -> None:
    """Try ports as a plain user."""
    if os.geteuid() == 0:
        # It takes the right to bind low ports away (capabilities(7)), and seteuid(0)
        # takes it back. To drop root for good: setgroups([]), setgid(), setuid().
        os.seteuid(NOBODY)
    print("as user", os.geteuid())
    for port in (80, 1023, 0):
        try_port(port)


if sys.platform != "linux":
    print("This program shows what Linux does; other systems differ.")
elif (first := int(FIRST_FREE.read_text())) != 1024:
    print(f"Here every user may bind from port {first} on, not from 1024 as usual.")
else:
    print("every user may bind from port", first)
    main()
