"""Measure the build, the rebuild, the program tests and the pages' weight.

Each figure stands beside its floor, measured in the same run: the same chapters
as plain Markdown under bare Sphinx, a build in which nothing changed, the
programs run without any test. The two sides take turns, so that whatever else
the machine does hits both. A slow figure is shown and fails nothing; a build or
a test that fails is a Problem.

CPU seconds are those of the whole tree of processes (getrusage(2),
RUSAGE_CHILDREN), wall seconds those of a clock that only goes forward.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import os
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from handbook import charts, claims, pages, record, timeline
from handbook.problem import Problem, place
from handbook.snippet import (
    FILES,
    ROOT,
    Snippet,
    by_id,
    companions_of_pairs,
    find,
)
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from markdown_it.token import Token

RECORDINGS_TEST = Path("tests") / "test_recordings.py"
MEASURES = ("cold", "edit", "tests", "weight", "ipc", "ws")
# The programs whose rows are measured against each other.
IPC = "loopback/compare"
WS = "websockets/ws_speed"
RESULTS = Path("build") / "bench.json"
CORES = 2  # of the test run and of the bare programs beside it
STRICT = ("-n", "-W", "--keep-going", "-j", "4", "-q", "-N")  # as `make html` builds
COLD_AIM = 1.5
EDIT_AIM = 1.5
TESTS_AIM = 3.0
PAGE_BYTES = 45_000  # gzipped, of a first view
PAGE_REQUESTS = 14
SHARE = 45.0  # seconds of one measure after which it begins no further round
TIMEOUT = 300.0  # seconds that one build or test run may take

Body = Callable[["Block"], str]


# The floor's chapters


@dataclass(frozen=True)
class Block:
    """A directive, as it stands on a page."""

    page: Path
    argument: str
    options: dict[str, str]
    body: str


_DIRECTIVE = re.compile(r"\{(?P<name>[\w:-]+)\}\s*(?P<argument>.*)")
_ROLE = re.compile(r"[ \t]*(?<!`)\{claim\}`[^`]+`")
_CODE = re.compile(r"`([^`]+)`|[a-z_.]+\(\)")
_SPECIAL = re.compile(r"[\\`*_\[\]<>#|{}&~$]")

FLOOR_CONF = """\
project = "Floor"
language = "en"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_*", "**/_*"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "alabaster"
highlight_language = "text"
smartquotes = False
"""


def fence(info: str, body: str, character: str = "`") -> str:
    """Put a fence around a text, longer than any fence inside it."""
    runs = re.findall(rf"^[ \t>]*({re.escape(character)}{{3,}})", body, re.MULTILINE)
    marks = character * max([3, *(len(run) + 1 for run in runs)])
    if body and not body.endswith("\n"):
        body += "\n"
    return f"{marks}{info}\n{body}{marks}\n"


def prose(sentence: str) -> str:
    """Write a plain sentence as Markdown; `code` and calls() become code."""
    pieces = []
    last = 0
    for match in _CODE.finditer(sentence):
        pieces.append(_SPECIAL.sub(r"\\\g<0>", sentence[last : match.start()]))
        pieces.append(f"`{match[1] or match[0]}`")
        last = match.end()
    pieces.append(_SPECIAL.sub(r"\\\g<0>", sentence[last:]))
    return " ".join("".join(pieces).split())


class Plain:
    """Writes the chapters as Markdown that bare Sphinx and MyST can read.

    The words stay, the programs and outputs become ordinary code blocks, and
    what only this handbook has is left out: pictures, ticks, marks, downloads.
    """

    def __init__(self, root: Path) -> None:
        """Read the claims of the repository at `root`."""
        self.root = root
        self.claims = claims.collect(root)
        self.parser = MarkdownIt("commonmark").use(front_matter_plugin)
        self.parser.use(colon_fence_plugin)
        self.written: dict[str, Body] = {
            "literalinclude": self._program,
            "code-block": lambda block: fence(block.argument, block.body),
            "recorded": self._recorded,
            "timeline": self._timeline,
            "provoked": lambda block: prose(block.argument) + "\n",
            "chart": self._nested,
            "state-machine": self._nested,
            "number-line": lambda block: fence(
                "text", f"{block.argument}\n{block.body}"
            ),
            "claim": lambda block: prose(self._claim(block).sentence) + "\n",
            "often-said": self._often_said,
            "notice": lambda block: "What to notice\n\n" + self._nested(block),
            "platforms": lambda block: "Other systems\n\n" + self._nested(block),
            "answer": lambda block: f"{block.argument}\n\n" + self._nested(block),
            "ledger": self._ledger,
            "ledger-summary": self._ledger_summary,
        }

    def write(self, target: Path) -> None:
        """Write every page of the handbook under `target`."""
        docs = self.root / "docs"
        for path in sorted(docs.rglob("*")):
            written = target / path.relative_to(docs)
            if path.suffix == ".md":
                written.parent.mkdir(parents=True, exist_ok=True)
                text = self.markdown(path.read_text("utf-8"), path)
                written.write_text(text, "utf-8")
            elif path.is_file():
                written.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, written)

    def markdown(self, text: str, page: Path) -> str:
        """Write out the directives and drop the ticks of a text of `page`."""
        if text and not text.endswith("\n"):
            text += "\n"
        lines = text.splitlines(keepends=True)
        done: list[str] = []
        at = 0
        for token in self.parser.parse(text):
            if token.type not in ("fence", "colon_fence", "code_block"):
                continue
            if token.map is None:
                continue
            start, end = token.map
            done += [_without_ticks(line) for line in lines[at:start]]
            done.append(self._block(token, lines[start:end], page))
            at = end
        done += [_without_ticks(line) for line in lines[at:]]
        return "".join(done)

    def _block(self, token: Token, lines: list[str], page: Path) -> str:
        match = _DIRECTIVE.match(token.info.strip())
        if token.type == "code_block" or match is None:
            return "".join(lines)
        options: dict[str, str] = {}
        rows = token.content.splitlines(keepends=True)
        used = 0
        for row in rows:
            option = pages.OPTION.match(row.rstrip("\n"))
            if option is None:
                break
            options[option["key"]] = option["value"] or ""
            used += 1
        block = Block(page, match["argument"].strip(), options, "".join(rows[used:]))
        if match["name"] in self.written:
            text = "\n" + self.written[match["name"]](block).strip("\n") + "\n\n"
        else:
            kept = "".join(rows[:used]) + self._nested(block)
            text = fence(token.info.strip(), kept, token.markup[0])
        lead = lines[0][: lines[0].index(token.markup)]
        return _indent(text, lead)

    def _nested(self, block: Block) -> str:
        return self.markdown(block.body, block.page)

    def _program(self, block: Block) -> str:
        base = self.root / "docs" if block.argument[:1] == "/" else block.page.parent
        path = (base / block.argument.lstrip("/")).resolve()
        if not path.is_file():
            raise Problem(
                place(self.root, block.page),
                f"{block.argument} is no file",
                "name a program of snippets/, by its path from this page",
            )
        snippet = read_snippet(path, self.root.resolve())
        rows = snippet.clean.splitlines(keepends=True)
        first, last = 1, len(rows)
        if "pyobject" in block.options:
            first, last = snippet.pyobject(block.options["pyobject"])
        elif "region" in block.options:
            first, last = snippet.region(block.options["region"])
        text = f"`{snippet.where}`\n\n"
        language = FILES.get(snippet.path.suffix, "python")
        language = block.options.get("language", language)
        if (first, last) != (1, len(rows)):
            shown = rows[first - 1 : last]
            margin = min(len(row) - len(row.lstrip()) for row in shown if row.strip())
            excerpt = "".join(row[margin:] if row.strip() else row for row in shown)
            text += fence(language, excerpt) + f"\nThe whole program ({len(rows)} "
            text += "lines), which is what the copy button gives\n\n"
        text += fence(FILES.get(snippet.path.suffix, "python"), snippet.clean)
        text += f"\n`python {snippet.where}`"
        if snippet.needs:
            text += " Needs: " + prose(", ".join(snippet.needs))
        return text + "\n"

    def _recorded(self, block: Block) -> str:
        snippet = by_id(block.argument, self.root)
        role = block.options.get("role", "")
        text = record.load(snippet).transcripts[role]
        who = f"What the {role} printed" if role else "What it printed"
        return f"{who}: recorded\n\n" + fence("text", text)

    def _timeline(self, block: Block) -> str:
        snippet = by_id(block.argument, self.root)
        left_out = block.options.get("without", "").replace(",", " ").split()
        programs = {snippet.id: snippet}

        def line(event: record.Event) -> int:
            name = event.get("program", snippet.id)
            program = programs.setdefault(name, by_id(name, self.root))
            return program.clean_line(event["line"])

        drawn = timeline.draw(
            record.load(snippet),
            title=snippet.where,
            without=frozenset(left_out),
            line=line,
        )
        words = "".join(
            f"{count}. {f'Line {number}: ' if number else ''}{prose(said)}\n"
            for count, (number, said, _) in enumerate(drawn.words, 1)
        )
        missing = "".join(f"Not drawn: the calls of `{c}()`.\n\n" for c in left_out)
        return f"{self._nested(block)}\n{missing}The same in words\n\n{words}"

    def _claim(self, block: Block) -> claims.Claim:
        if block.argument not in self.claims:
            raise Problem(
                place(self.root, block.page),
                f"no test claims {block.argument}",
                "name a claim of tests/, or write its test",
            )
        return self.claims[block.argument]

    def _often_said(self, block: Block) -> str:
        made = self._claim(block)
        return (
            f"Often said, not so\n\n> {prose(made.often_said or '')}\n\n"
            f"{prose(made.sentence)}\n\n" + self._nested(block)
        )

    def _ledger(self, block: Block) -> str:
        results = claims.results(self.root)
        shown: dict[str, list[str]] = {}
        for page in pages.read_all(self.root):
            title = page.headings[0].text if page.headings else page.docname
            for _, identifier in pages.claims_shown(page):
                shown.setdefault(identifier, []).append(title)
        text = ""
        for made in sorted(self.claims.values(), key=lambda made: made.id):
            if made.part != block.argument:
                continue
            result = claims.result_of(made, results)
            told = "not run for this build" if made.test else "cited, not run"
            if result is not None:
                told = f"{result.outcome} on Python {result.python}, {result.kernel}"
            text += f"`{made.id}`\n\n{prose(made.sentence)}\n\n"
            if made.often_said:
                text += f"- Often said, not so: {prose(made.often_said)}\n"
            text += f"- Result: {prose(told)}\n"
            text += f"- Source: {prose('; '.join(made.sources))}\n"
            where = dict.fromkeys(shown.get(made.id, ["no chapter yet"]))
            text += f"- Shown in: {prose(', '.join(where))}\n\n"
            if made.test:
                # We show it on a page of its own; the floor has no such pages.
                text += f"The test: `{made.where}`\n\n" + fence("python", made.code)
                text += "\n"
        return text

    def _ledger_summary(self, block: Block) -> str:
        del block
        results = claims.results(self.root)
        text = "| Part | Claims | With a result | Cited | Put right |\n"
        text += "|---|---|---|---|---|\n"
        for part in dict.fromkeys(made.part for made in self.claims.values()):
            mine = [made for made in self.claims.values() if made.part == part]
            told = sum(1 for made in mine if claims.result_of(made, results))
            cited = sum(1 for made in mine if not made.test)
            right = sum(1 for made in mine if made.often_said)
            text += f"| {part} | {len(mine)} | {told} | {cited} | {right} |\n"
        return text


def _without_ticks(line: str) -> str:
    return _ROLE.sub("", line)


def _indent(text: str, lead: str) -> str:
    """Put a text where its directive stood: in a list, a quote, or at the margin."""
    if not lead.strip("> \t"):
        first = lead
    else:  # the directive began a list item, so the item's words must too
        first, text = lead, text.lstrip("\n")
    later = re.sub(r"[^\s>]", " ", lead)
    rows = text.splitlines()
    put = [(later if index else first) + row for index, row in enumerate(rows)]
    return "".join(
        row.rstrip(" ") + "\n" if not row.strip() else row + "\n" for row in put
    )


# What a run costs


@dataclass(frozen=True)
class Cost:
    """Seconds that a run took."""

    cpu: float
    wall: float


@dataclass
class Row:
    """One line of the table: our figure, its floor, and how far apart they may be.

    A figure is the best of its rounds, in seconds; its spread is the distance
    to the worst.
    """

    name: str
    ours: list[float]
    floor: list[float]
    aim: float | None

    @property
    def ratio(self) -> float:
        """Ours in units of the floor."""
        return min(self.ours) / max(min(self.floor), 1e-9)

    @property
    def verdict(self) -> str:
        """Say "ok" or "over"; nothing where there is no aim."""
        if self.aim is None:
            return ""
        return "ok" if self.ratio <= self.aim else "over"

    def cells(self) -> tuple[str, ...]:
        """Give the row as the terminal shows it."""
        aim = "" if self.aim is None else f"{self.aim:.1f}"
        ratio = f"{self.ratio:.2f}"
        return (
            self.name,
            _span(self.ours),
            _span(self.floor),
            ratio,
            aim,
            self.verdict,
        )

    def data(self) -> dict[str, Any]:
        """Give the row as the file keeps it."""
        return {
            "name": self.name,
            "ours_seconds": [round(value, 3) for value in self.ours],
            "floor_seconds": [round(value, 3) for value in self.floor],
            "ratio": round(self.ratio, 3),
            "aim": self.aim,
            "verdict": self.verdict or None,
        }


@dataclass
class Measure:
    """What one measure found: rows for the table, remarks, data for the file."""

    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2f} s (+{max(values) - min(values):.2f})"


@contextlib.contextmanager
def _clock() -> Iterator[list[Cost]]:
    """Note what the child processes that end in the block cost."""
    costs: list[Cost] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    yield costs
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    costs.append(Cost(cpu, wall))


def _environment(python_path: Path | None) -> dict[str, str]:
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HANDBOOK_", "PYTHON", "PYTEST_", "SPHINX"))
    }
    if python_path is not None:
        env["PYTHONPATH"] = str(python_path)
    return env


def _spend(
    argv: list[str],
    folder: Path,
    python_path: Path | None,
    *,
    fails: tuple[str, str, str],
    timeout: float = TIMEOUT,
) -> Cost:
    """Run a command in `folder` to its end and say what it cost.

    A status other than 0, or no end within `timeout` seconds, is a Problem made
    of `fails` (where, what, how to mend it) and the command's last words.
    """
    with _clock() as costs:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=_environment(python_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = process.communicate(timeout=timeout)[0]
            status = f"status {process.returncode}"
        except subprocess.TimeoutExpired:
            said, status = b"", f"no end after {timeout:g} s"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    if status != "status 0":
        where, what, mend = fails
        text = said.decode("utf-8", "backslashreplace")
        text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
        tail = "\n".join(text.strip().splitlines()[-15:]) or "it printed nothing"
        raise Problem(where, f"{what} ({status})", f"{mend}\n{tail}")
    return costs[0]


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _alternate(
    name: str, rounds: int, ours: Callable[[], Cost], floor: Callable[[], Cost]
) -> tuple[list[Cost], list[Cost]]:
    """Run both sides in turn, each first every other time."""
    found: tuple[list[Cost], list[Cost]] = ([], [])
    begin = time.perf_counter()
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for side in order:
            found[side].append((ours, floor)[side]())
        a, b = found[0][-1], found[1][-1]
        _progress(
            f"{name}, round {number + 1} of {rounds}: "
            f"{a.cpu:.2f} against {b.cpu:.2f} CPU s, "
            f"{a.wall:.2f} against {b.wall:.2f} s by the clock"
        )
        used = time.perf_counter() - begin
        if number + 1 < rounds and used * (number + 2) / (number + 1) > SHARE:
            _progress(f"{name}: no further round, {used:.0f} s are spent")
            break
    return found


def _rows(
    name: str,
    ours: list[Cost],
    floor: list[Cost],
    aim: float,
    wall_aim: float | None = None,
) -> list[Row]:
    return [
        Row(f"{name}: CPU", [c.cpu for c in ours], [c.cpu for c in floor], aim),
        Row(f"{name}: wall", [c.wall for c in ours], [c.wall for c in floor], wall_aim),
    ]


# The measures


class Bench:
    """Measures one copy of the repository, in a folder of its own."""

    def __init__(self, root: Path, folder: Path, rounds: int) -> None:
        """Copy what builds and tests need, so that edits under way do no harm."""
        self.folder = folder
        self.rounds = rounds
        self.copy = folder / "handbook"
        skip = shutil.ignore_patterns("__pycache__")
        for name in ("docs", "snippets", "tests", "conf"):
            if (root / name).is_dir():
                shutil.copytree(root / name, self.copy / name, ignore=skip)
        for name in ("pyproject.toml", claims.RESULTS.as_posix()):
            if (root / name).is_file():
                (self.copy / name).parent.mkdir(exist_ok=True)
                shutil.copy(root / name, self.copy / name)
        self.site = folder / "site"
        self._built = False

    def build(self, out: Path, *, cold: bool = False) -> Cost:
        """Build the handbook; Problem if it does not build."""
        doctrees = out.with_name(out.name + "-doctrees")
        if cold:
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(doctrees, ignore_errors=True)
        argv = [sys.executable, "-m", "sphinx", *(["-E"] if cold else []), *STRICT]
        return _spend(
            [*argv, "-c", "conf", "-d", str(doctrees), "docs", str(out)],
            self.copy,
            self.copy / "conf",
            fails=(
                "docs",
                "the handbook does not build",
                "run make html, and mend what it names first",
            ),
        )

    def make_floor(self) -> Path:
        """Lay the plain chapters, with settings that add nothing to Sphinx and MyST."""
        floor = self.folder / "floor"
        (floor / "conf").mkdir(parents=True)
        (floor / "conf" / "conf.py").write_text(FLOOR_CONF, "utf-8")
        shutil.copytree(self.copy / "snippets", floor / "snippets")  # for links to them
        Plain(self.copy).write(floor / "docs")
        return floor

    def build_floor(self, floor: Path) -> Cost:
        """Build the plain chapters cold, with nothing but Sphinx and MyST."""
        shutil.rmtree(floor / "site", ignore_errors=True)
        shutil.rmtree(floor / "doctrees", ignore_errors=True)
        argv = [sys.executable, "-m", "sphinx", "-E", *STRICT]
        return _spend(
            [*argv, "-c", "conf", "-d", "doctrees", "docs", "site"],
            floor,
            None,
            fails=(
                "conf/handbook/bench.py",
                "the plain chapters, the floor of the cold build, do not build",
                "let Plain write out what bare Sphinx does not know",
            ),
        )

    def cold(self) -> Measure:
        """Measure a cold build against bare Sphinx on plain Markdown."""
        self._warm()
        floor = self.make_floor()
        _progress("cold build: once without counting")
        self.build_floor(floor)
        ours, bare = _alternate(
            "cold build",
            self.rounds,
            lambda: self.build(self.site, cold=True),
            lambda: self.build_floor(floor),
        )
        words = sum(
            len(path.read_text("utf-8").split()) for path in floor.rglob("docs/**/*.md")
        )
        return Measure(
            _rows("cold build / bare Sphinx", ours, bare, COLD_AIM),
            [f"{words} words in the plain chapters, programs and tests included"],
            {"words": words},
        )

    def _warm(self) -> None:
        if not self._built:
            _progress("building the site once without counting")
            self.build(self.site, cold=True)
            self._built = True

    def edit(self) -> Measure:
        """Measure a rebuild after one program's edit against one after none."""
        out = self.folder / "edited"
        program, chapter = self._shown_once()
        _progress(f"rebuild: {program.where}, which stands on {chapter} alone")
        self.build(out, cold=True)
        self.build(out)
        written: dict[str, dict[str, str]] = {"nothing": {}, "one": {}}

        def rebuild(key: str) -> Cost:
            before = _state(out)
            cost = self.build(out)
            written[key] |= _rewritten(before, _state(out))
            return cost

        def one() -> Cost:
            with program.path.open("a", encoding="utf-8") as file:
                file.write(f"# edit {time.time_ns()}\n")
            return rebuild("one")

        ours, none = _alternate(
            "rebuild, one edit against none",
            self.rounds,
            one,
            lambda: rebuild("nothing"),
        )
        if written["one"].get(f"{chapter}.html") != "changed":
            raise Problem(
                f"docs/{chapter}.md",
                f"the page is not built anew when {program.where} is edited",
                "let the directive that shows the program depend on its file",
            )
        return Measure(
            _rows("rebuild: one edit / none", ours, none, EDIT_AIM),
            self._rewritten_in_words(chapter, written),
            {
                "program": program.where,
                "chapter": chapter,
                "rewritten_after_one_edit": written["one"],
                "rewritten_after_none": written["nothing"],
            },
        )

    def _rewritten_in_words(
        self, chapter: str, written: dict[str, dict[str, str]]
    ) -> list[str]:
        wanted = [f"{chapter}.html", f"{Path(chapter).parent.as_posix()}/index.html"]
        always = sorted(written["nothing"])
        told = [
            "one edit rewrites "
            + ", ".join(
                f"{name} ({how})" for name, how in sorted(written["one"].items())
            )
        ]
        if always:
            told.append(f"without an edit: {', '.join(always)}, on every build")
        ledger = [name for name in always if name.startswith("reference/claims/")]
        if ledger and not (self.copy / claims.RESULTS).exists():
            told.append(
                f"the ledger is read anew each time because {claims.RESULTS} is not "
                "there: make test writes it"
            )
        more = sorted(set(written["one"]) - set(wanted) - set(always))
        told += [f"more than the chapter and its part's index: {name}" for name in more]
        return told

    def _shown_once(self) -> tuple[Snippet, str]:
        """Find a program that stands on one page: its edit should rebuild that one."""
        uses: dict[str, set[str]] = {}
        included = set()
        for page in pages.read_all(self.copy):
            for block in page.named("literalinclude", "recorded", "timeline"):
                identifier = block.argument
                if block.name == "literalinclude":
                    path = Path(identifier)
                    identifier = f"{path.parent.name}/{path.stem}"
                    included.add(identifier)
                uses.setdefault(identifier, set()).add(page.docname)
        for identifier in sorted(included):
            program = by_id(identifier, self.copy)
            if len(uses[identifier]) == 1 and not program.roles:
                return program, uses[identifier].pop()
        raise Problem(
            "docs",
            "no program stands on exactly one page, so there is no edit to measure",
            "run the other measures: python -m handbook bench --only cold",
        )

    def tests(self) -> Measure:
        """Measure the tests of all programs against the programs, run bare."""
        if not (self.copy / RECORDINGS_TEST).is_file():
            return Measure(remarks=[f"not measured: there is no {RECORDINGS_TEST}"])
        argv = [sys.executable, "-m", "pytest", "-q", "-n", str(CORES)]
        argv += ["-p", "no:cacheprovider", str(RECORDINGS_TEST)]
        partners = companions_of_pairs(self.copy)
        programs = [read_snippet(path, self.copy) for path in find(self.copy)]
        programs = [program for program in programs if program.id not in partners]

        def tested() -> Cost:
            return _spend(
                argv,
                self.copy,
                self.copy / "conf",
                fails=(
                    str(RECORDINGS_TEST),
                    "the tests of the programs fail",
                    "run make test K=test_recordings, and mend what it names first",
                ),
            )

        def bare() -> Cost:
            with _clock() as costs, ThreadPoolExecutor(CORES) as pool:
                list(pool.map(run_bare, programs))
            return costs[0]

        ours, floor = _alternate("program tests", self.rounds, tested, bare)
        return Measure(
            _rows("program tests / bare", ours, floor, TESTS_AIM, TESTS_AIM),
            [f"{len(programs)} programs and pairs, {CORES} at a time"],
            {"programs": len(programs)},
        )

    def weight(self) -> Measure:
        """Weigh the first view of each page."""
        self._warm()
        docs = self.copy / "docs"
        weights = sorted(
            (
                weigh(path.relative_to(docs).with_suffix(".html").as_posix(), self.site)
                for path in docs.rglob("*.md")
                if not any(
                    part.startswith("_") for part in path.relative_to(docs).parts
                )
            ),
            key=lambda found: -found.total,
        )
        cells = [
            (
                found.page,
                f"{found.html / 1000:.1f}",
                f"{found.assets / 1000:.1f}",
                f"{found.total / 1000:.1f}",
                str(found.requests),
                "ok" if found.within else "over",
            )
            for found in weights
        ]
        heads = ("first view, kB gzipped", "html", "assets", "all", "requests", "")
        budget = ("budget", "", "", f"{PAGE_BYTES / 1000:.0f}", str(PAGE_REQUESTS), "")
        return Measure(
            remarks=table([heads, *cells, budget]),
            data={
                "budget": {"bytes": PAGE_BYTES, "requests": PAGE_REQUESTS},
                "pages": {
                    found.page: {
                        "html_bytes": found.html,
                        "asset_bytes": found.assets,
                        "bytes": found.total,
                        "requests": found.requests,
                        "verdict": "ok" if found.within else "over",
                    }
                    for found in weights
                },
            },
        )

    def ipc(self) -> Measure:
        """Measure the ways between two processes, in units of the first one."""
        return self._ratios("ipc", IPC)

    def ws(self) -> Measure:
        """Measure the echo of WebSocket messages, in units of the library."""
        return self._ratios("ws", WS)

    def _ratios(self, measure: str, identifier: str) -> Measure:
        """Compare the rows that a program prints with the first of their kind.

        Each ratio is taken within one run, since runs differ more than ways do.
        """
        program = by_id(identifier, self.copy)
        ratios: dict[tuple[str, str], list[float]] = {}
        for number in range(1, self.rounds + 1):
            _progress(f"{measure}: round {number} of {self.rounds}")
            with contextlib.ExitStack() as ended:
                process = _start(program, [program.where], ended)
                told, _ = process.communicate(timeout=TIMEOUT)
                if process.returncode:
                    raise _failed(program, f"ended with status {process.returncode}")
            floors: dict[str, float] = {}
            for row in charts.measures(told):
                floor = floors.setdefault(row.what, row.middle)
                key = (row.what, row.way)
                ratios.setdefault(key, []).append(row.middle / floor)
        cells = [
            (
                f"{what}, {way}",
                f"{min(values):.2f}",
                f"{statistics.median(values):.2f}",
                f"{max(values):.2f}",
                "",
            )
            for (what, way), values in ratios.items()
        ]
        heads = ("ratio to the first of its kind", "lowest", "median", "highest", "")
        return Measure(
            remarks=table([heads, *cells]),
            data={
                "ratios": {
                    f"{what}, {way}": [round(value, 3) for value in values]
                    for (what, way), values in ratios.items()
                }
            },
        )


