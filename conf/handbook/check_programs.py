"""What `check` asks of programs, their recordings, their tests and the ledger."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import re
import sys
from typing import TYPE_CHECKING

from handbook import claims, constants, errors, pages, printed, recordings, texts
from handbook.needs import CONDITIONS, SYSTEMS
from handbook.problem import Problem, place
from handbook.snippet import (
    companions,
    companions_of_pairs,
    find,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from handbook.pages import Page
    from handbook.snippet import Snippet

# What differs from day to day and from machine to machine: names, users, Pythons.
OF_HERE = re.compile(
    r"(socket\.)?(gethostname|getfqdn)|(platform\.)?(node|uname|python_version|version)"
    r"|os\.(uname|getlogin)|(getpass\.)?getuser|(pathlib\.)?Path\.home"
    r"|(os\.path\.|path\.)?expanduser|sys\.version"
    r"|time\.(time|ctime|strftime|localtime|gmtime)"
    r"|(datetime\.)?(datetime|date)\.(now|utcnow|today)"
)


def shown(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every program is on a page."""
    on_pages = {name for page in read for _, name in pages.included(root, page)}
    for snippet in snippets:
        if snippet.id not in on_pages:
            yield Problem(
                snippet.where,
                "no page shows this program",
                "include it in a chapter with {literalinclude}, or delete it",
            )
    needed = {
        snippet.path.parent / need
        for snippet in snippets
        for need in snippet.companions
    }
    for path in companions(root):
        where = place(root, path)
        if f"{path.parent.name}/{path.name}" not in on_pages:
            yield Problem(
                where,
                "no page shows this file",
                "include it in a chapter with {literalinclude}, or delete it",
            )
        if path not in needed:
            yield Problem(
                where,
                "no program needs this file",
                f"write 'Needs: {path.name}' into the docstring of one, or delete it",
            )


