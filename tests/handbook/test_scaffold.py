"""A new chapter is whole and green at once, or nothing is written at all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import building
from building import SITE
from handbook import check, pages, record, scaffold
from handbook.problem import Problem
from patience import PATIENCE

linux = pytest.mark.skipif(sys.platform != "linux", reason="recordings are of Linux")


def files(root: Path) -> dict[str, bytes]:
    """Give every file of a repository, but for what running it leaves behind."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def run(root: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=root,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "PYTHONPATH": str(root / "conf"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@linux
def test_a_new_chapter_is_green_at_once(built: Path) -> None:
    status, said = run(built, "handbook", "new-chapter", "sockets", "a-new-question")
    assert status == 0, said
    assert "make chapter C=sockets/a-new-question" in said
    assert check.problems(built) == []
    status, said = run(built, "handbook", "check")
    assert status == 0, said
    assert building.strictly(built) == (0, "")
    page = (built / SITE / "sockets/a-new-question.html").read_text()
    assert "client: connect() -&gt; [Errno 111] Connection refused" in page
    assert "<svg" in page
    assert "To do" not in page
    status, said = run(
        *(built, "pytest", "-q", "-p", "no:cacheprovider"),
        *("tests/sockets/test_a_new_question.py", "tests/test_recordings.py"),
        *("-k", "new_question or agree"),
    )
    assert status == 0, said
    assert "3 passed" in said


@linux
def test_a_new_part_is_green_at_once_and_named_where_parts_are(
    built: Path,
) -> None:
    scaffold.new_chapter("mail", "first-words", built)
    scaffold.new_chapter("mail", "second-words", built)
    assert check.problems(built) == []
    linted = subprocess.run(
        [Path(sys.executable).with_name("rumdl"), "check", "docs/mail"],
        cwd=built,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
    index = (built / "docs/index.md").read_text()
    assert re.search(r"caption: Chapters\n(.*\n)*?mail/index\n```", index)
    assert "first-words\nsecond-words\n```" in (built / "docs/mail/index.md").read_text(
        "utf-8"
    )
    assert building.strictly(built) == (0, "")
    ledger = (built / SITE / "reference/claims/mail.html").read_text()
    assert 'id="claim-second-words-last-words"' in ledger


@linux
def test_what_is_left_to_do_is_refused_when_finished_is_asked(
    repository: Path,
) -> None:
    scaffold.new_chapter("sockets", "a-new-question", repository)
    path = repository / "docs/sockets/a-new-question.md"
    test = repository / "tests/sockets/test_a_new_question.py"
    status, said = run(repository, "handbook", "check", "--finished")
    assert status == 1
    assert "docs/sockets/a-new-question.md:8: to do: make the title" in said
    assert "tests/sockets/test_a_new_question.py:12: to do: put your claim" in said
    assert "delete the line" in said
    for one in (path, test):
        kept = [
            row for row in one.read_text().splitlines() if not pages.TO_DO.match(row)
        ]
        one.write_text("\n".join(kept) + "\n")
    # The length is asked once the chapter no longer says that it is unfinished.
    found = [str(problem) for problem in check.problems(repository)]
    assert len(found) == 1
    assert "words of prose; a chapter has 900 to 1500" in found[0]


REFUSED = {
    "no part": (
        "",
        "a-question",
        ["no PART given", "the parts are listening, sockets"],
    ),
    "no name": ("sockets", "", ["no NAME given", "make new-chapter PART="]),
    "a part in capitals": ("Sockets", "a-question", ["no name of a part"]),
    "a part that is a path": ("../x", "a-question", ["no name of a part"]),
    "a part that is none": ("reference", "a-question", ["holds something else"]),
    "a name in capitals": ("sockets", "A-Question", ["no name of a chapter"]),
    "a name that is a path": ("sockets", "a/b", ["no name of a chapter"]),
    "the index": ("sockets", "index", ["no name of a chapter"]),
    "a module": ("sockets", "queue", ["would hide Python's module", "NAME=a-queue"]),
    "a package": ("sockets", "websockets", ["would hide Python's module or package"]),
    "a long name": ("sockets", "a-question-that-is-far-too-long", ["room for 28"]),
    "a mark": ("sockets", "wrong-question", ["wrong_ marks what is wrong"]),
    "a chapter that exists": (
        *("sockets", "a-conversation"),
        ["docs/sockets/a-conversation.md: is there already"],
    ),
    "a program that exists": ("sockets", "conversation", ["snippets/sockets/conv"]),
    "a program of another part": (
        *("listening", "conversation"),
        ["would be called like snippets/sockets/conversation.py"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    repository: Path, name: str
) -> None:
    part, chapter, says = REFUSED[name]
    before = files(repository)
    with pytest.raises(Problem) as refused:
        scaffold.new_chapter(part, chapter, repository)
    for words in says:
        assert words in str(refused.value)
    assert files(repository) == before


@pytest.mark.parametrize("part", ["sockets", "mail"])
@pytest.mark.parametrize("stops", [Problem("a", "b", "c"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_every_file_as_it_was(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    stops: BaseException,
) -> None:
    def fail(*_: object) -> None:
        assert (repository / f"docs/{part}/a-new-question.md").exists()
        raise stops

    monkeypatch.setattr(record, "save", fail)
    monkeypatch.setattr(record, "record", lambda _: None)
    before = files(repository)
    with pytest.raises(type(stops)):
        scaffold.new_chapter(part, "a-new-question", repository)
    assert files(repository) == before
    assert not (repository / "docs/mail").exists()
