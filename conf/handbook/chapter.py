"""Check one chapter and build its page: `make chapter C=part/name`.

It takes what belongs to that chapter from all that the checks say, runs its
programs and its tests, and builds the site from where it was. What is wrong in
another chapter is left to `make check`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import webbrowser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from handbook import check, claims, compare, pages, record, recordings, texts
from handbook.problem import Problem, nearest, place
from handbook.snippet import ROOT, Snippet, companions_of_pairs
from handbook.snippet import read as read_snippet

SECONDS = 600  # that its tests, or a first build on a slow machine, may take


@dataclass(frozen=True)
class Chapter:
    """A chapter with the files that belong to it."""

    root: Path
    page: pages.Page
    programs: tuple[str, ...]  # part/name; of a pair all programs

    @property
    def tests(self) -> list[Path]:
        """The files of its tests.

        Of its part, those that have its name or name a program of it; if there is
        none, those that prove a claim which the page shows.
        """
        part, _, name = self.page.docname.partition("/")
        known, _ = claims.gather(self.root)
        proofs = {
            known[identifier].path
            for _, identifier in pages.claims_shown(self.page)
            if identifier in known
        }
        of_part = sorted((self.root / "tests" / part).glob("test_*.py"))
        stems = {program.partition("/")[2] for program in self.programs}
        stems.add(name.replace("-", "_"))
        words = re.compile(rf"\b({'|'.join(map(re.escape, sorted(stems)))})\.py\b")
        own = [
            path
            for path in of_part
            if path.stem.removeprefix("test_") in stems
            or words.search(texts.read(self.root, path))
        ]
        return own or [path for path in of_part if path in proofs]

    @property
    def built(self) -> Path:
        """Where its page is once it is built."""
        return self.root / "build" / "html" / f"{self.page.docname}.html"

    def owns(self, where: str) -> bool:
        """Say whether a place, as a Problem names it, belongs to the chapter."""
        path = where.partition(":")[0]
        part = self.page.docname.partition("/")[0]
        own = {
            place(self.root, self.page.path),
            f"docs/{part}/index.md",
            f"docs/{claims.LEDGER}{part}.md",
        }
        own |= {place(self.root, path) for path in self.tests}
        if path in own:
            return True
        return any(
            re.fullmatch(rf"snippets/{re.escape(f)}(\.\w+)*", path)
            for name in self.programs
            for f in (name, name.replace("/", "/recorded/"))
        )


def find(name: str, root: Path = ROOT) -> Chapter:
    """Find a chapter by `part/name`; Problem lists those that there are."""
    read = [page for page in pages.read_all(root) if pages.is_chapter(root, page)]
    wanted = name.removeprefix("docs/").removesuffix(".md")
    page = next((page for page in read if page.docname == wanted), None)
    if page is None:
        known = [page.docname for page in read]
        near = nearest(wanted.replace("_", "-"), known)
        if (root / "docs" / f"{wanted}.md").is_file():
            raise Problem(
                f"C={name}",
                "a page and no chapter: it has no programs and tests of its own",
                "make html builds it, and make check looks at it",
            )
        raise Problem(
            f"C={name}" if name else "make chapter",
            "no chapter of that name" if name else "no chapter named",
            "make chapter C=part/name, with one of: " + ", ".join(near or known),
        )
    programs = {program for _, program in pages.included(root, page)}
    owners = companions_of_pairs(root)
    pairs = {owner for partner, owner in owners.items() if partner in programs}
    pairs |= programs & set(owners.values())
    programs |= pairs | {partner for partner, owner in owners.items() if owner in pairs}
    return Chapter(root, page, tuple(sorted(programs)))


def problems(chapter: Chapter) -> list[Problem]:
    """Give what the checks say of this chapter, its programs and its tests."""
    return [
        problem
        for problem in check.problems(chapter.root)
        if chapter.owns(problem.where)
        or any(name in problem.what.split() for name in chapter.programs)
    ]


def to_do(chapter: Chapter) -> list[Problem]:
    """Give what its writer has marked as still to do."""
    return [each for each in check.to_do(chapter.root) if chapter.owns(each.where)]


def rerun(snippet: Snippet) -> str:
    """Run a program once more; say what this system lacks, or "" if it is as recorded.

    Problem if it misbehaves or does something else than its recording says.
    """
    recorded = recordings.load(snippet)
    lacking = snippet.missing()
    if lacking:
        return f"not compared: needs {', '.join(lacking)}, which is not here"
    now = record.run(snippet)
    if sys.platform != "linux":
        return "it ran; recordings are compared on Linux only"
    difference = compare.diff(recorded, now, snippet)
    if difference:
        raise check.stale(snippet.root, snippet, difference)
    return ""


def programs(chapter: Chapter) -> tuple[list[str], list[Problem]]:
    """Run the chapter's programs; say how each ended, and what is wrong."""
    partners = companions_of_pairs(chapter.root)
    told, wrong = [], []

    def judge(name: str) -> tuple[str, Problem | None]:
        path = chapter.root / "snippets" / f"{name}.py"
        begun = time.monotonic()
        try:
            said = rerun(read_snippet(path, chapter.root)) or "as recorded"
        except Problem as problem:
            return f"{name}: no", problem
        return f"{name}: {said} ({time.monotonic() - begun:.1f} s)", None

    names = [
        name
        for name in chapter.programs
        if name not in partners and (chapter.root / "snippets" / f"{name}.py").is_file()
    ]
    with ThreadPoolExecutor(2) as pool:
        for line, problem in pool.map(judge, names):
            told.append(line)
            wrong += [problem] if problem else []
    return told, wrong


