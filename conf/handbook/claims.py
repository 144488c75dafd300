"""Claims: the sentences of the handbook, each proved by a test.

A test is made a claim by a decorator; its docstring is the sentence:

    @claim("not-connected-during-listen", "listen(2) NOTES",
           often_said="While the server listens, nothing is connected yet.")
    def test_connect_returns_before_accept_is_called() -> None:
        \"\"\"A client's connect() returns before the server calls accept().\"\"\"

What no program here can show (what a word means, how a browser behaves) is
`cited`: it has a source instead of a test, and is counted apart. The tests are
read, never imported, so that building the site runs nothing.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from handbook import texts
from handbook.problem import Problem, place
from handbook.snippet import ROOT

F = TypeVar("F", bound=Callable[..., object])
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
RESULTS = Path("build") / "claims.json"
TOLD = Path("tests") / "reference" / "told.txt"
LEDGER = "reference/claims/"  # what the names of its pages begin with
_TAKES = re.compile(r"^```{ledger} (\S+)\n:tests: (.+)\n", re.MULTILINE)


def index(root: Path) -> Path:
    """Where the pages of the ledger are named: it changes when there is another."""
    return root / "docs" / LEDGER / "index.md"


def ledger_of(made: Claim) -> str:
    """Name the page of the ledger that has a claim, without its ending.

    It is the part's, unless another page takes some tests of the part on itself.
    """
    pages = index(made.root).parent.glob("*.md")
    state = tuple((path, path.stat().st_mtime_ns) for path in pages)
    return _parted(state).get((made.part, made.chapter), made.part)


def address(made: Claim) -> str:
    """Give the address of a claim's entry in the ledger, from the top of the site."""
    return f"{LEDGER}{ledger_of(made)}.html#claim-{made.id}"


@functools.lru_cache(maxsize=4)
def _parted(state: tuple[tuple[Path, int], ...]) -> dict[tuple[str, str], str]:
    """Read which page takes on which tests of a part, once for a state of the pages."""
    found: dict[tuple[str, str], str] = {}
    for path, _ in state:
        for part, tests in _TAKES.findall(path.read_text("utf-8")):
            found |= {(part, chapter): path.stem for chapter in tests.split()}
    return found


def claim(
    id: str,  # noqa: A002 - what everybody calls it
    *sources: str,
    often_said: str | None = None,
) -> Callable[[F], F]:
    """Make a test the proof of the sentence in its docstring.

    `sources` name the authority, most exact first: a section of an RFC, a
    manual page, a page of Python's documentation. `often_said` is the wrong
    wording that the sentence puts right.
    """
    del sources, often_said  # read from the file, see collect()

    def mark(test: F) -> F:
        test.__claim__ = id  # type: ignore[attr-defined]
        return test

    return mark


def cited(
    id: str,  # noqa: A002
    sentence: str,
    *sources: str,
    often_said: str | None = None,
) -> None:
    """State a claim that rests on its sources alone, at a test file's top level."""
    del id, sentence, sources, often_said


