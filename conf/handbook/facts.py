"""What a page tells of itself: how long it takes, what to read first, its tests.

Above the text stand the minutes, the programs and the chapters that it builds on;
at its foot, on what its claims were tested. No Sphinx here.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import claims, pages
from handbook.problem import Problem, place
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from handbook.pages import Page

PACE = 180
"""Words a minute: prose that is read to be understood."""


@dataclass(frozen=True)
class Facts:
    """What is told around a chapter's text.

    Attributes:
        minutes: how long its prose takes.
        programs: how many programs it shows.
        first: the chapters to read before it, as names of documents.
        tested: how its claims were tested, or "" for a page without claims.
    """

    minutes: int = 0
    programs: int = 0
    first: tuple[str, ...] = ()
    tested: str = ""


def of_all(root: Path = ROOT) -> dict[str, Facts]:
    """Gather the facts of every page that has some, by the name of the document."""
    proved: dict[str, list[claims.Claim]] = {}
    for made in claims.collect(root).values():
        docname = f"{made.part}/{made.chapter.replace('_', '-')}"
        proved.setdefault(docname, []).append(made)
    results = claims.results(root)
    found = {}
    for page in pages.read_all(root):
        tested = ""
        if page.docname in proved:
            mine = proved[page.docname]
            tested = told(
                [claims.result_of(made, results) for made in mine if made.test],
                sum(not made.test for made in mine),
            )
        if pages.is_chapter(root, page):
            found[page.docname] = Facts(
                max(1, math.ceil(len(pages.prose(page).split()) / PACE)),
                len({block.argument for block in page.named("literalinclude")}),
                tuple(page.front.get("first", "").split()),
                tested,
            )
        elif tested:
            found[page.docname] = Facts(tested=tested)
    return found


def told(results: list[claims.Result | None], cited: int = 0) -> str:
    """Say in a sentence how the tests of a page's claims ended, where and when.

    Args:
        results: the result of each tested claim, None where none is at hand.
        cited: how many of its claims rest on a source alone.
    """
    if not results:
        return ""
    here = [result for result in results if result is not None]
    count = f"{len(results)} tested claim{'s' * (len(results) != 1)}"
    also = f", {cited} cited" if cited else ""
    if not here:
        return f"{count}{also}; not run for this build."
    passed = [result for result in here if result.outcome == "passed"]
    last = max(here, key=lambda result: result.date)
    date = datetime.date.fromisoformat(last.date)
    share = "all passed" if len(passed) == len(results) else f"{len(passed)} passed"
    return (
        f"{count}{also}; {share} on Python {last.python}, {last.kernel}, "
        f"{date.day} {date:%B %Y}."
    )


def wrong(root: Path, read: Iterable[Page]) -> list[Problem]:
    """Find chapters that build on what is not there, or on what comes after them."""
    by_name = {page.docname: page for page in read}
    order = {name: at for at, name in enumerate(in_order(by_name))}
    found = []
    for page in by_name.values():
        for name in page.front.get("first", "").split():
            line = page.text[: page.text.index("\nfirst:") + 1].count("\n") + 1
            if name not in order or name == page.docname:
                what = f"there is no chapter {name!r} to read first"
                mend = "name documents as in 'first: sockets/a-conversation'"
            elif order[name] > order.get(page.docname, len(order)):
                what = f"{name} comes after this chapter, and cannot be read first"
                mend = "take it out of 'first:', or change the order in the indexes"
            else:
                continue
            found.append(Problem(place(root, page.path, line), what, mend))
    return found


def in_order(by_name: Mapping[str, Page], name: str = "index") -> list[str]:
    """List the documents in the order of the toctrees, from a document on."""
    if name not in by_name:
        return []
    listed = [name]
    folder = Path(name).parent
    for tree in by_name[name].named("toctree"):
        for entry in tree.body.split("\n"):
            below = (folder / entry.strip()).as_posix()
            if entry.strip() and not entry.startswith(":") and below not in listed:
                listed += in_order(by_name, below)
    return listed
