"""Find what would let a page go stale, and say how to mend it.

Each check reads files and returns Problems; nothing is run. `problems` gives
them all, for `make check` and for the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handbook import check_pages, check_programs, claims, facts, pages
from handbook.problem import Problem, place
from handbook.snippet import ROOT, Snippet, find
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from pathlib import Path


def problems(root: Path = ROOT) -> list[Problem]:
    """Run every check."""
    found: list[Problem] = []
    snippets: list[Snippet] = []
    for path in find(root):
        try:
            snippets.append(read_snippet(path, root))
        except Problem as problem:
            found.append(problem)
    found += claims.gather(root)[1]
    expected = set(find(root))
    found += [
        Problem(
            place(root, path),
            "no part of the handbook: nothing runs it",
            "put it at snippets/<part>/<name>.py",
        )
        for path in sorted((root / "snippets").rglob("*.py"))
        if path not in expected
    ]
    read = pages.read_all(root)
    found += facts.wrong(root, read)
    for check in (*check_programs.ALL, *check_pages.ALL):
        found += check(root, read, snippets)
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
        for page in pages.read_all(root)
        for line, what in page.to_do
    ]
    for path in sorted((root / "tests").rglob("test_*.py")):
        found += [
            (path, line, what) for line, what in pages.to_do(path.read_text("utf-8"))
        ]
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
