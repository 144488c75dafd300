"""What pages look up in recordings: errors, tables, charts, ranges of numbers."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup

from handbook import check_programs, errors, pages, record, recordings
from handbook.snippet import ROOT, by_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bs4 import Tag

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="recordings are made on Linux"
)

REFUSED = '''\
"""Dials a port on which nobody listens."""

import socket

with socket.socket() as unheard, socket.socket() as client:
    unheard.bind(("127.0.0.1", 0))
    client.settimeout(60)
    try:
        client.connect(unheard.getsockname())
    except OSError as error:
        print("connect", error, sep="   ")
    try:
        client.bind(("127.0.0.1", 65536))  # port: there is none of that number
    except OverflowError as error:
        print("bind", f"{type(error).__name__}: {error}", sep="   ")
print("a line with one column")
print("round trip   a pipe   5.9 us   5.5 to 23.2")
print("from 10 to 20, and from 30")
'''
NUMBERS = '''\
"""Two numbers."""

print("ECONNREFUSED     111  ConnectionRefusedError  Connection refused")
print("EACCES            13  PermissionError         Permission denied")
'''
PAGE = """\
# Looked up

```{literalinclude} ../snippets/demo/refused.py
```

"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record the two programs once."""
    root = tmp_path_factory.mktemp("recorded")
    for name, text in (("demo/refused", REFUSED), (errors.NUMBERS, NUMBERS)):
        path = root / "snippets" / f"{name}.py"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        snippet = by_id(name, root)
        record.save(snippet, record.run(snippet))
    (root / "docs").mkdir()
    (root / "docs/redirects.txt").touch()
    (root / "tests").mkdir()
    return root


