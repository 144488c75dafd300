"""What nc does: say whether anybody listens, and carry what you type to a server.

Needs: Linux, nc
"""

import shlex
import shutil
import socket
import subprocess
import threading


def run(*command: str, typed: str = "") -> None:
    """Print a command and all that it says."""
    print("$", shlex.join(command))
    done = subprocess.run(
        command,
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5,
        check=False,
    )
    print(done.stdout, end="")
    print("exit status", done.returncode)


def answer(listener: socket.socket) -> None:
    """Take one client that says nothing, then one whose lines it sends back."""
    listener.accept()[0].close()
    connection, _ = listener.accept()
    with connection, connection.makefile("rw") as lines:
        connection.settimeout(5)
        for line in lines:
            lines.write(f"you said {line}")
        lines.flush()


def main() -> None:
    """Ask for a port that is served and for one that is not, then talk."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        listener.settimeout(5)
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens there
        port, nobody = (str(sock.getsockname()[1]) for sock in (listener, unused))
        server = threading.Thread(target=answer, args=(listener,), name="server")
        server.start()
        run("nc", "-vz", "127.0.0.1", port)
        run("nc", "-vz", "127.0.0.1", nobody)
        run("nc", "-N", "127.0.0.1", port, typed="hello\n")
        server.join()


if shutil.which("nc"):
    main()
else:
    print("There is no nc here: install netcat-openbsd.")
