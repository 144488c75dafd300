"""Measure the build: cold, and again after one edit and after none."""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

from handbook import claims, pages
from handbook.bench.cost import TIMEOUT, Cost, alternate, progress, spend
from handbook.bench.measure import Measure, rows_of, verdict
from handbook.bench.plain import FLOOR_CONF, Plain
from handbook.problem import Problem
from handbook.snippet import Snippet, by_id
from handbook.weight import pages_of

STRICT = ("-n", "-W", "--keep-going", "-j", "4", "-q", "-N")  # as `make html` builds
COLD_AIM = 1.5
EDIT_AIM = 1.5
WORDS_AIM = 0.6  # CPU seconds per 10,000 rendered words of a cold build
IDLE_AIM = 1.0  # CPU seconds of a build in which nothing changed
EDITED_AIM = 1.3  # CPU seconds of a build after one edit


class Bench:
    """Measures one copy of the repository, in a folder of its own."""

    def __init__(self, root: Path, folder: Path, rounds: int) -> None:
        """Copy what builds and tests need, so that edits under way do no harm."""
        self.root = root
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

    def build(self, out: Path, *, cold: bool = False, timeout: float = TIMEOUT) -> Cost:
        """Build the handbook; Problem if it does not build."""
        doctrees = out.with_name(out.name + "-doctrees")
        if cold:
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(doctrees, ignore_errors=True)
        argv = [sys.executable, "-m", "sphinx", *(["-E"] if cold else []), *STRICT]
        return spend(
            [*argv, "-c", "conf", "-d", str(doctrees), "docs", str(out)],
            self.copy,
            self.copy / "conf",
            fails=(
                "docs",
                "the handbook does not build",
                "run make html, and mend what it names first",
            ),
            timeout=timeout,
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
        return spend(
            [*argv, "-c", "conf", "-d", "doctrees", "docs", "site"],
            floor,
            None,
            fails=(
                "conf/handbook/bench/plain.py",
                "the plain chapters, the floor of the cold build, do not build",
                "let Plain write out what bare Sphinx does not know",
            ),
        )

    def warm(self) -> None:
        """Build the site once without counting, if that is not done yet."""
        if not self._built:
            progress("building the site once without counting")
            self.build(self.site, cold=True)
            self._built = True


class _Words(HTMLParser):
    """Counts the words of a page's article; what a picture says is not read out."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._inside = self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._inside += tag == "article"
        self._hidden += tag in ("script", "style", "svg")

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag == "article"
        self._hidden -= tag in ("script", "style", "svg")

    def handle_data(self, data: str) -> None:
        if self._inside and not self._hidden:
            self.count += len(data.split())


def rendered_words(site: Path) -> int:
    """Count what a reader of the whole site reads: prose, programs, outputs."""
    counted = 0
    for page in pages_of(site):
        parser = _Words()
        parser.feed((site / page).read_text("utf-8"))
        parser.close()
        counted += parser.count
    return counted


def cold(bench: Bench) -> Measure:
    """Measure a cold build against bare Sphinx on plain Markdown."""
    bench.warm()
    floor = bench.make_floor()
    progress("cold build: once without counting")
    bench.build_floor(floor)
    ours, bare = alternate(
        "cold build",
        bench.rounds,
        lambda: bench.build(bench.site, cold=True),
        lambda: bench.build_floor(floor),
    )
    words = sum(
        len(path.read_text("utf-8").split()) for path in floor.rglob("docs/**/*.md")
    )
    shown = rendered_words(bench.site)
    dear = 10_000 * min(cost.cpu for cost in ours) / shown
    return Measure(
        rows_of("cold build / bare Sphinx", ours, bare, COLD_AIM),
        [
            f"{words} words in the plain chapters, programs and tests included",
            f"{dear:.2f} CPU s per 10,000 of {shown} rendered words, "
            f"{verdict(dear, WORDS_AIM)}",
        ],
        {"words": words, "rendered_words": shown, "per_10000_words": round(dear, 3)},
    )


def edit(bench: Bench) -> Measure:
    """Measure a rebuild after one program's edit against one after none."""
    out = bench.folder / "edited"
    program, chapter = _shown_once(bench)
    progress(f"rebuild: {program.where}, which stands on {chapter} alone")
    bench.build(out, cold=True)
    bench.build(out)
    written: dict[str, dict[str, str]] = {"nothing": {}, "one": {}}

    def rebuild(key: str) -> Cost:
        before = _state(out)
        cost = bench.build(out)
        written[key] |= _rewritten(before, _state(out))
        return cost

    def one() -> Cost:
        with program.path.open("a", encoding="utf-8") as file:
            file.write(f"# edit {time.time_ns()}\n")
        return rebuild("one")

    ours, none = alternate(
        "rebuild, one edit against none",
        bench.rounds,
        one,
        lambda: rebuild("nothing"),
    )
    if written["one"].get(f"{chapter}.html") != "changed":
        raise Problem(
            f"docs/{chapter}.md",
            f"the page is not built anew when {program.where} is edited",
            "let the directive that shows the program depend on its file",
        )
    idle = min(cost.cpu for cost in none)
    edited = min(cost.cpu for cost in ours)
    return Measure(
        rows_of("rebuild: one edit / none", ours, none, EDIT_AIM),
        [
            f"nothing changed: {idle:.2f} CPU s, {verdict(idle, IDLE_AIM)}; "
            f"one edit: {edited:.2f} CPU s, {verdict(edited, EDITED_AIM)}",
            *_rewritten_in_words(bench, chapter, written),
        ],
        {
            "program": program.where,
            "chapter": chapter,
            "rewritten_after_one_edit": written["one"],
            "rewritten_after_none": written["nothing"],
        },
    )


def _rewritten_in_words(
    bench: Bench, chapter: str, written: dict[str, dict[str, str]]
) -> list[str]:
    wanted = [f"{chapter}.html", f"{Path(chapter).parent.as_posix()}/index.html"]
    always = sorted(written["nothing"])
    told = [
        "one edit rewrites "
        + ", ".join(f"{name} ({how})" for name, how in sorted(written["one"].items()))
    ]
    if always:
        told.append(f"without an edit: {', '.join(always)}, on every build")
    ledger = [name for name in always if name.startswith(claims.LEDGER)]
    if ledger and not (bench.copy / claims.RESULTS).exists():
        told.append(
            f"the ledger is read anew each time because {claims.RESULTS} is not "
            "there: make test writes it"
        )
    more = sorted(set(written["one"]) - set(wanted) - set(always))
    told += [f"more than the chapter and its part's index: {name}" for name in more]
    return told


def _shown_once(bench: Bench) -> tuple[Snippet, str]:
    """Find a program that stands on one page: its edit should rebuild that one."""
    uses: dict[str, set[str]] = {}
    included = set()
    for page in pages.read_all(bench.copy):
        for block in page.named("literalinclude", "recorded", "timeline"):
            identifier = block.argument
            if block.name == "literalinclude":
                path = Path(identifier)
                identifier = f"{path.parent.name}/{path.stem}"
                included.add(identifier)
            uses.setdefault(identifier, set()).add(page.docname)
    for identifier in sorted(included):
        program = by_id(identifier, bench.copy)
        if len(uses[identifier]) == 1 and not program.roles:
            return program, uses[identifier].pop()
    raise Problem(
        "docs",
        "no program stands on exactly one page, so there is no edit to measure",
        "run the other measures: python -m handbook bench --only cold",
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
