"""What no recorded output may hold."""

from __future__ import annotations

import datetime
import platform
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook import check_programs, printed, recordings
from handbook.snippet import Varies

if TYPE_CHECKING:
    from collections.abc import Callable

    from handbook.snippet import Snippet

TODAY = datetime.date(2026, 11, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("one\n\x1b[31mred\x1b[0m\n", "line 2 has an escape sequence: '\\x1b'"),
        ("done\x07\n", "line 1 has a bell (BEL): '\\x07'"),
        ("a\x00b\n", "line 1 has a control character: '\\x00'"),
        ("x" * 1001 + "\n", "line 1 has 1001 characters"),
        ("at 2026-11-03\n", "line 1 has today's date: 2026-11-03"),
        ("Tue, 03 Nov 2026 12:00\n", "line 1 has today's date: 03 Nov 2026"),
        ("Tue Nov  3 12:00:00 2026\n", "line 1 has today's date: Nov  3"),
        ("November 3, 2026\n", "line 1 has today's date: November 3, 2026"),
        ("03.11.2026\n", "line 1 has today's date: 03.11.2026"),
        ("in /home/ada/x.py\n", "line 1 has a home folder: /home/ada"),
    ],
)
def test_what_no_other_run_prints_is_named(text: str, says: str) -> None:
    assert printed.refused(text, today=TODAY) == [says]


@pytest.mark.parametrize(
    "text",
    ["a tab\tand a line\n", "x" * 1000, "b'\\x1b'\n", "2025-11-03\n", "/homework/x\n"],
)
def test_what_another_run_prints_is_let_be(text: str) -> None:
    assert printed.refused(text, today=TODAY) == []


def test_what_this_machine_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "ada-pc2")
    monkeypatch.setattr(Path, "home", lambda: Path("/opt/ada"))
    monkeypatch.setattr(platform, "python_version", lambda: "3.14.1")
    said = printed.refused(
        "I am ada-pc2.\nFrom /opt/ada/x\nada-pc23\nPython/3.14.1\n", today=TODAY
    )
    assert said == [
        "line 1 has the name of this machine: ada-pc2",
        "line 2 has your home folder: /opt/ada",
        "line 4 has the version of this Python: 3.14.1",
    ]
    # A plain word is one in other outputs, too.
    monkeypatch.setattr(socket, "gethostname", lambda: "server")
    assert printed.refused("server: accept()\n", today=TODAY) == []


def test_what_is_declared_may_differ_but_not_fail() -> None:
    date, count = Varies.parse("Date: {text}"), Varies.parse("{int>=1} half-open")
    text = "Date: 2026-11-03\n3 half-open\n"
    assert printed.refused(text, [date, count], TODAY) == []
    assert printed.refused("0 half-open\n", [date, count], TODAY) == [
        "line 1 has 0, where 'Varies: {int>=1} half-open' asks for 1 or more"
    ]


def test_a_recording_that_holds_it_is_refused(
    program: Callable[..., Snippet], tmp_path: Path
) -> None:
    made = program('"""Shows it."""\n\nprint("red")\n')
    empty = recordings.Recording(
        made.id, {"": "\x1b[31mred\n"}, (), (), frozenset(), frozenset()
    )
    recordings.write(made, empty)
    found = "\n".join(map(str, check_programs.recorded(tmp_path, [], [made])))
    assert (
        "snippets/demo/recorded/example.txt: line 1 has an escape sequence: '\\x1b': "
        "no other run has it so, or no reader can read it\n  To mend it: change what "
        "snippets/demo/example.py prints, or declare in its docstring what varies; "
        "then: make record S=demo/example"
    ) in found


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import time\nprint(time.ctime())", "time.ctime"),
        (
            "import socket\nname = socket.gethostname()\nprint('I am', name)",
            "socket.get",
        ),
        (
            "import time\nnow = time.strftime('%F')\nline = f'at {now}'\nprint(line)",
            "time",
        ),
        ("from pathlib import Path\nprint(Path.home())", "Path.home"),
        ("import time\nprint(round(time.time()))", "time.time"),
        ("import sys\nprint(sys.version)", "sys.version"),
        (
            "import platform\ndef f():\n    return platform.node()\nprint(f())",
            "platform",
        ),
    ],
)
def test_a_program_that_prints_the_day_or_the_machine_is_named(
    program: Callable[..., Snippet], tmp_path: Path, code: str, says: str
) -> None:
    made = program(f'"""Shows it."""\n\n{code}\n')
    found = "\n".join(map(str, check_programs.sound(tmp_path, [], [made])))
    assert f": prints {says}" in found
    assert "which no two runs or machines share\n  To mend it: print something" in found
    declared = program(f'"""Shows it.\n\nVaries: at all {{text}}\n"""\n\n{code}\n')
    assert list(check_programs.sound(tmp_path, [], [declared])) == []


@pytest.mark.parametrize(
    "code",
    [
        "from datetime import date\nnow = date.today()\nmade = issue(now)\nprint(made)",
        "import socket\nsocket.create_server((socket.gethostname(), 0))",
    ],
)
def test_a_program_that_only_uses_the_day_is_let_be(
    program: Callable[..., Snippet], tmp_path: Path, code: str
) -> None:
    made = program(f'"""Shows it."""\n\n{code}\n')
    assert list(check_programs.sound(tmp_path, [], [made])) == []
