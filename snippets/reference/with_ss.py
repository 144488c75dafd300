"""What ss says of a listening socket, and of a connection that nobody reads.

Needs: Linux, ss
Varies: users:(("{text}",pid=
"""

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
    """Listen, leave five bytes unread, and ask ss about the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        address = listener.getsockname()
        filtered = f"sport = :{address[1]}"
        with socket.create_connection(address, timeout=5) as client:
            client.sendall(b"hello")
            run("ss", "-ltnpH", filtered)
            run("ss", "-tnpH", filtered)
            connection, _ = listener.accept()
            with connection:
                run("ss", "-tnpH", filtered)


if shutil.which("ss"):
    main()
else:
    print("There is no ss here: it is for Linux, in the package iproute2.")
