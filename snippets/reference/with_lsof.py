"""What lsof says of a port: the process that listens, and all that a process holds.

Needs: lsof
Varies: {text}  TCP  127.0.0.1:
Varies: -a -i -p {int>=1}
"""

import os
import shlex
import shutil
import socket
import subprocess


def run(*command: str) -> None:
    """Print a command and what it says, the columns two spaces apart."""
    print("$", shlex.join(command))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=5, check=True
    )
    for line in done.stdout.splitlines():
        print("  ".join(line.split()))


def main() -> None:
    """Listen, let one client connect, and ask lsof by the port and by the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = listener.getsockname()
        run("lsof", "-nP", f"-iTCP:{address[1]}", "-sTCP:LISTEN")
        with socket.create_connection(address, timeout=5):
            connection, _ = listener.accept()
            with connection:
                run("lsof", "-nP", "-a", "-i", "-p", str(os.getpid()))


if shutil.which("lsof"):
    main()
else:
    print("There is no lsof here: install it, or see the programs for Linux.")
