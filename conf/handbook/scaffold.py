"""Write a new chapter that is whole from its first minute: `make new-chapter`.

The chapter, its program, the recording of that program and a test with a claim
are made from the files in `fresh/`, and named where they must be. All of it is
true and passes every test. What its writer has to replace stands in lines that
begin with `% To do:`; `make check` refuses a pull request in which one is left.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import claims, record, recordings
from handbook.pages import SHORT_TITLE
from handbook.problem import Problem
from handbook.snippet import ROOT, find
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Iterator

FRESH = Path(__file__).resolve().parent / "fresh"
CALL = "make new-chapter PART=sockets NAME=a-new-question"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
PART = re.compile(r"[a-z]+")
# Folders of the site, of docs/ and of tests/ that hold other things than chapters.
TAKEN = frozenset(
    {"about", "handbook", "programs", "reference", "site", "snippets", "support"}
    | {"tests"}
)
TOCTREE = re.compile(r"^```\{toctree\}\n(?:.*\n)*?```$", re.MULTILINE)


def new_chapter(part: str, name: str, root: Path = ROOT) -> list[Path]:
    """Write the chapter `part/name` and all that belongs to it; name the files.

    Problem if the names are no good or something is there already. Then, and
    whatever else goes wrong, every file is as it was.
    """
    program = name.replace("-", "_")
    _judge_part(part, root)
    _judge_name(part, name, root)
    words = {
        "@part@": part,
        "@Part@": part.capitalize(),
        "@chapter@": name,
        "@Words@": name.replace("-", " ").capitalize(),
        "@program@": program,
    }
    new = {
        f"docs/{part}/{name}.md": _filled("chapter.md", words),
        f"snippets/{part}/{program}.py": _filled("program.py", words),
        f"tests/{part}/test_{program}.py": _filled("test.py", words),
    }
    if (root / f"docs/{part}/index.md").exists():
        lists = {f"docs/{part}/index.md": name}
    else:
        new[f"docs/{part}/index.md"] = _filled("index.md", words)
        lists = {"docs/index.md": f"{part}/index"}
    ledger = f"docs/{claims.LEDGER}"
    if not (root / f"{ledger}{part}.md").exists():
        new[f"{ledger}{part}.md"] = _filled("ledger.md", words)
        lists[f"{ledger}index.md"] = part
    for path in new:
        if (root / path).exists():
            raise Problem(path, "is there already", "take another NAME, or edit it")
    texts = {path: _listed(root, path, entry) for path, entry in lists.items()}
    with _all_or_nothing(root, [*new, *texts]) as written:
        for path, text in (new | texts).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, encoding="utf-8")
        snippet = read_snippet(root / f"snippets/{part}/{program}.py", root)
        written.extend(recordings.paths(snippet).values())
        record.save(snippet, record.record(snippet))
    return [
        *(root / path for path in [*new, *texts]),
        *recordings.paths(snippet).values(),
    ]


def _judge_part(part: str, root: Path) -> None:
    have = sorted(
        path.parent.name
        for path in (root / "docs").glob("*/index.md")
        if path.parent.name not in TAKEN
    )
    if not part:
        raise Problem(
            "make new-chapter",
            "no PART given",
            f"{CALL}; the parts are {', '.join(have)}; another name makes a new part",
        )
    if not PART.fullmatch(part):
        raise Problem(
            f"PART={part}",
            "no name of a part: it is a folder of docs/, snippets/ and tests/",
            "use small letters alone, for example PART=sockets",
        )
    if part in TAKEN:
        raise Problem(
            f"PART={part}",
            "a folder of that name holds something else than chapters",
            f"take one of {', '.join(have)}, or a new name",
        )


def _judge_name(part: str, name: str, root: Path) -> None:
    if not name:
        raise Problem("make new-chapter", "no NAME given", CALL)
    program = name.replace("-", "_")
    if not NAME.fullmatch(name) or name == "index":
        raise Problem(
            f"NAME={name}",
            "no name of a chapter: it becomes the page's address",
            "use small letters, digits and single hyphens, a letter first, "
            "for example NAME=a-new-question",
        )
    if len(name) > SHORT_TITLE:
        raise Problem(
            f"NAME={name}",
            f"{len(name)} characters; the sidebar has room for {SHORT_TITLE}",
            "take a shorter name",
        )
    if program.startswith(("wrong_", "test_")):
        raise Problem(
            f"NAME={name}",
            f"its program would be {program}.py: "
            "wrong_ marks what is wrong on purpose, test_ what pytest runs",
            "take a name that begins otherwise",
        )
    if program in sys.stdlib_module_names | _packages():
        raise Problem(
            f"NAME={name}",
            f"its program {program}.py would hide Python's module or package {program}",
            f"take another name, for example NAME=a-{name}",
        )
    for path in find(root):
        if path.stem == program and path.parent.name != part:
            raise Problem(
                f"NAME={name}",
                f"its program would be called like {path.relative_to(root)}, and "
                "readers save both into one folder",
                "take another name",
            )
    if f"{name}-last-words" in claims.collect(root):
        raise Problem(
            f"NAME={name}", f"the claim {name}-last-words exists", "take another name"
        )


def _packages() -> set[str]:
    return set(importlib.metadata.packages_distributions())


def _filled(template: str, words: dict[str, str]) -> str:
    text = (FRESH / template).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def _listed(root: Path, path: str, entry: str) -> str:
    """Give a page with one more entry at the end of its first table of contents."""
    text = (root / path).read_text(encoding="utf-8")
    contents = TOCTREE.search(text)
    if contents is None:
        raise Problem(path, "has no {toctree}", f"add one, with {entry} in it")
    if entry in contents[0].splitlines():
        raise Problem(path, f"names {entry} already", "take that line away")
    end = contents.end() - len("```")
    return f"{text[:end]}{entry}\n{text[end:]}"


@contextlib.contextmanager
def _all_or_nothing(root: Path, paths: list[str]) -> Iterator[list[Path]]:
    """Put every file back, and take new ones away, unless the body ends well.

    More files may be added to the list that is given to the body.
    """
    before = {
        root / path: (root / path).read_bytes()
        for path in paths
        if (root / path).exists()
    }
    written = [root / path for path in paths]
    folders = {path.parent for path in written}
    folders |= {path.parent / "recorded" for path in written}
    made = [folder for folder in sorted(folders) if not folder.exists()]
    try:
        yield written
    except BaseException:
        for path in written:
            if path in before:
                path.write_bytes(before[path])
            else:
                path.unlink(missing_ok=True)
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # what others put there stays
                folder.rmdir()
        raise
