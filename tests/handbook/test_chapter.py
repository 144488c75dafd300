"""One chapter by itself: its own faults are told, another's hide none of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from building import SITE
from handbook import chapter
from handbook.problem import Problem
from handbook.snippet import ROOT
from needing import needing

linux = pytest.mark.skipif(sys.platform != "linux", reason="recordings are of Linux")
NAME = "sockets/a-conversation"


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def fewer_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out those of the echo pair, which start servers and are run anyway."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'not test_echo_pair'")


@linux
@pytest.mark.usefixtures("fewer_tests")
def test_a_chapter_without_a_fault(
    built: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_BROWSER", "1")
    monkeypatch.delenv("CI", raising=False)
    status = chapter.main(NAME, built)
    said = capsys.readouterr().out
    assert status == 0, said
    assert "-- lint\nformatting, style and spelling are right\n" in said
    assert "sockets/who_calls_accept: as recorded (" in said
    assert "sockets/echo_server: as recorded (" in said
    assert re.search(r"^[1-9]\d* passed, [1-9]\d* deselected in ", said, re.MULTILINE)
    assert said.endswith(
        f"{NAME}: all is well\nsee it: {(built / SITE).as_uri()}/{NAME}.html\n"
    )
    assert (built / SITE / f"{NAME}.html").is_file()


@linux
@pytest.mark.usefixtures("fewer_tests")
def test_its_own_faults_are_told_and_those_of_others_are_not(
    built: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_BROWSER", "1")
    page = built / f"docs/{NAME}.md"
    # Of others: a program that is none, a claim that is none, a page without parts.
    change(built / "snippets/listening/demux.py", "import socket", "import")
    change(
        built / "tests/listening/test_before_accept.py",
        '"ready-after-bind"',
        '"Ready after bind"',
    )
    change(
        built / "docs/listening/before-accept.md",
        "## Elsewhere",
        "[x](#gone)\n\n##",
    )
    # Its own: a page, a program, a test and a link.
    change(page, "## Elsewhere", "[here](#gone-too)\n\n% To do: more.\n\n## Links")
    change(built / "snippets/sockets/who_calls_accept.py", "print(", "print('now',")
    line = page.read_text().splitlines().index("[here](#gone-too)") + 1
    test = built / "tests/sockets/test_a_conversation.py"
    test.write_text(test.read_text() + "\ndef test_red() -> None:\n    assert  0\n")
    status = chapter.main(NAME, built)
    said = capsys.readouterr().out
    assert status == 1
    assert f"docs/{NAME}.md:1: the chapter lacks a section '## Elsewhere'" in said
    assert "who_calls_accept.py: the program no longer does what" in said
    assert "make record S=sockets/who_calls_accept" in said
    assert "test_red - assert 0" in said
    assert f"docs/{NAME}.md:{line}: WARNING: 'myst' cross-reference target" in said
    assert "  To mend it: name a page or heading that is there" in said
    assert f"-- to do\ndocs/{NAME}.md:{line + 2}: to do: more." in said
    assert f"{NAME}: 7 to mend, see above; lines that say what is to do: 1" in said
    assert "test_a_conversation.py:" in said.partition("-- lint")[2]
    assert "  To mend it: make format" in said
    assert "demux" not in said
    assert "Ready after bind" not in said
    assert "before-accept" not in said.partition("-- tests")[0]
    # The next build has nothing new to read, and tells the same.
    again, _ = chapter.build(chapter.find(NAME, built))
    assert again
    assert "\n".join(again) in said
    assert f"docs/{NAME}.md:{line}: WARNING: 'myst' cross-reference" in again[0]


def test_a_name_that_is_none_lists_those_near(repository: Path) -> None:
    with pytest.raises(Problem) as refused:
        chapter.find("sockets/nope", repository)
    assert "C=sockets/nope: no chapter of that name" in str(refused.value)
    assert f"with one of: {NAME}" in str(refused.value)
    for near in ("a_conversation", "sockets/a_conversation", "socket/a-conversaton"):
        with pytest.raises(Problem) as refused:
            chapter.find(near, repository)
        assert str(refused.value).endswith(f"with one of: {NAME}")
    with pytest.raises(Problem, match="C=reference/glossary: a page and no chapter"):
        chapter.find("reference/glossary", repository)
    with pytest.raises(Problem, match="no chapter named"):
        chapter.find("", repository)
    assert chapter.find(f"docs/{NAME}.md", repository).page.docname == NAME


def test_a_chapter_without_tests_is_told(repository: Path) -> None:
    for path in (repository / "tests/sockets").iterdir():
        path.unlink()
    with pytest.raises(Problem) as refused:
        chapter.tests(chapter.find(NAME, repository))
    assert "tests/sockets/test_a_conversation.py: " in str(refused.value)


def test_a_pair_belongs_to_its_chapter_whole(repository: Path) -> None:
    found = chapter.find(NAME, repository)
    assert {"sockets/echo_server", "sockets/echo_client"} <= set(found.programs)
    assert found.owns("snippets/sockets/echo_client.py:3")
    assert found.owns("snippets/sockets/recorded/echo_server.client.txt")
    assert not found.owns("snippets/sockets/recorded/echo_servers.txt")
    assert [path.name for path in found.tests][:2] == [
        "test_a_conversation.py",
        "test_echo_pair.py",
    ]


@pytest.mark.parametrize(("name", "opened"), [("", 1), ("CI", 0), ("NO_BROWSER", 0)])
def test_a_browser_opens_where_somebody_sees_it(
    monkeypatch: pytest.MonkeyPatch, name: str, opened: int
) -> None:
    for variable in ("CI", "NO_BROWSER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    if name:
        monkeypatch.setenv(name, "true")
    assert chapter.has_screen() == bool(opened)


@needing("make")
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("chapter", "C=ports/what's"), "C=ports/what's: no chapter of that name"),
        (("chapter", 'C=ports/"; exit 0'), 'C=ports/"; exit 0: no chapter of that'),
        (("chapter",), "make chapter: no chapter named"),
        (("live", "PORT="), "PORT=: not a port from 1 to 65535"),
        (("record", "S=snippets/ports/port_zeroo.py"), "one of: ports/port_zero\n"),
        (("new-chapter", "PART=a'b", "NAME=x"), "PART=a'b: no name of a part"),
        (("changes", "BASE=it's"), "make changes BASE=origin/main"),
    ],
)
def test_make_hands_on_whatever_it_is_given(words: tuple[str, ...], says: str) -> None:
    done = subprocess.run(
        ["make", "-o", ".venv/.ready", f"BIN={Path(sys.executable).parent}", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert says in done.stderr
    assert "To mend it: " in done.stderr