@dataclass(frozen=True)
class Claim:
    """A sentence, where it comes from, and what proves it."""

    id: str
    sentence: str
    sources: tuple[str, ...]
    often_said: str | None
    root: Path
    path: Path
    line: int
    test: str  # the test's name; "" for a cited claim
    code: str
    rests_on: str = ""  # the text of the whole file and of what it shares

    @property
    def chapter(self) -> str:
        """The name of its file of tests: that of a chapter, with underscores."""
        return self.path.stem.removeprefix("test_")

    @property
    def part(self) -> str:
        """The part of the handbook: the folder of its test."""
        return self.path.parent.name

    @property
    def where(self) -> str:
        """The test's place, as `path:line`."""
        return place(self.root, self.path, self.line)

    @property
    def fingerprint(self) -> str:
        """Changes when the test does, so that an old result is not shown for it."""
        return hashlib.sha256(self.rests_on.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Result:
    """How a claim's test ended, where and when."""

    outcome: str  # "passed", "failed" or "skipped"
    python: str
    kernel: str
    date: str


def collect(root: Path = ROOT) -> dict[str, Claim]:
    """Read all claims from the tests; Problem for the first that is malformed."""
    found, wrong = gather(root)
    if wrong:
        raise wrong[0]
    return found


def gather(root: Path = ROOT) -> tuple[dict[str, Claim], list[Problem]]:
    """Read the claims that can be read, and say what is wrong with the others.

    A fault in one file hides no other's claims. The files are read once for as long
    as none changes.
    """
    state, unread = [], []
    for path in sorted((root / "tests").rglob("*.py")):
        try:
            state.append((path, *texts.state(root, path)))
        except Problem as problem:
            unread.append(problem)
    found, wrong = _gathered(root, tuple(state))
    return dict(found), unread + list(wrong)


@functools.lru_cache(maxsize=4)
def _gathered(
    root: Path, state: tuple[tuple[Path, int, int], ...]
) -> tuple[dict[str, Claim], list[Problem]]:
    found: dict[str, Claim] = {}
    wrong: list[Problem] = []
    sources: dict[Path, str] = {}
    for path, *_ in state:
        try:
            sources[path] = texts.read(root, path)
        except Problem as problem:
            wrong.append(problem)
    shared = "".join(
        text for path, text in sources.items() if path.name == "conftest.py"
    )
    for path, text in sources.items():
        if not path.name.startswith("test_") or "handbook.claims" not in text:
            continue
        try:
            in_file = _in_file(path, text, root)
        except Problem as problem:
            wrong.append(problem)
            continue
        for bare in in_file:
            # A result holds for the test with its helpers, not for its lines alone.
            made = dataclasses.replace(bare, rests_on=text + shared)
            if made.id in found:
                twice = Problem(
                    made.where,
                    f"the claim {made.id} is proved at {found[made.id].where} already",
                    "give one of the two another id, or make them one test",
                )
                wrong.append(twice)
                continue
            found[made.id] = made
    return found, wrong


@functools.lru_cache(maxsize=512)  # a build asks for them three times
def _in_file(path: Path, text: str, root: Path) -> tuple[Claim, ...]:
    made = []
    for node in texts.parse(root, path, text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            made += [
                _tested(path, text, root, node, decorator)
                for decorator in node.decorator_list
                if _called(decorator) == "claim"
            ]
        elif isinstance(node, ast.Expr) and _called(node.value) == "cited":
            words, often_said = _literals(node.value, path, root)
            if len(words) < 3:
                raise Problem(
                    place(root, path, node.lineno),
                    "a cited claim needs an id, a sentence and a source",
                    'cited("id", "Sentence.", "RFC 9293 section 4")',
                )
            made.append(
                Claim(
                    _good_id(words[0], path, root, node.lineno),
                    words[1],
                    tuple(words[2:]),
                    often_said,
                    root,
                    path,
                    node.lineno,
                    "",
                    "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno]),
                )
            )
    return tuple(made)


def _called(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id
    return ""


def _tested(
    path: Path,
    text: str,
    root: Path,
    node: ast.FunctionDef | ast.AsyncFunctionDef,
    decorator: ast.expr,
) -> Claim:
    where = place(root, path, node.lineno)
    words, often_said = _literals(decorator, path, root)
    if not words:
        raise Problem(where, "a claim without an id", '@claim("an-id", "its source")')
    identifier = _good_id(words[0], path, root, decorator.lineno)
    if len(words) == 1:
        raise Problem(
            where,
            f"the claim {identifier} names no source",
            "add the RFC section, manual page or Python documentation it rests on",
        )
    sentence = " ".join((ast.get_docstring(node) or "").split())
    if not sentence:
        raise Problem(
            where,
            f"the claim {identifier} has no sentence",
            "write the sentence as the test's docstring",
        )
    if not node.name.startswith("test_"):
        raise Problem(
            where,
            f"{node.name} is marked as a claim, but pytest does not run it",
            "let its name begin with test_",
        )
    first = min(node.lineno, *(item.lineno for item in node.decorator_list))
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return Claim(
        identifier,
        sentence,
        tuple(words[1:]),
        often_said,
        root,
        path,
        node.lineno,
        node.name,
        "\n".join(lines) + "\n",
    )


def _literals(call: ast.expr, path: Path, root: Path) -> tuple[list[str], str | None]:
    if not isinstance(call, ast.Call):
        raise TypeError(call)
    try:
        words = [ast.literal_eval(argument) for argument in call.args]
        named = {
            keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords
        }
    except ValueError as error:
        raise Problem(
            place(root, path, call.lineno),
            "a claim's words must stand there as they are: they are read, not run",
            "write plain strings",
        ) from error
    if not all(isinstance(word, str) for word in words):
        raise Problem(
            place(root, path, call.lineno),
            "a claim takes strings: an id and its sources",
            '@claim("an-id", "RFC 9293 section 3.5")',
        )
    return words, named.get("often_said")


def _good_id(identifier: str, path: Path, root: Path, line: int) -> str:
    if not ID.fullmatch(identifier):
        raise Problem(
            place(root, path, line),
            f"{identifier!r} is no claim id",
            "use small letters, digits and single hyphens",
        )
    return identifier


def unknown(identifier: str, known: Iterable[str], where: str) -> Problem:
    """Say that a page names a claim which no test makes, and which are near it."""
    start = identifier.partition("-")[0]
    near = [name for name in known if start in name][:5]
    return Problem(
        where,
        f"no test claims {identifier}" + (f"; near: {', '.join(near)}" if near else ""),
        "name a claim of tests/, or write its test",
    )


def told(root: Path = ROOT) -> list[str]:
    """Read the ids of what learners are told, which all want a claim; empty if none."""
    return [identifier for _, identifier in told_lines(root)]


def told_lines(root: Path = ROOT) -> list[tuple[int, str]]:
    """Give those ids with their lines; Problem if the list cannot be read."""
    if not (root / TOLD).exists():
        return []
    return [
        (number, line)
        for number, line in enumerate(texts.read(root, root / TOLD).splitlines(), 1)
        if line and not line.startswith("#")
    ]


def results(root: Path = ROOT) -> dict[str, dict[str, Any]]:
    """Read what the last test runs on this checkout found; empty if none ran."""
    try:
        found = json.loads((root / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def result_of(made: Claim, found: dict[str, dict[str, Any]]) -> Result | None:
    """Give the result of a claim's test, unless the test has changed since."""
    entry = found.get(made.id)
    if entry is None or entry.get("code") != made.fingerprint:
        return None
    return Result(entry["outcome"], entry["python"], entry["kernel"], entry["date"])


def save_results(found: dict[str, dict[str, Any]], root: Path = ROOT) -> None:
    """Merge new results into those at hand."""
    path = root / RESULTS
    path.parent.mkdir(exist_ok=True)
    merged = results(root) | found
    path.write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n")
