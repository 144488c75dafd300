"""A small repository of its own for each test, to break on purpose."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING

import pytest

import building
from handbook import claims, conduct, recordings, snippet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROOT = snippet.ROOT


# Enough of the handbook to break: the whole of it takes long to build.
KEPT = {
    *("index", "about/how-to-read", "sockets/index", "sockets/a-conversation"),
    *("listening/index", "listening/before-accept", "listening/two-kinds-of-socket"),
    *("reference/index", "reference/glossary", "reference/claims/index"),
    *("reference/claims/sockets", "reference/claims/listening"),
}
TESTS = (
    *("test_a_conversation", "test_echo_pair", "test_before_accept"),
    *("test_two_kinds_of_socket", "conftest", "test_recordings"),
)
LINK = re.compile(r"\[((?:[^\]`]|`[^`]*`)*)\]\(([^)\s]+\.md)(#[^)\s]*)?\)")
TICK = re.compile(r" ?\{claim\}`([a-z0-9-]+)`")
FIRST = re.compile(r"^first:(.*)$", re.MULTILINE)
INCLUDE = re.compile(r"snippets/([a-z]+/\w+)\.py")


def _shorten(path: Path, docs: Path, known: set[str]) -> None:
    """Take out of a page what leads to pages and claims that are not kept."""
    folder = path.parent

    def kept(name: str) -> bool:
        target = (folder / name).resolve().relative_to(docs.resolve())
        return target.with_suffix("").as_posix() in KEPT

    text = LINK.sub(
        lambda link: link[0] if "://" in link[2] or kept(link[2]) else f"{link[1]}",
        path.read_text(),
    )
    text = FIRST.sub(
        lambda first: " ".join(["first:", *(n for n in first[1].split() if n in KEPT)]),
        text,
    )
    text = TICK.sub(lambda tick: tick[0] if tick[1] in known else "", text)
    lines = text.splitlines(keepends=True)
    inside = False
    whole = []
    for line in lines:
        inside = line.startswith("```{toctree}") or (
            inside and not line.startswith("```")
        )
        entry = line.strip()
        if inside and re.fullmatch(r"[\w/-]+", entry) and not kept(f"{entry}.md"):
            continue
        whole.append(line)
    path.write_text("".join(whole))


def _keep_the_shown(root: Path) -> None:
    """Take away the programs, with their recordings, that no page shows."""
    shown = {
        name
        for path in (root / "docs").rglob("*.md")
        for name in INCLUDE.findall(path.read_text())
    }
    kept = {root / "snippets" / f"{name}.py" for name in shown}
    for name in shown:
        kept |= set(recordings.paths(snippet.by_id(name, root)).values())
    for path in (root / "snippets").rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()
    for path in [*root.glob("snippets/*/recorded"), *root.glob("snippets/*")]:
        if not any(path.iterdir()):
            path.rmdir()


@pytest.fixture(scope="session")
def small_handbook(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy three chapters with all that they rest on, once."""
    root = tmp_path_factory.mktemp("handbook")
    # With what Python has compiled, but for what another process is just writing.
    half = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(ROOT / "conf", root / "conf", ignore=half)
    for folder in ("docs", "snippets", "tests"):
        shutil.copytree(
            ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "requirements.in", "requirements.txt"):
        shutil.copy(ROOT / name, root)
    for path in (root / "tests").glob("*/*.py"):
        part = path.parent.name
        if part in ("handbook", "site") or (
            part != "support" and path.stem not in TESTS
        ):
            path.unlink()
    kept = "".join(path.read_text() for path in (root / "tests").rglob("*.py"))
    for path in (root / "tests/support").glob("*.py"):
        if not re.search(rf"^(from|import) {path.stem}\b", kept, re.MULTILINE):
            path.unlink()
    known = set(claims.collect(root))
    told = [identifier for identifier in claims.told(root) if identifier in known]
    (root / claims.TOLD).write_text("".join(f"{each}\n" for each in told))
    docs = root / "docs"
    for path in docs.rglob("*.md"):
        if path.relative_to(docs).with_suffix("").as_posix() in KEPT:
            _shorten(path, docs, known)
        else:
            path.unlink()
    _keep_the_shown(root)
    return root


@pytest.fixture
def repository(small_handbook: Path, tmp_path: Path) -> Path:
    """Copy what pages are made of; the test may change anything in it."""
    shutil.copytree(small_handbook, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="session")
def built_once(
    small_handbook: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Build the copy, strictly; where it was built, and what then was there."""
    here = tmp_path_factory.mktemp("built") / "handbook"
    shutil.copytree(small_handbook, here)
    building.build(here)
    kept = here.with_name("kept")
    shutil.copytree(here, kept)
    return here, kept


@pytest.fixture
def built(built_once: tuple[Path, Path]) -> Path:
    """Give a copy with its site, from which a build goes on; change anything in it.

    Sphinx goes on only in the folder in which it began: all tests of a process get the
    same one, each as it was after that first build, down to the times of the files.
    """
    here, kept = built_once
    shutil.rmtree(here)
    shutil.copytree(kept, here)
    return here


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., snippet.Snippet]:
    """Write a program into an empty repository and read it back."""

    def write(source: str, name: str = "demo/example") -> snippet.Snippet:
        path = tmp_path / "snippets" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source).lstrip("\n"))
        return snippet.read(path, tmp_path)

    return write


@pytest.fixture
def any_conduct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let programs be as short as can be: without a time-out, with a fixed port.

    They show what is recorded; test_conduct.py has what is refused.
    """
    for rule in ("unbounded", "fixed_ports"):
        monkeypatch.setattr(conduct, rule, lambda *_: iter(()))


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there, once."""
    text = path.read_text()
    assert text.count(old) >= 1, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))
