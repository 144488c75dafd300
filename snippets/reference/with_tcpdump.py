"""What tcpdump shows: the segments of a refusal, a handshake and five bytes.

Needs: Linux, root, tcpdump
Varies: IP 127.0.0.1.{int>=1} > 127.0.0.1.{int>=1}: Flags
Varies: [S], seq {int}
Varies: [S.], seq {int}, ack {int}
Varies: [R.], seq 0, ack {int}
"""

import os
import shlex
import shutil
import socket
import subprocess
import sys

SEGMENTS = 7


def main() -> None:
    """Capture on lo while a client is refused, then served."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # taken, and nobody listens there
        here, nobody = listener.getsockname(), unused.getsockname()
        command = ["tcpdump", "-i", "lo", "-tn", "-c", str(SEGMENTS)]
        command += ["tcp", "port", str(here[1]), "or", "port", str(nobody[1])]
        print("$", shlex.join(command))
        with subprocess.Popen(
            [*command, "--immediate-mode"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as capture:
            assert capture.stderr is not None
            while "listening on" not in capture.stderr.readline():
                if capture.poll() is not None:
                    sys.exit("tcpdump has stopped: may it capture here?")
            with socket.socket() as client:
                client.settimeout(5)
                print("connect_ex() ->", os.strerror(client.connect_ex(nobody)))
            with socket.create_connection(here, timeout=5) as client:
                client.sendall(b"hello")
                out, _ = capture.communicate(timeout=5)
        for line in out.splitlines():
            print(line.partition(", win")[0])  # what follows is windows and options


if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("tcpdump"):
    main()
else:
    print("This takes Linux, root and tcpdump.")