@pytest.fixture
def handbook(recorded: Path, tmp_path: Path) -> Path:
    """A handbook of one page and two recorded programs."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    return tmp_path


def build(handbook: Path, text: str) -> tuple[BeautifulSoup, str]:
    """Build the page with this text added; the page and what Sphinx said."""
    (handbook / "docs/index.md").write_text(PAGE + text)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-c", str(ROOT / "conf")),
            *("-d", str(handbook / "doctrees"), "docs", "out"),
        ],
        cwd=handbook,
        env={**os.environ, "PYTHONPATH": str(ROOT / "conf")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    built = (handbook / "out/index.html").read_text()
    return BeautifulSoup(built, "html.parser"), done.stdout + done.stderr


def fence(directive: str, *body: str) -> str:
    return "\n".join([f"```{{{directive.replace(' ', '} ', 1)}", *body, "```", ""])


SHOWN = {
    "numbered": fence("provoked ECONNREFUSED"),
    "without-a-number": fence("provoked OverflowError"),
    "not-provoked": fence("provoked EACCES", ":not-provoked: needs <another> user"),
    "a-table": fence("recorded demo/refused", ":table: what | came of it"),
    "drawn": fence("chart demo/refused", "A caption.")
    + fence(
        "number-line Numbers",
        "a standard | low | 0-99",
        "here | drawn | demo/refused | from {first} to {last}",
        "here | rest | demo/refused | and from {first}",
        "here | none | demo/refused | from {next} to",
    ),
}
"""What can be looked up, by the ids of the sections that show it."""


@pytest.fixture(scope="module")
def shown(
    recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Tag]:
    """Build one page of all that can be looked up, and give its sections."""
    root = tmp_path_factory.mktemp("shown")
    shutil.copytree(recorded, root, dirs_exist_ok=True)
    sections = (f"## {name.replace('-', ' ')}\n\n{SHOWN[name]}\n" for name in SHOWN)
    soup, said = build(root, "".join(sections))
    assert said == ""

    def section(name: str) -> Tag:
        (found,) = soup.select(f"section:has(> h2#{name})")
        return found

    return section


def test_an_error_is_told_with_its_text_calls_and_programs(
    shown: Callable[[str], Tag],
) -> None:
    section = shown("numbered")
    told = [" ".join(row.get_text(" ").split()) for row in section.select("dl div")]
    assert told == [
        "Reads ConnectionRefusedError: [Errno 111] Connection refused",
        "Raised by connect()",
        "Provoked by refused.py in Looked up",
    ]
    link = section.select_one("dl.looked-up a")
    assert link is not None
    anchor = str(link["href"]).partition("#")[2]
    (page,) = section.find_parents("html")
    assert page.find(id=anchor) is not None


def test_an_error_without_a_number_goes_by_its_class(
    shown: Callable[[str], Tag],
) -> None:
    told = shown("without-a-number").select_one("dl.looked-up")
    assert told is not None
    assert "OverflowError: bind(): port must be 0-65535." in told.get_text()


REFUSALS = [
    (fence("provoked EACCES"), "no recorded program provokes EACCES"),
    (
        fence("provoked ECONNREFUSED", ":not-provoked: too hard"),
        "ECONNREFUSED is provoked by demo/refused",
    ),
    (
        fence("provoked EPIPE", ":not-provoked: not here"),
        "reference/error_numbers prints no EPIPE",
    ),
    (
        fence("chart reference/error_numbers", "Words."),
        "snippets/reference/error_numbers.py printed no row that can be drawn",
    ),
    (
        fence("recorded demo/refused", ":table: a | b | c"),
        "no line of demo/refused has 3 columns",
    ),
    (
        fence("number-line N", "a | b | c"),
        "index.md:<line>: no band: 'a | b | c'",
    ),
    (
        fence("number-line N", "a | b | demo/refused | up to {last}"),
        "index.md:<line>: snippets/demo/refused.py printed nothing like 'up to {last}'",
    ),
    (fence("number-line N", "a | b | 5-9", "a | c | 7-12"), "b and c overlap"),
]
"""Fences, and what is said of them; <line> is that of the first within."""


def test_what_cannot_be_looked_up_is_told(handbook: Path) -> None:
    text, wanted = "", []
    for fenced, says in REFUSALS:
        line = (PAGE + text).count("\n") + 2
        wanted.append(says.replace("<line>", str(line)))
        text += f"{fenced}\n"
    _, said = build(handbook, text)
    for says in wanted:
        _, found, after = said.partition(says)
        assert found, (says, said)
        assert "To mend it: " in after.partition("index.md:")[0], (says, said)


def test_an_error_that_is_not_provoked_says_why(shown: Callable[[str], Tag]) -> None:
    told = shown("not-provoked").select_one("dl.looked-up")
    assert told is not None
    assert "Permission denied" in told.get_text()
    assert "needs <another> user" in told.get_text()


def test_an_output_can_be_a_table(shown: Callable[[str], Tag]) -> None:
    rows = [
        [cell.get_text() for cell in row.select("th, td")]
        for row in shown("a-table").select("table.looked-up tr")
    ]
    assert rows == [
        ["what", "came of it"],
        ["connect", "[Errno 111] Connection refused"],
        ["bind", "OverflowError: bind(): port must be 0-65535."],
    ]


def test_a_chart_and_a_number_line_are_drawn_from_a_recording(
    shown: Callable[[str], Tag],
) -> None:
    chart, line = shown("drawn").select("figure.chart")
    assert "A caption." in chart.get_text()
    assert "5.9 us" in chart.get_text()
    assert (
        "a standard, low: 0 to 99; here, drawn: 10 to 20; here, rest: 30 to 65535; "
        "here, none: 0 to 9." in line.get_text()
    )


def test_a_page_of_errors_follows_the_recordings(handbook: Path) -> None:
    text = fence("provoked ECONNREFUSED")
    build(handbook, text)
    path = handbook / "snippets/demo/again.py"
    path.write_text(REFUSED)
    snippet = by_id("demo/again", handbook)
    record.save(snippet, record.run(snippet))
    shown = "```{literalinclude} ../snippets/demo/again.py\n```\n"
    (handbook / "docs/other.md").write_text(f"# Other\n\n{shown}")
    soup, _ = build(handbook, text)
    told = soup.select_one("dl.looked-up")
    assert told is not None
    assert "again.py in Other" in told.get_text()


def test_a_printed_number_that_is_not_known_wants_an_entry(handbook: Path) -> None:
    made = recordings.load(by_id("demo/refused", handbook))
    printed = dataclasses.replace(made, transcripts={"": "[Errno 71] Protocol error"})
    assert set(errors.seen_in(printed, {111: "ECONNREFUSED"})) == {
        *("ECONNREFUSED", "OverflowError"),  # of its calls
        "errno 71",
    }


def test_what_only_a_library_met_is_not_the_programs_own(handbook: Path) -> None:
    made = recordings.load(by_id("demo/refused", handbook))
    events = tuple(
        {**event, "by": "library"} if "error" in event else event
        for event in made.events
    )
    silent = dict.fromkeys(made.transcripts, "")
    for by_other, told, inside in (
        (events, silent, {"demo/refused"}),
        (made.events, silent, set()),  # its own line raised it
        (events, made.transcripts, set()),  # it printed it
    ):
        run = dataclasses.replace(made, events=by_other, transcripts=told)
        seen = errors.seen_in(run, {111: "ECONNREFUSED"})["ECONNREFUSED"]
        assert seen.programs == {"demo/refused"}
        assert seen.inside == inside


def test_an_error_without_an_entry_is_told(handbook: Path) -> None:
    page = handbook / "docs/index.md"
    page.write_text(PAGE + fence("provoked ECONNREFUSED"))
    read = pages.read_all(handbook)
    (problem,) = check_programs.listed(handbook, read, [])
    assert "no entry for OverflowError, which demo/refused met" in str(problem)
    page.write_text(page.read_text() + fence("provoked OverflowError"))
    assert not list(check_programs.listed(handbook, pages.read_all(handbook), []))