def _state(site: Path) -> dict[str, tuple[int, str]]:
    return {
        path.relative_to(site).as_posix(): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in site.rglob("*.html")
    }


def _rewritten(
    before: dict[str, tuple[int, str]], after: dict[str, tuple[int, str]]
) -> dict[str, str]:
    """Name the pages that a build wrote, and whether their content changed."""
    return {
        name: "changed" if before.get(name, (0, ""))[1] != state[1] else "same content"
        for name, state in after.items()
        if before.get(name) != state
    }


# Programs without tests


def run_bare(program: Snippet) -> None:
    """Run a program, or a pair together, as a reader would; Problem if it fails."""
    if program.missing() and program.roles:
        return
    with contextlib.ExitStack() as ended:
        if not program.roles:
            _ended(program, _start(program, [program.where], ended))
            return
        folder = Path(program.where).parent
        server, port = None, ""
        for role in program.roles:
            words = [word.replace("{port}", port) for word in role.argv]
            process = _start(
                program, [(folder / words[0]).as_posix(), *words[1:]], ended
            )
            if server is None:
                server, port = process, _port(program, process)
            else:
                _ended(program, process)
        if server is not None:
            server.send_signal(signal.SIGINT)
            _ended(program, server)


def _start(
    program: Snippet, words: list[str], ended: contextlib.ExitStack
) -> subprocess.Popen[str]:
    """Start a process that is killed when its time is over or the stack ends."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=program.root,
        env=_environment(None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def kill() -> None:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def close() -> None:
        watch.cancel()
        watch.join()
        kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()

    watch = threading.Timer(record.TIMEOUT, kill)
    watch.start()
    ended.callback(close)
    return process


def _port(program: Snippet, process: subprocess.Popen[str]) -> str:
    pattern = re.escape(program.port or "").replace(r"\{port\}", r"(\d+)")
    said = ""
    for line in process.stdout or ():
        said += line
        found = re.search(pattern, line)
        if found:
            return found[1]
    raise _failed(
        program, f"never printed {program.port!r}; it printed: {said.strip()}"
    )


def _ended(program: Snippet, process: subprocess.Popen[str]) -> None:
    said = process.communicate()[0].strip()
    if process.returncode == -signal.SIGKILL:
        raise _failed(program, f"was still running after {record.TIMEOUT:g} s")
    if process.returncode != 0 and not program.name.startswith("wrong_"):
        last = said.splitlines()[-1] if said else "nothing printed"
        raise _failed(program, f"ended with status {process.returncode}: {last}")


def _failed(program: Snippet, what: str) -> Problem:
    mend = f"run it by hand: python {program.where}"
    return Problem(program.where, f"the program {what}", mend)


# The weight of a page


@dataclass(frozen=True)
class Weight:
    """What a first view of a page asks of the network; bytes are gzipped."""

    page: str
    html: int
    assets: int
    requests: int  # the page itself among them

    @property
    def total(self) -> int:
        """Bytes of all requests together."""
        return self.html + self.assets

    @property
    def within(self) -> bool:
        """Say whether the page keeps to the budget."""
        return self.total <= PAGE_BYTES and self.requests <= PAGE_REQUESTS


class _References(HTMLParser):
    """Gathers what a browser fetches to show a page."""

    LOADED = frozenset({"stylesheet", "icon", "preload", "modulepreload", "manifest"})
    SOURCES = frozenset({"script", "img", "iframe", "embed", "input", "audio", "video"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        address = ""
        if tag == "link" and self.LOADED & set(given.get("rel", "").lower().split()):
            address = given.get("href", "")
        elif tag in self.SOURCES:
            address = given.get("src", "")
        elif tag == "object":
            address = given.get("data", "")
        elif tag in ("image", "use"):
            address = given.get("href", "") or given.get("xlink:href", "")
        if address and not address.startswith(("data:", "#")):
            self.found.append(address)


_CSS_URL = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(?!data:|#)([^'\")\s]+)")


def weigh(page: str, site: Path) -> Weight:
    """Weigh a page of a built site: itself and what it makes a browser fetch.

    Counted once each are its stylesheets, scripts, pictures and icon, and what
    the stylesheets name. A file of another host is a request without bytes,
    since it is not here to be weighed.
    """
    path = site / page
    text = path.read_text("utf-8")
    parser = _References()
    parser.feed(text)
    parser.close()
    waiting = [(path, address) for address in parser.found]
    seen: dict[str, int] = {}
    while waiting:
        holder, address = waiting.pop()
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            seen.setdefault(address, 0)
            continue
        base = site if parts.path.startswith("/") else holder.parent
        target = (base / unquote(parts.path).lstrip("/")).resolve()
        if str(target) in seen:
            continue
        if not target.is_file():
            name = holder.relative_to(site).as_posix()
            raise Problem(
                name,
                f"the page asks for {address}, which the site does not have",
                "let the build write the file, or take the reference away",
            )
        seen[str(target)] = gzipped(target.read_bytes())
        if target.suffix == ".css":
            style = target.read_text("utf-8")
            waiting += [(target, url) for url in _CSS_URL.findall(style)]
    return Weight(page, gzipped(text.encode()), sum(seen.values()), 1 + len(seen))


def gzipped(data: bytes) -> int:
    """Say how many bytes a server sends: gzip at its usual level, if that is less."""
    return min(len(data), len(gzip.compress(data, 6, mtime=0)))


# All together


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Set rows in columns: the first and last to the left, the others to the right."""
    held = list(rows)
    widths = [max(map(len, column)) for column in zip(*held, strict=True)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if index in (0, last) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in held
    ]