def recorded(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every program is recorded, every recording shown, and none is left over."""
    partners = companions_of_pairs(root)
    wanted: set[Path] = set()
    told = {
        (block.argument, block.options.get("role", ""))
        for page in read
        for block in page.named("recorded")
    }
    for snippet in snippets:
        if snippet.id in partners:
            continue
        files = recordings.paths(snippet)
        wanted |= set(files.values())
        yield from _kept(snippet)
        for role in files.keys() - {"events"}:
            if (snippet.id, role) not in told:
                named = f" of the {role}" if role else ""
                yield Problem(
                    snippet.where,
                    f"no page shows the recorded output{named}",
                    f"put a {{recorded}} {snippet.id} under the program",
                )
    read_well = {snippet.path for snippet in snippets}
    unread = [path.with_suffix("") for path in find(root) if path not in read_well]
    for path in sorted((root / "snippets").glob("*/recorded/*")):
        program = path.parent.parent / path.name.partition(".")[0]
        if path not in wanted and program not in unread:
            yield Problem(
                place(root, path),
                "a recording without its program",
                "delete it, or bring the program back",
            )


def _kept(snippet: Snippet) -> Iterator[Problem]:
    """Find what is wrong with a recording: that there is none, or what it prints."""
    files = recordings.paths(snippet)
    try:
        kept = recordings.load(snippet)
    except Problem as problem:
        yield problem
        return
    for role, text in kept.transcripts.items():
        for what in printed.refused(text, snippet.varies, fresh=False):
            yield Problem(
                place(snippet.root, files[role]),
                f"{what}: no other run has it so, or no reader can read it",
                f"change what {snippet.where} prints, or declare in its docstring what "
                f"varies; then: make record S={snippet.id}",
            )


def named(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """No program is named like a module of the standard library."""
    del read, root
    for snippet in snippets:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", snippet.name):
            yield Problem(
                snippet.where,
                f"{snippet.name!r} is no name of a program: readers type and import it",
                "rename it: small letters, digits and underscores",
            )
        if snippet.name in sys.stdlib_module_names:
            yield Problem(
                snippet.where,
                f"a file named {snippet.name}.py hides Python's module {snippet.name}",
                "give it another name",
            )
        known = {each.lower(): each for each in (*SYSTEMS, *CONDITIONS)}
        for need in snippet.needs:
            if known.get(need.lower(), need) != need:
                yield Problem(
                    snippet.where,
                    f"Needs: {need} is taken for a command that is nowhere installed, "
                    "so nothing would ever run this",
                    f"write {known[need.lower()]}",
                )
        for companion in snippet.companions:
            if not (snippet.path.parent / companion).is_file():
                yield Problem(
                    snippet.where,
                    f"Needs: names {companion}, which is not there",
                    f"put {companion} beside it, or mend the line",
                )


def ledgers(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every part that claims something has its page of the ledger."""
    del snippets
    docnames = {page.docname for page in read}
    for part in sorted({made.part for made in claims.gather(root)[0].values()}):
        page = f"{claims.LEDGER}{part}"
        if page not in docnames:
            yield Problem(
                f"docs/{page}.md",
                f"the part {part} makes claims, and has no page in the ledger",
                f"write it like docs/{claims.LEDGER}sockets.md, and name it in "
                f"docs/{claims.LEDGER}index.md",
            )


def listed(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Every error that a recorded run met has its place in the reference."""
    del snippets
    blocks = [block for page in read for block in page.named("provoked")]
    if not blocks:
        return
    told = {block.argument for block in blocks}
    for name, seen in sorted(errors.seen(root).items()):
        if name not in told:
            yield Problem(
                place(root, blocks[0].path),
                f"no entry for {name}, which {', '.join(sorted(seen.programs))} met",
                f"add a heading with its text, under it a fence {{provoked}} {name}, "
                "and what to do about it",
            )


def sound(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """A program names what it imports, and prints no clock."""
    del read
    for snippet in snippets:
        told = {package.lower() for package in snippet.packages}
        tree = texts.parse(root, snippet.path, snippet.source)
        for node in texts.nodes(tree):
            for name in _imported(node):
                where = place(root, snippet.path, getattr(node, "lineno", None))
                beside = f"{name}.py"
                if name in sys.stdlib_module_names or beside in snippet.companions:
                    continue
                if (snippet.path.parent / beside).is_file():
                    yield Problem(
                        where,
                        f"imports {beside}, which lies beside it, and does not say so",
                        f"write 'Needs: {beside}' into its docstring",
                    )
                elif not told & {name.lower(), *_distributions(name)}:
                    package = next(iter(_distributions(name)), name)
                    yield Problem(
                        where,
                        f"needs the package {package}, and does not say so",
                        f"write 'Needs: pip install {package}' into its docstring, and "
                        "the package into requirements.in (then make lock)",
                    )
        if not snippet.varies and OF_HERE.search(snippet.source):
            for line, what in _printed_of_here(tree):
                yield Problem(
                    place(root, snippet.path, line),
                    f"prints {what}, which no two runs or machines share",
                    "print something else; if it must be, declare it in the docstring, "
                    "for example 'Varies: at {text}'",
                )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.partition(".")[0]]
    return []


def _distributions(module: str) -> set[str]:
    """Name the packages that bring a module, as they are installed here."""
    return {name.lower() for name in _brought_by().get(module, [])}


@functools.cache
def _brought_by() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def _printed_of_here(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Name what a print() prints of the day or the machine, also by way of a name."""
    by_name: dict[str, str] = {}
    held = [(name, value) for name, value in _held(tree) if value is not None]
    for _ in range(3):  # a name may hold what another one holds
        for name, value in held:
            if what := _of_here(value, by_name):
                by_name.setdefault(name, what)
    for node in texts.nodes(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            asked = [_of_here(each, by_name) for each in node.args]
            asked += [  # whatever a print() itself makes of it
                _of_here(each, {}) for each in ast.walk(node) if each is not node
            ]
            if what := next(filter(None, asked), ""):
                yield node.lineno, what


def _held(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield what names hold, and what functions return."""
    yield from constants.bound(tree)
    for node in texts.nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return):
                    yield node.name, inner.value


def _of_here(node: ast.AST, by_name: dict[str, str]) -> str:
    """Say what of the machine an expression holds; what it hands on is another's."""
    below: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if OF_HERE.fullmatch(called):
            return f"{called}()"
        if called.rpartition(".")[2] not in {"str", "repr", "format", "join"}:
            below = [node.func]
    elif isinstance(node, ast.Name):
        return by_name.get(node.id, "")
    elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.version":
        return "sys.version"
    return next(filter(None, (_of_here(each, by_name) for each in below)), "")


ALL = (shown, recorded, named, sound, ledgers, listed)
"""The checks, in the order in which they tell: (root, pages, programs)."""
