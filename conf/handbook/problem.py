"""The one form in which the tools say that something is wrong."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Problem(Exception):  # noqa: N818 - most problems are a contributor's, not a crash
    """Something a contributor can mend.

    Says where (a path from the repository's root, and a line), what is wrong,
    and the one thing to do about it.
    """

    def __init__(self, where: str, what: str, mend: str) -> None:
        """Take the three parts of the message."""
        super().__init__(where, what, mend)
        self.where = where
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        """Join the parts, each on its own line."""
        return f"{self.where}: {self.what}\n  To mend it: {self.mend}"


def place(root: Path, path: Path, line: int | None = None) -> str:
    """Name a line as `path:line`, from the repository's root."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return name if line is None else f"{name}:{line}"


def nearest(name: str, known: list[str]) -> list[str]:
    """Give the names `part/name` that somebody may have meant, the best first.

    Those of one part, if only the part is right; none if nothing comes near.
    """
    part, _, tail = name.partition("/")
    close = difflib.get_close_matches(name, known, 3, 0.75)
    tails = {each.rpartition("/")[2]: each for each in known}
    close += [
        tails[tail] for tail in difflib.get_close_matches(tail or part, tails, 3, 0.75)
    ]
    of_part = [each for each in known if each.startswith(f"{part}/")]
    return list(dict.fromkeys(close)) or of_part
