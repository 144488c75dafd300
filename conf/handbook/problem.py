"""The one form in which the tools say that something is wrong."""

from __future__ import annotations

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
