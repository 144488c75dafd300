"""Idle waits and ports for granted, however they are written."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from handbook import check_code, snippet

if TYPE_CHECKING:
    from pathlib import Path


def told(root: Path, code: str, where: str = "snippets/demo/a_program.py") -> str:
    """Give what the checks say of a program, or of a test."""
    path = root / where
    path.parent.mkdir(parents=True)
    path.write_text(f'"""Shows it."""\n\n{textwrap.dedent(code).strip()}\n')
    programs = [snippet.read(each, root) for each in snippet.find(root)]
    return "\n".join(
        str(problem) for look in check_code.ALL for problem in look(root, [], programs)
    )


IDLE = {
    "a sleep": ("import time\ntime.sleep(1)", "a sleep"),
    "under another name": ("from time import sleep as nap\nnap(0.4)", "a sleep"),
    "of a module's other name": ("import time as t\nt.sleep(1)", "a sleep"),
    "set to a name": ("import time\nnap = time.sleep\nnap(1)", "a sleep"),
    "of asyncio": (
        "from asyncio import sleep as s\nasync def f():\n    await s(1)",
        "a sleep",
    ),
    "a pause": ("import signal\nsignal.pause()", "a sleep"),
    "an event made to wait for": (
        "import threading\nthreading.Event().wait(0.4)",
        "a wait() of what nothing sets, which is a sleep,",
    ),
    "one of asyncio": (
        "import asyncio\nasync def f():\n"
        "    await asyncio.wait_for(asyncio.Event().wait(), 0.4)",
        "a wait() of what nothing sets",
    ),
    "an event that nothing sets": (
        "from threading import Event\nover = Event()\nover.wait(0.4)",
        "a wait() of what nothing sets",
    ),
    "one of an object": (
        "import threading\nclass A:\n    def __init__(self):\n"
        "        self.e = threading.Event()\n    def f(self):\n        self.e.wait(1)",
        "a wait() of what nothing sets",
    ),
    "a select of nothing": (
        "import select\nselect.select([], [], [], 0.4)",
        "a select() of nothing, which is a sleep,",
    ),
    "by name": (
        "from select import select\nselect((), (), (), 0.4)",
        "a select() of nothing",
    ),
    "a command": (
        'import subprocess\nsubprocess.run(["sleep", "0.4"], check=True)',
        "a command that sleeps",
    ),
    "a command of a shell": (
        'import os\nos.system("sleep 1")',
        "a command that sleeps",
    ),
    "a loop": (
        "import time\nwhile time.monotonic() < 5:\n    pass",
        "a loop that only asks what time it is",
    ),
}


@pytest.mark.parametrize("where", ["snippets/demo/a.py", "tests/demo/test_a.py"])
@pytest.mark.parametrize("name", IDLE)
def test_an_idle_wait_says_why_it_waits(tmp_path: Path, name: str, where: str) -> None:
    code, says = IDLE[name]
    message = told(tmp_path, code, where)
    assert message.startswith(f"{where}:")
    assert f": {says}" in message
    assert " where an event could be waited for\n  To mend it: wait for the" in message
    assert "add '# waits: why'" in message


@pytest.mark.parametrize("name", IDLE)
def test_a_wait_that_says_why_is_let_be(tmp_path: Path, name: str) -> None:
    code = "\n".join(f"{line}  # waits: why" for line in IDLE[name][0].splitlines())
    assert told(tmp_path, code) == ""


@pytest.mark.parametrize(
    "code",
    [
        "import threading\ne = threading.Event()\ndef f(): e.set()\ne.wait(1)",
        "import threading\ne = threading.Event()\nrun(e.set)\ne.wait(1)",
        "import threading\ne = threading.Event()\nrun(args=(e,))\ne.wait(1)",
        "import threading\ne = threading.Event()\nrun(e)\ne.wait(1)",
        "import select\nselect.select([sock], [], [], 5)",
        "import time\nwhile state() != 'x' and time.monotonic() < end:\n    pass",
    ],
)
def test_a_wait_for_an_event_is_let_be(tmp_path: Path, code: str) -> None:
    assert told(tmp_path, code) == ""


BINDS = {
    "a literal": 's.bind(("127.0.0.1", 8765))',
    "a variable": 'port = 8765\nsocket.create_server(("127.0.0.1", port))',
    "an address": 'HERE = ("127.0.0.1", 8765)\ns.bind(HERE)',
    "two at once": 'HOST, PORT = "127.0.0.1", 8765\ns.bind((HOST, PORT))',
    "a sum": 'PORT: int = 8000 + 765\ns.bind(("", PORT))',
    "a function's": 'def f():\n    port = 8765\n    s.bind(("", port))',
    "a default": 'def f(port=8765):\n    s.bind(("", port))\nf()',
    "a keyword's default": 'def f(*, port=8765):\n    s.bind(("", port))\nf()',
    "a class's": 'class A:\n  P = 8765\n  def f(self):\n    s.bind(("", self.P))',
    "a server of the library": 'HTTPServer(("", 8765), Handler)',
    "of asyncio": 'asyncio.start_server(handle, "127.0.0.1", 8765)',
    "by keyword": 'serve(handle, "127.0.0.1", port=8765)',
}


@pytest.mark.parametrize("where", ["snippets/demo/a.py", "tests/demo/test_a.py"])
@pytest.mark.parametrize("name", BINDS)
def test_a_fixed_port_is_refused(tmp_path: Path, name: str, where: str) -> None:
    message = told(tmp_path, BINDS[name], where)
    assert message.startswith(f"{where}:")
    assert (
        "binds port 8765, which may be taken\n  To mend it: bind port 0 and ask "
        "getsockname() which port it became; if nobody else can have it, add '# port: "
    ) in message


@pytest.mark.parametrize(
    "code",
    [
        's.bind(("127.0.0.1", 0))',
        'port = free()\ns.bind(("127.0.0.1", port))',
        'PORT = 80\ns.bind(("", PORT))',  # refused, which is the subject
        's.bind(("", 65536))',
        'def f(port=8765):\n    s.bind(("", port))\nf(0)',
        'def f(port=8765):\n    s.bind(("", port))\nf(port=0)',
        'port = 8765\nport = 0\ns.bind(("", port))',
        's.connect(("127.0.0.1", 8765))',
        'parser.add_argument("--port", type=int, default=0)',
    ],
)
def test_a_port_of_the_kernels_choice_is_let_be(tmp_path: Path, code: str) -> None:
    assert told(tmp_path, code) == ""


@pytest.mark.parametrize("name", BINDS)
def test_a_fixed_port_that_says_why_is_let_be(tmp_path: Path, name: str) -> None:
    *before, last = BINDS[name].splitlines()
    binds = next((n for n, line in enumerate(before) if "bind" in line), len(before))
    lines = [*before, last]
    margin = lines[binds][: len(lines[binds]) - len(lines[binds].lstrip())]
    lines.insert(binds, f"{margin}# port: nobody else is here")
    assert told(tmp_path, "\n".join(lines)) == ""


def test_a_default_port_is_for_people_who_copy_and_not_for_recordings(
    tmp_path: Path,
) -> None:
    line = 'parser.add_argument("--port", type=int, default=8765)'
    message = told(tmp_path, line)
    assert (
        "snippets/demo/a_program.py:3: listens on port 8765 unless told otherwise, and "
        "no Pair: line tells it\n  To mend it: let the default be 0, or record it with "
        "--port 0: 'Pair: server = a_program.py --port 0'"
    ) in message
    path = tmp_path / "snippets" / "demo" / "a_program.py"
    path.write_text(
        '"""Shows it.\n\nPair: server = a_program.py --port 0\n'
        f'Port: listening on port {{port}}\n"""\n\n{line}\n'
    )
    programs = [snippet.read(path, tmp_path)]
    assert list(check_code.picked(tmp_path, [], programs)) == []


SERVES = """
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        {settled}
"""


@pytest.mark.parametrize("settled", ["pass", "server.daemon_threads = True"])
def test_a_server_whose_threads_nobody_waits_for_is_refused(
    tmp_path: Path, settled: str
) -> None:
    said = told(tmp_path, SERVES.format(settled=settled))
    assert "a_program.py:4: the threads of this server are daemons" in said
    assert "set daemon_threads = False on it" in said


def test_a_server_that_waits_for_its_threads_is_not(tmp_path: Path) -> None:
    said = told(tmp_path, SERVES.format(settled="server.daemon_threads = False"))
    assert "daemons" not in said
