"""Find what would let a page go stale, and say how to mend it.

Each check reads files and returns Problems; nothing is run. `problems` gives
them all, for `make check` and for the tests.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from handbook import (
    check_code,
    check_files,
    check_pages,
    check_programs,
    check_tests,
    claims,
    facts,
    pages,
    texts,
)
from handbook.problem import Problem, place
from handbook.snippet import ROOT, Snippet, companions, find
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from pathlib import Path


def problems(root: Path = ROOT) -> list[Problem]:
    """Run every check."""
    found: list[Problem] = []
    programs: list[Snippet] = []
    for path in [*find(root), *companions(root)]:
        try:
            snippet = read_snippet(path, root)
        except Problem as problem:
            found.append(problem)
            continue
        if path.suffix == ".py":
            programs.append(snippet)
    found += claims.gather(root)[1]
    read, unread = pages.gather(root)
    found += unread
    found += facts.wrong(root, read)
    for check in (
        *check_programs.ALL,
        *check_tests.ALL,
        *check_code.ALL,
        *check_files.ALL,
        *check_pages.ALL,
    ):
        try:
            found += check(root, read, programs)
        except Problem as problem:  # of what the check rests on: the others go on
            found.append(problem)
    terms = check_pages.glossary_terms(read)
    for page in read:
        for look in check_pages.EACH:
            found += look(root, page)
        found += check_pages.explained(root, page, terms)
        if pages.is_chapter(root, page):
            found += check_pages.chapter(root, page)
    told = {str(problem): problem for problem in found}
    return list(told.values())


def to_do(root: Path = ROOT) -> list[Problem]:
    """Say what writers have marked as still to do: no pull request may bring it."""
    found = [
        (page.path, line, what)
        for page in pages.gather(root)[0]
        for line, what in page.to_do
    ]
    code = sorted((root / "tests").rglob("*.py"))
    for path in [*code, *find(root), *companions(root)]:
        with contextlib.suppress(Problem):  # told of by `problems`
            text = texts.read(root, path)
            read = pages.to_do if path.suffix != ".py" else pages.to_do_in_code
            found += [(path, line, what) for line, what in read(text)]
    return [
        Problem(place(root, path, line), f"to do: {what}", "do it, and delete the line")
        for path, line, what in found
    ]


def stale(root: Path, snippet: Snippet, difference: str) -> Problem:
    """Say that a program no longer does what the pages show of it."""
    shown_at = [
        block.where(root)
        for page in pages.read_all(root)
        for block in page.named("recorded", "timeline")
        if block.argument == snippet.id
    ]
    where = " and ".join(shown_at) or "its recording"
    return Problem(
        snippet.where,
        f"the program no longer does what {where} shows (- recorded, + now):\n"
        + difference,
        f"if the new run is right: make record S={snippet.id}, and read the prose "
        "around it again",
    )
