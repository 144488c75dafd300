"""What no program may do, each done on purpose: the run is refused with its remedy."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

from handbook import record
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handbook.snippet import Snippet

    Write = Callable[..., Snippet]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="recordings are made on Linux"
)

PAIR = """
import socket
here, there = socket.socketpair()
with here, there:
"""

# Each is a program without its docstring, and what is said of it.
FAULTS = {
    "waits without end": (
        PAIR + "    there.send(b'x')\n    here.recv(1)",
        ":7: send() may wait without end: the socket has no time-out",
    ),
    "is bounded by the kernel": (
        PAIR
        + "    import struct\n"
        + "    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):\n"
        + "        two = struct.pack('ll', 2, 0)\n"
        + "        here.setsockopt(socket.SOL_SOCKET, option, two)\n"
        + "        there.setsockopt(socket.SOL_SOCKET, option, two)\n"
        + "    there.send(b'x')\n    here.recv(1)",
        "",
    ),
    "does not wait": (
        PAIR
        + "    there.send(b'x', socket.MSG_DONTWAIT)\n"
        + "    here.recv(1, socket.MSG_DONTWAIT)",
        "",
    ),
    "says why": (
        PAIR
        + "    there.send(b'x')  # waits: there is room\n"
        + "    # waits: it was sent\n    here.recv(1)",
        "",
    ),
    "dozes": (
        "from time import sleep as nap\nnap(0.05)",
        ":4: sleep() waited 0.05 s, and nothing came",
    ),
    "dozes by an event": (
        "import threading\nthreading.Event().wait(0.05)",
        ":4: Event.wait() waited 0.05 s",
    ),
    "dozes by select": (
        "import select\nselect.select([], [], [], 0.05)",
        ":4: select() waited 0.05 s",
    ),
    "dozes with reason": (
        "import time\ntime.sleep(0.05)  # waits: the pause is the subject",
        "",
    ),
    "connects elsewhere": (
        "import socket\n"
        "with socket.socket(type=socket.SOCK_DGRAM) as sock:\n"
        "    sock.connect(('192.0.2.1', 9))",
        ":5: connect() goes to 192.0.2.1, which leaves loopback",
    ),
    "sends elsewhere": (
        "import socket\n"
        "with socket.socket(type=socket.SOCK_DGRAM) as sock:\n"
        "    try:\n        sock.sendto(b'x', socket.MSG_DONTROUTE, ('192.0.2.1', 9))\n"
        "    except OSError as error:\n        print('error', error.errno)",
        ":6: sendto() goes to 192.0.2.1, which leaves loopback",
    ),
    "asks for a name": (
        "import socket\n"
        "try:\n"
        "    flags = socket.AI_NUMERICHOST\n"
        "    socket.getaddrinfo('example.com', 80, flags=flags)\n"
        "except OSError:\n    pass",
        ":6: the name 'example.com' is looked up, which leaves loopback",
    ),
    "keeps to this machine": (
        "import socket\n"
        "with socket.create_server(('localhost', 0)) as listener:\n"
        "    port = listener.getsockname()[1]\n"
        "    for host in ('127.1.2.3', '::1', 'localhost', '0.0.0.0'):\n"
        "        try:\n"
        "            socket.create_connection((host, port), timeout=5).close()\n"
        "        except OSError:\n            pass",
        "",
    ),
    "takes a port": (
        "import socket\nport = int('2' * 4) + PORT\n"
        "with socket.create_server(('127.0.0.1', port)):\n    pass",
        ":5: binds port {port}, which may be taken",
    ),
    "binds what was free": (
        "import socket\nwith socket.create_server(('127.0.0.1', 0)) as one:\n"
        "    address = one.getsockname()\n"
        "with socket.create_server(address):\n    pass",
        "",
    ),
    "leaves a thread": (
        "import threading\n"
        "threading.Thread(target=threading.Event().wait, name='idler', daemon=True)"
        ".start()",
        ":4: the thread 'idler' still runs at the end",
    ),
    "leaves a zombie": (
        "import os\nif (child := os.fork()) == 0:\n    os._exit(0)\n"
        "os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)",
        "nobody waited for the child",
    ),
    "leaves a child in its own session": (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],\n"
        "    start_new_session=True, stdout=subprocess.DEVNULL,\n"
        "    stderr=subprocess.DEVNULL).returncode = 0",
        "nobody waited for the child",
    ),
    "leaves a grandchild in its own session": (
        "import subprocess, sys\n"
        "idle = 'import signal; signal.pause()'\n"
        "start = 'import subprocess, sys; subprocess.Popen([sys.executable, ARG'\n"
        "start += ', sys.argv[1]], start_new_session=True, stdout=-3, stderr=-3)'\n"
        "start = start.replace('ARG', repr('-c'))\n"
        "subprocess.run([sys.executable, '-I', '-c', start, idle], check=True)",
        "left a child process running (it was ended)",
    ),
    "leaves a file": (
        "import tempfile\nprint(len(tempfile.mkdtemp()))",
        "behind\n  To mend it: make files in a tempfile.TemporaryDirectory()",
    ),
    "tidies up": (
        "import tempfile\nfrom pathlib import Path\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    Path(folder, 'a').write_text('b')",
        "",
    ),
    "prints what only this day has": (
        "import datetime\nprint(datetime.datetime.now(datetime.UTC).date())",
        "line 1 has today's date",
    ),
    "prints what nobody can read": ("print('\\x1b[1mbold')", "an escape sequence"),
    "takes long": (
        "import time\ntime.sleep(3.1)  # waits: length is the subject",
        "s are its limit\n  To mend it: make it shorter; if the kernel's own timer "
        "is the subject, write 'Takes: 5 seconds' into its docstring",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_may_not_be_is_refused(
    program: Write,
    fault: str,
    free_port: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "GRACE", 2.0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    body, says = FAULTS[fault]
    body = body.replace("PORT", str(free_port - 2222))
    read = program(f'"""Does it: {fault}."""\n\n{body}\n')
    said = ""
    try:
        record.run(read, timeout=60, at_rest=True)
    except Problem as problem:
        said = str(problem)
    assert (says.format(port=free_port) in said) if says else not said


@pytest.fixture
def free_port() -> int:
    """Give a port that is free now and that no kernel picks, for one bind()."""
    for port in range(20_000, 32_000):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError


def test_a_program_may_take_five_seconds_if_it_says_so(
    program: Write,
) -> None:
    source = (
        '"""Takes its time.\n\nTakes: 5 seconds\n"""\n\n'
        "import time\ntime.sleep(3.1)  # waits: length is the subject\n"
    )
    record.run(program(source), timeout=60, at_rest=True)
    with pytest.raises(Problem, match="is no time that a program may take"):
        program(source.replace("5 seconds", "9 seconds"))


def test_nothing_of_it_is_asked_of_a_program_that_is_wrong_on_purpose(
    program: Write,
) -> None:
    body, _ = FAULTS["waits without end"]
    read = program(f'"""Waits."""\n\n{body}\n', "demo/wrong_wait")
    record.run(read, timeout=60, at_rest=True)
