"""What `check` asks of the files themselves: that each belongs to something."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from handbook import check_tests, claims, links, texts
from handbook.needs import FILES
from handbook.problem import Problem, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.pages import Page
    from handbook.snippet import Snippet

TREES = ("docs", "snippets", "tests")
REDIRECTS = "docs/redirects.txt"
BY_THE_WAY = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
# What editors, patches and merges leave behind.
LEFT_BEHIND = re.compile(r"~$|\.(orig|rej|bak|swp|swo|tmp|pyc)$|^\.#|^#.*#$| copy\b")


def _listed(root: Path) -> list[Path]:
    """Give every file of the trees; what git ignores is nobody's."""
    git = shutil.which("git")
    if git and (root / ".git").exists():
        done = subprocess.run(
            [git, "ls-files", "-z", "-co", "--exclude-standard", "--", *TREES],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            names = sorted(filter(None, done.stdout.split("\0")))
            there = (root / name for name in names)
            return [each for each in there if each.is_file() or each.is_symlink()]
    return sorted(
        path
        for tree in TREES
        for path in (root / tree).rglob("*")
        if (path.is_file() or path.is_symlink()) and "__pycache__" not in path.parts
    )


def belonging(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every file below docs/, snippets/ and tests/ is used by something."""
    del snippets
    written = "\n".join(page.text for page in read)
    tests = ""
    for path in _listed(root):
        if LEFT_BEHIND.search(path.name):
            yield Problem(
                place(root, path),
                "left behind by an editor, a patch or a merge",
                "take from it what you need, and delete it",
            )
            continue
        tree = path.relative_to(root).parts[0]
        if tree == "docs":
            yield from _of_docs(root, path, written)
        elif tree == "snippets":
            yield from _of_snippets(root, path)
        else:
            if path.suffix != ".py" and not tests:
                tests = _sources(root)
            yield from _of_tests(root, path, tests)


def _sources(root: Path) -> str:
    return "\n".join(texts.read(root, path) for path in check_tests.parsed(root))


def _of_docs(root: Path, path: Path, written: str) -> Iterator[Problem]:
    where = place(root, path)
    if path.suffix == ".md" or where == REDIRECTS:
        return
    if path.name not in written:
        yield Problem(
            where,
            "no page uses this file",
            "name it on the page that needs it, or delete it; a program goes to "
            "snippets/<part>/",
        )


def _of_snippets(root: Path, path: Path) -> Iterator[Problem]:
    parts = path.relative_to(root).parts
    if len(parts) == 3 and (path.suffix == ".py" or path.suffix in FILES):
        return
    if len(parts) == 4 and parts[2] == "recorded":
        return  # `recorded` asks whether its program is there
    where = place(root, path)
    if path.suffix == ".py":
        yield Problem(
            where,
            "no part of the handbook: nothing runs it",
            "put it at snippets/<part>/<name>.py",
        )
    else:
        yield Problem(
            where,
            "belongs to no program",
            "a program is snippets/<part>/<name>.py, a file beside it ends in "
            f"{', '.join(FILES)} and is named by the program's 'Needs:'; delete others",
        )


def _of_tests(root: Path, path: Path, tests: str) -> Iterator[Problem]:
    parts = path.relative_to(root / "tests").parts
    where = place(root, path)
    if path.suffix == ".py":
        if len(parts) > 2:
            yield Problem(
                where,
                "lies too deep: a claim belongs to the part that its folder names",
                "move it to tests/<part>/",
            )
    elif where != claims.TOLD.as_posix() and path.name not in tests:
        yield Problem(
            where,
            "no test uses this file",
            "name it in the test that reads it, or delete it",
        )


# The files around


def encrypted(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Links of pages, and of what stands at the top, lead to https and run nothing."""
    del snippets
    for page in read:
        yield from links.wrong(root, page.path, page.text)
    for name in BY_THE_WAY:
        if (root / name).exists():
            text = texts.read(root, root / name)
            yield from links.wrong(root, root / name, text)


def configured(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """What the tools are told can be read."""
    del read, snippets
    path = root / "pyproject.toml"
    if path.exists():
        try:
            tomllib.loads(texts.read(root, path))
        except tomllib.TOMLDecodeError as error:
            line = re.search(r"at line (\d+)", str(error))
            yield Problem(
                place(root, path, int(line[1]) if line else None),
                f"not TOML: {error}",
                "fix the line; toml.io says how it is written",
            )


def redirected(
    root: Path, read: list[Page], snippets: list[Snippet]
) -> Iterator[Problem]:
    """Every old address leads to a page that is there."""
    del snippets
    path = root / REDIRECTS
    if not path.exists():
        return
    here = {f"{page.docname}.md" for page in read}
    for number, row in enumerate(texts.read(root, path).splitlines(), 1):
        words = row.split()
        if not words or row.lstrip().startswith("#"):
            continue
        where = place(root, path, number)
        if len(words) != 2:
            yield Problem(
                where,
                f"{row.strip()!r} is not an old document and a new one",
                "write, for example, listening/old-name.md listening/backlog.md",
            )
        elif words[1] not in here and (root / "docs" / words[1]).suffix == ".md":
            yield Problem(
                where,
                f"leads to {words[1]}, which is not there",
                "name a page of docs/ that is",
            )


# What is installed

PINNED = re.compile(r"^(?P<what>[^#\s][^#]*?)\s*(?:#.*)?$")
VIA = re.compile(r"^\s+# (?:via )?\s*(?P<who>\S.*)$")


def _required(root: Path, path: Path) -> list[tuple[int, Requirement]]:
    found = []
    for number, row in enumerate(texts.read(root, path).splitlines(), 1):
        match = PINNED.match(row)
        if match is None:
            continue
        try:
            found.append((number, Requirement(match["what"])))
        except InvalidRequirement as error:
            raise Problem(
                place(root, path, number),
                f"{match['what']!r} is no requirement: {str(error).splitlines()[0]}",
                "write, for example, 'pytest ~= 9.0' into requirements.in, "
                "and run make lock",
            ) from error
    return found


def _needed_by(root: Path, path: Path) -> dict[str, set[str]]:
    """Read who needs each package, as uv writes below its line: `# via furo`."""
    found: dict[str, set[str]] = {}
    name = ""
    for row in texts.read(root, path).splitlines():
        via, pin = VIA.match(row), PINNED.match(row)
        if via and name:
            who = via["who"].removeprefix("via").strip()
            found[name] |= {canonicalize_name(who)} if who else set()
        elif pin:
            name = canonicalize_name(re.split(r"[\[=<>~!; ]", pin["what"])[0])
            found.setdefault(name, set())
    return found


def locked(root: Path, read: list[Page], snippets: list[Snippet]) -> Iterator[Problem]:
    """Exactly what requirements.in asks for is pinned in requirements.txt."""
    del read, snippets
    asked_at, pinned_at = root / "requirements.in", root / "requirements.txt"
    if not (asked_at.exists() or pinned_at.exists()):
        return
    asked = _required(root, asked_at)
    pins: dict[str, list[tuple[int, Requirement]]] = {}
    for line, pin in _required(root, pinned_at):
        where = place(root, pinned_at, line)
        pins.setdefault(canonicalize_name(pin.name), []).append((line, pin))
        if [each.operator for each in pin.specifier] not in (["=="], ["==="]):
            yield Problem(where, f"{pin.name} is not pinned with ==", "make lock")
    for line, wanted in asked:
        where = place(root, asked_at, line)
        name = canonicalize_name(wanted.name)
        if name not in pins:
            yield Problem(
                where, f"{wanted.name} is not in requirements.txt", "make lock"
            )
        for at, pin in pins.get(name, ()):
            versions = [each.version for each in pin.specifier]
            if not all(
                wanted.specifier.contains(each, prereleases=True) for each in versions
            ):
                yield Problem(
                    where,
                    f"asks for {wanted.name}{wanted.specifier}, and "
                    f"{place(root, pinned_at, at)} pins {pin.specifier}",
                    "make lock",
                )
    yield from _left_over(
        root, {canonicalize_name(each.name) for _, each in asked}, pins
    )


def _left_over(
    root: Path, asked: set[str], pins: dict[str, list[tuple[int, Requirement]]]
) -> Iterator[Problem]:
    path = root / "requirements.txt"
    needed_by = _needed_by(root, path)
    reached = asked & pins.keys()
    while True:
        more = {name for name, who in needed_by.items() if who & reached} - reached
        if not more:
            break
        reached |= more
    for name in sorted(pins.keys() - reached):
        line, pin = pins[name][0]
        yield Problem(
            place(root, path, line),
            f"{pin.name} is pinned, and nothing in requirements.in needs it",
            "make lock; if it is wanted, write it into requirements.in first",
        )


ALL = (belonging, encrypted, configured, redirected, locked)
"""The checks, in the order in which they tell: (root, pages, programs)."""