def report(found: dict[str, Measure]) -> str:
    """Write the terminal's table, and under it what each measure has to remark."""
    lines: list[str] = []
    rows = [row.cells() for measure in found.values() for row in measure.rows]
    if rows:
        heads = ("best of the rounds (+spread)", "ours", "floor", "ratio", "aim", "")
        lines += table([heads, *rows])
    for name, measure in found.items():
        if measure.remarks:
            lines += ["", f"{name}:", *(f"  {remark}" for remark in measure.remarks)]
    return "\n".join(lines)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Measure, print the table and write build/bench.json.

    The exit status is 1 if a build, a test or a program fails, and 0 however
    slow they are.
    """
    parser = argparse.ArgumentParser(
        prog="python -m handbook bench",
        description="Measure builds, tests and pages against their floors.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each side (3)")
    parser.add_argument(
        "--only", action="append", choices=MEASURES, help="measure this, not all"
    )
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds takes 1 or more")
    begin = time.perf_counter()
    found: dict[str, Measure] = {}
    problems: dict[str, Problem] = {}
    with tempfile.TemporaryDirectory(prefix="handbook-bench-") as folder:
        bench = Bench(root, Path(folder), chosen.rounds)
        for name in MEASURES:
            if chosen.only is None or name in chosen.only:
                try:
                    found[name] = getattr(bench, name)()
                except Problem as problem:
                    problems[f"{problem.where}: {problem.what}"] = problem
    print(report(found))
    if problems:
        print(*problems.values(), sep="\n", file=sys.stderr)
        return 1
    path = root / RESULTS
    path.parent.mkdir(exist_ok=True)
    data = {
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "sphinx": version("sphinx"),
        "cores": os.cpu_count(),
        "rounds": chosen.rounds,
        "seconds": round(time.perf_counter() - begin, 1),
        "measures": {
            name: {**measure.data, "rows": [row.data() for row in measure.rows]}
            for name, measure in found.items()
        },
    }
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print(f"\n{RESULTS}: written, after {data['seconds']} s")
    return 0
