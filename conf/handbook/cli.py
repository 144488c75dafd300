"""What the Makefile calls."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from handbook import archive, chapter, check, record, scaffold, search
from handbook.problem import Problem, nearest
from handbook.snippet import (
    ROOT,
    Snippet,
    companions_of_pairs,
    find,
)
from handbook.snippet import read as read_snippet

APART = (
    "audit",
    "bench",
    "changes",
    "stress",
)  # commands that read their own arguments


def main(arguments: list[str]) -> int:
    """Run one command; the exit status is 0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m handbook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run programs and keep what they do")
    recording.add_argument("names", nargs="*", help="part, part/name or part of a name")
    checking = commands.add_parser("check", help="find what would let a page go stale")
    checking.add_argument(
        "--finished", action="store_true", help="refuse what is marked as to do"
    )
    one = commands.add_parser("chapter", help="check one chapter and build its page")
    one.add_argument("name", help="part/name")
    fresh = commands.add_parser("new-chapter", help="write a chapter to start from")
    fresh.add_argument("part")
    fresh.add_argument("name")
    commands.add_parser("changes", help="show what a change does to the pages")
    indexing = commands.add_parser("index", help="make a built site's search index")
    indexing.add_argument("site", type=Path)
    packing = commands.add_parser("pack", help="zip a built site, to read it offline")
    packing.add_argument("site", type=Path)
    packing.add_argument("target", type=Path)
    commands.add_parser("bench", help="measure build and tests against their floors")
    commands.add_parser("audit", help="hold the built pages to the budgets")
    commands.add_parser("stress", help="run tests on a machine that is made busy")
    chosen, rest = parser.parse_known_args(arguments)
    if rest and chosen.command not in APART:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if chosen.command in APART:
            # They need the browser's driver, Sphinx or a parser; nothing else does.
            apart = importlib.import_module(f"handbook.{chosen.command}")
            return int(apart.main(rest))
        return _run(chosen)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    match chosen.command:
        case "index":
            print(search.index(chosen.site))
            return 0
        case "pack":
            size = archive.pack_site(chosen.site, chosen.target)
            print(f"packed: {chosen.target.resolve()}, {size / 1e6:.1f} MB")
            return 0
        case "record":
            return _record(chosen.names, ROOT)
        case "chapter":
            return chapter.main(chosen.name)
        case "new-chapter":
            return _new_chapter(chosen.part, chosen.name, ROOT)
        case _:
            return _check(ROOT, finished=chosen.finished)


def _record(names: list[str], root: Path) -> int:
    record.hear_interrupts()
    failed = 0
    for snippet in _chosen(names, root):
        lacking = snippet.missing()
        if lacking:
            print(f"{snippet.id}: needs {', '.join(lacking)}, which is not here")
            failed += 1
            continue
        try:
            written = record.save(snippet, record.record(snippet))
        except Problem as problem:
            print(problem, file=sys.stderr)
            failed += 1
            continue
        print(f"{snippet.id}: {'recorded' if written else 'unchanged'}", flush=True)
        for path in written:
            print(f"  wrote {path.relative_to(root)}")
    if failed:
        print(f"{failed} not recorded", file=sys.stderr)
    return 1 if failed else 0


def _chosen(names: list[str], root: Path) -> list[Snippet]:
    names = [name.removeprefix("snippets/").removesuffix(".py") for name in names]
    partners = companions_of_pairs(root)
    programs = [read_snippet(path, root) for path in find(root)]
    chosen = {}
    for program in programs:
        if not names or any(
            name in (program.part, program.id) or name in program.id for name in names
        ):
            owner = partners.get(program.id, program.id)
            chosen[owner] = next(p for p in programs if p.id == owner)
    for name in names:
        if not any(name in program.id for program in programs):
            known = [program.id for program in programs]
            raise Problem(
                f"make record S={name}",
                "no program of that name",
                "name a part, or one of: " + ", ".join(nearest(name, known) or known),
            )
    return list(chosen.values())


def _new_chapter(part: str, name: str, root: Path) -> int:
    for path in scaffold.new_chapter(part, name, root):
        print(f"wrote {path.relative_to(root).as_posix()}")
    print(
        "All of it is true, and passes every test. Lines with 'To do:' say what to\n"
        "replace by your own. See the page, and what is left to do:\n"
        f"  make chapter C={part}/{name}"
    )
    return 0


def _check(root: Path, *, finished: bool) -> int:
    found = check.problems(root)
    left = check.to_do(root)
    for problem in found + left * finished:
        print(problem)
    wrong = len(found) + len(left) * finished
    plural = "" if wrong == 1 else "s"
    told = f"{wrong} problem{plural}"
    print(told if wrong else "pages, programs and claims agree")
    if left and not finished:
        print(f"{len(left)} lines say what is still to do; make chapter shows them")
    return 1 if wrong else 0
