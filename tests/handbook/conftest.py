"""A small repository of its own for each test, to break on purpose."""

from __future__ import annotations

import shutil
import textwrap
from typing import TYPE_CHECKING

import pytest

from handbook import snippet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = snippet.ROOT


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Copy what pages are made of; the test may change anything in it."""
    for folder in ("docs", "snippets", "tests", "conf"):
        shutil.copytree(
            ROOT / folder,
            tmp_path / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., snippet.Snippet]:
    """Write a program into an empty repository and read it back."""

    def write(source: str, name: str = "demo/example") -> snippet.Snippet:
        path = tmp_path / "snippets" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip("\n"))
        return snippet.read(path, tmp_path)

    return write


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there, once."""
    text = path.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))
