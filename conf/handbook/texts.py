"""Files as text and as Python: what cannot be read is a Problem, never a traceback."""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

from handbook.problem import Problem, place

if TYPE_CHECKING:
    from pathlib import Path


def read(root: Path, path: Path) -> str:
    """Read a text; Problem if it is not UTF-8, or a link that leads nowhere."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Problem(
            place(root, path, line),
            "not UTF-8",
            "have your editor save the file as UTF-8",
        ) from error
    except OSError as error:
        raise _unreadable(root, path, error) from error


def state(root: Path, path: Path) -> tuple[int, int]:
    """Give what changes when a file does: its time and its size."""
    try:
        about = path.stat()
    except OSError as error:
        raise _unreadable(root, path, error) from error
    return about.st_mtime_ns, about.st_size


def _unreadable(root: Path, path: Path, error: OSError) -> Problem:
    if path.is_symlink():
        return Problem(
            place(root, path),
            f"a link to {path.readlink()}, which is not there",
            "delete the link, or bring back what it leads to",
        )
    return Problem(
        place(root, path),
        f"cannot be read: {error.strerror}",
        "put a file there that you may read, or delete it",
    )


@functools.lru_cache(maxsize=1024)
def parse(root: Path, path: Path, text: str) -> ast.Module:
    """Parse Python, once for as long as the text stays the same; nobody changes it."""
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise Problem(
            place(root, path, error.lineno), f"not Python: {error.msg}", "fix the line"
        ) from error
    except ValueError as error:  # of a null byte, before Python 3.12
        line = text[: text.find("\0")].count("\n") + 1
        raise Problem(
            place(root, path, line), f"not Python: {error}", "fix the line"
        ) from error


@functools.lru_cache(maxsize=1024)
def nodes(tree: ast.Module) -> tuple[ast.AST, ...]:
    """Give all nodes of a file, as ast.walk() does, once: to walk takes long."""
    return tuple(ast.walk(tree))


@functools.lru_cache(maxsize=512)
def lines_that_say(text: str, words: str) -> frozenset[int]:
    """Give the lines of all statements that hold these words, or stand below them."""
    rows = text.splitlines()
    said = {n for n, row in enumerate(rows, 1) if words in row}
    # Comments below one another are one.
    for number in range(1, len(rows)):
        if number in said and rows[number].lstrip().startswith("#"):
            said.add(number + 1)
    lines = set(said)
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt):
            continue
        inner = getattr(node, "body", None)
        end = inner[0].lineno - 1 if inner else node.end_lineno or node.lineno
        spanned = range(node.lineno, max(end, node.lineno) + 1)
        if said & {node.lineno - 1, *spanned}:
            lines |= {*spanned}
    return frozenset(lines)