def tests(chapter: Chapter) -> tuple[bool, str]:
    """Run the chapter's tests; say whether they passed, and what pytest said."""
    if not chapter.tests:
        name = chapter.page.docname.replace("-", "_").replace("/", "/test_")
        raise Problem(
            f"tests/{name}.py",
            f"{chapter.page.docname} has no tests: nothing proves its claims",
            "write it; docs/about/the-form.md shows 'The form of a claim'",
        )
    done = _python(
        chapter.root, "pytest", "-q", "--no-header", *map(str, chapter.tests)
    )
    return done.returncode == 0, done.stdout + done.stderr


def lint(chapter: Chapter) -> list[str]:
    """Say what `make lint` would find in the chapter's own files."""
    names = [f"snippets/{name}.py" for name in chapter.programs]
    files = [path for name in names if (path := chapter.root / name).is_file()]
    code = [str(path.relative_to(chapter.root)) for path in [*files, *chapter.tests]]
    page = str(chapter.page.path.relative_to(chapter.root))
    short = ("--output-format", "concise")
    told = []
    for tool, words, mend in (
        ("ruff", ("format", "--check", *short, *code), "make format"),
        ("ruff", ("check", *short, *code), "mend the line; make format mends some"),
        ("rumdl", ("check", "-q", page), "mend the line; make format mends some"),
        ("codespell", (page, *code), "mend the word"),
    ):
        if tool == "ruff" and not code:
            continue
        found = shutil.which(tool, path=str(Path(sys.executable).parent))
        if found is None:
            raise Problem(
                f"make chapter: {tool}", "is not installed", "make clean ALL=1"
            )
        done = _run(chapter.root, found, *words)
        if done.returncode:
            said = (done.stdout + done.stderr).strip()
            told.append(f"{said}\n  To mend it: {mend}")
    return told


def build(chapter: Chapter) -> tuple[list[str], int]:
    """Bring the site up to date; give the chapter's warnings and count the others."""
    warnings = chapter.root / "build" / "chapter-warnings.txt"
    warnings.parent.mkdir(exist_ok=True)
    html = chapter.root / "build" / "html"
    # A page is read again, and warned of again, if what Sphinx made of it is gone.
    (html / ".doctrees" / f"{chapter.page.docname}.doctree").unlink(missing_ok=True)
    done = _python(
        *(chapter.root, "sphinx", "-n", "--keep-going", "-q", "-j", "2"),
        *("-w", str(warnings), "-c", "conf", "docs", str(html)),
    )
    if done.returncode:
        return [done.stderr.strip() or done.stdout.strip()], 0
    entries: list[str] = []
    for row in warnings.read_text("utf-8").splitlines():
        if re.search(r": (WARNING|ERROR|CRITICAL): |^(WARNING|ERROR|CRITICAL): ", row):
            entries.append(row.replace(f"{chapter.root}/", ""))
        elif entries:
            entries[-1] += f"\n{row}"
    # The ledger speaks of the claims of every chapter of the part.
    ledger = f"docs/{claims.LEDGER}"
    own = [e for e in entries if chapter.owns(e) and not e.startswith(ledger)]
    return own, len(entries) - len(own)


def _python(root: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(root, sys.executable, "-m", module, *words)


def _run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "conf")},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def built_before(chapter: Chapter) -> bool:
    """Say whether there is a site from which the build can go on."""
    doctrees = chapter.root / "build" / "html" / ".doctrees"
    return (doctrees / "environment.pickle").is_file()


def has_screen() -> bool:
    """Say whether a browser would open before somebody's eyes."""
    if os.environ.get("CI") or os.environ.get("NO_BROWSER"):
        return False
    if sys.platform == "linux":
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def main(name: str, root: Path = ROOT) -> int:
    """Check and build one chapter, and say where to see it."""
    chapter = find(name, root)
    left = to_do(chapter)
    print("-- chapter", flush=True)
    wrong = [str(problem) for problem in problems(chapter)]
    print("\n".join(wrong) or "pages, programs and claims agree", flush=True)
    print("-- lint", flush=True)
    unkempt = lint(chapter)
    print("\n".join(unkempt) or "formatting, style and spelling are right", flush=True)
    print("-- programs", flush=True)
    lines, failed = programs(chapter)
    for line in [*lines, *map(str, failed)]:
        print(line, flush=True)
    print("-- tests", flush=True)
    try:
        passed, said = tests(chapter)
        print(said.strip(), flush=True)
    except Problem as lacking:
        passed = False
        print(lacking, flush=True)
    print(
        "-- page"
        + ("" if built_before(chapter) else " (a first build takes up to a minute)"),
        flush=True,
    )
    warned, elsewhere = build(chapter)
    for line in warned:
        print(line)
    if elsewhere:
        print(f"{elsewhere} warnings of other pages: make html shows them")
    if left:
        print("-- to do")
        for problem in left:
            print(f"{problem.where}: {problem.what}")
    print("--")
    count = len(wrong) + len(unkempt) + len(failed) + (not passed) + len(warned)
    print(
        f"{chapter.page.docname}: "
        + (f"{count} to mend, see above" if count else "all is well")
        + (f"; lines that say what is to do: {len(left)}" if left else "")
    )
    if chapter.built.exists():
        print(f"see it: {chapter.built.as_uri()}", flush=True)
        if has_screen():
            webbrowser.open(chapter.built.as_uri())
    return 1 if count else 0
