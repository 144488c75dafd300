"""Show which pages a change changes, and what in them: `make changes BASE=origin/main`.

The site is built from the base, whose pages are kept for the next time, and from the
files as they are, and compared as a reader sees it: the text and the pictures of each
article, nothing around it.
The answer is a folder of pages, `build/changes`, and a summary in Markdown.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

from handbook.problem import Problem
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AROUND = 2  # lines of context
SKIPPED = ("_static", "_sources", "genindex.html", "search.html", "404.html")
UNPROMISED = ("programs/", "tests/")  # pages that no sidebar lists and no search finds
PARTS = re.compile(r"^id\d+$|^tl-|^svg-")  # counted by Sphinx, or part of a picture
LEADS_ON = re.compile(r"http-equiv=.?refresh|location\.(href|replace)", re.IGNORECASE)
UNSEEN = "script, style, .headerlink, .visually-hidden, button"
BLOCKS = frozenset(
    [
        *("article", "aside", "blockquote", "dd", "details", "div", "dl", "dt"),
        *("figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "li", "ol", "p"),
        *("section", "summary", "table", "tbody", "thead", "tr", "ul"),
    ]
)
STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto;
  padding: 1rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.875rem; }
del { background: #ffd7d5; color: #67060c; }
ins { background: #cdf5d3; color: #0a3d17; text-decoration: none; }
.row { display: block; padding-left: 1.5em; text-indent: -1.5em; }
hr { border: 0; border-top: 1px dashed; }
"""


@dataclass(frozen=True)
class Change:
    """A page that is new, gone or reads otherwise."""

    page: str  # its address, from the top of the site
    before: tuple[str, ...]  # what a reader saw, line by line; () if it is new
    after: tuple[str, ...]

    @property
    def kind(self) -> str:
        """One word for what has become of it."""
        if not self.before:
            return "new"
        return "changed" if self.after else "gone"

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines were taken away and how many added."""
        matcher = difflib.SequenceMatcher(None, self.before, self.after, autojunk=False)
        kept = sum(match.size for match in matcher.get_matching_blocks())
        return len(self.before) - kept, len(self.after) - kept


def seen(html: str, folder: Path) -> tuple[str, ...]:
    """Give the article of a page as lines of text; a picture is a line with its hash.

    `folder` is that of the page, from which pictures are named.
    """
    soup = BeautifulSoup(html, "html.parser")
    article = soup.select_one("article") or soup.select_one("main") or soup.body
    if article is None:
        return ()
    for tag in article.select(UNSEEN):
        tag.decompose()
    text = "".join(_pieces(article, folder))
    lines = (" ".join(line.split(" ")).rstrip() for line in text.splitlines())
    return tuple(line for line in lines if line.strip())


def _pieces(tag: Tag, folder: Path) -> Iterator[str]:
    for child in tag.children:
        if isinstance(child, NavigableString):
            if type(child) is NavigableString:  # and no comment
                yield re.sub(r"\s+", " ", child)
        elif isinstance(child, Tag):
            if child.name == "pre":
                yield f"\n{child.get_text()}\n"
            elif child.name == "svg":
                yield f"\n[picture {_hash(str(child).encode())}]\n"
                words = (node.get_text(" ", strip=True) for node in child("text"))
                yield "\n".join(f"[in the picture] {word}" for word in words) + "\n"
            elif child.name == "img":
                yield f"\n[picture {_of_file(str(child.get('src', '')), folder)}]\n"
            elif child.name in BLOCKS:
                yield "\n"
                yield from _pieces(child, folder)
                yield "\n"
            else:
                gap = " " if child.name in {"td", "th"} else ""
                yield from _pieces(child, folder)
                yield gap


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def _of_file(source: str, folder: Path) -> str:
    path = folder / source.partition("?")[0]
    name = Path(source.partition("?")[0]).name
    return f"{name} {_hash(path.read_bytes())}" if path.is_file() else name


def _pages(site: Path) -> dict[str, Path]:
    return {
        path.relative_to(site).as_posix(): path
        for path in sorted(site.rglob("*.html"))
        if not path.relative_to(site).as_posix().startswith(SKIPPED)
    }


def compare(before: Path, after: Path) -> list[Change]:
    """Compare two built sites, page by page; what reads the same is left out."""
    old, new = _pages(before), _pages(after)
    found = []
    for page in sorted(old.keys() | new.keys()):
        texts = [
            seen(pages[page].read_text("utf-8"), pages[page].parent)
            if page in pages
            else ()
            for pages in (old, new)
        ]
        if texts[0] != texts[1]:
            found.append(Change(page, *texts))
    return found


@dataclass(frozen=True)
class Gone:
    """An address that was published and leads nowhere now."""

    page: str
    anchor: str = ""  # "" if the whole page is gone

    def problem(self) -> Problem:
        """Say what is gone, and how its old links can be kept."""
        document = self.page.removesuffix(".html")
        if not self.anchor:
            return Problem(
                self.page,
                "this page is gone: every link to it is broken",
                "say where it went, in a line of docs/redirects.txt: "
                f"{document}.md part/new-name.md",
            )
        return Problem(
            f"{self.page}#{self.anchor}",
            "this address is gone: every link to it is broken",
            f"put '({self.anchor})=' on a line of its own above the heading or "
            "paragraph that answers it now; if a program was renamed or taken away, "
            "above what stands in its place",
        )


def _addresses(path: Path) -> set[str]:
    """Give the ids of an article that readers may link to; numbers drift anyway."""
    soup = BeautifulSoup(path.read_text("utf-8"), "html.parser")
    article = soup.select_one("article") or soup
    found = {str(tag["id"]) for tag in article.select("[id]")}

    def is_line(each: str) -> bool:
        base = re.sub(r"-\d+$", "", each)
        return base != each and bool({base, f"snippet-{base}"} & found)

    return {each for each in found if not PARTS.search(each) and not is_line(each)}


def gone(before: Path, after: Path) -> list[Gone]:
    """Name the addresses that the first site has and the second has not.

    A page that leads on to another one has moved; its headings have moved with it.
    """
    old, new = _pages(before), _pages(after)
    found = []
    for page, path in old.items():
        if page.startswith(UNPROMISED):
            continue
        if page not in new:
            found.append(Gone(page))
        elif not LEADS_ON.search(new[page].read_text("utf-8")):
            lost = _addresses(path) - _addresses(new[page])
            found += [Gone(page, anchor) for anchor in sorted(lost)]
    return found


def summary(changes: Sequence[Change], lost: Sequence[Gone] = ()) -> str:
    """Say in Markdown which pages changed, and which addresses are gone."""
    told = [f"- {each.problem()}" for each in lost]
    if told:
        told = ["", f"{len(told)} addresses lead nowhere now:", "", *told, ""]
    if not changes:
        return "\n".join(["No page reads otherwise than before.", *told]) + "\n"
    noun = "page reads" if len(changes) == 1 else "pages read"
    rows = [
        f"| `{change.page}` | {change.kind} | {change.counts[0]} | {change.counts[1]} |"
        for change in changes
    ]
    return "\n".join(
        [
            f"{len(changes)} {noun} otherwise than before.",
            "",
            "| page | | lines taken away | lines added |",
            "|---|---|---:|---:|",
            *rows,
            *(told or [""]),
        ]
    )


def _words(before: str, after: str) -> tuple[str, str]:
    """Mark in two lines the words in which they differ."""
    old, new = (re.findall(r"\s+|[^\s]+", line) for line in (before, after))
    sides: tuple[list[str], list[str]] = ([], [])
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        for side, words, tag in ((0, old[a:b], "del"), (1, new[c:d], "ins")):
            text = escape("".join(words))
            sides[side].append(text if kind == "equal" or not text else _in(tag, text))
    return "".join(sides[0]), "".join(sides[1])


def _in(tag: str, text: str) -> str:
    return f"<{tag}>{text}</{tag}>"


def _row(sign: str, text: str) -> str:
    return f'<span class="row">{sign} {text}</span>'


def difference(change: Change) -> str:
    """Show in HTML what was taken away and what was added, with lines around it."""
    matcher = difflib.SequenceMatcher(None, change.before, change.after, autojunk=False)
    groups = []
    for group in matcher.get_grouped_opcodes(AROUND):
        rows = []
        for kind, a, b, c, d in group:
            old, new = change.before[a:b], change.after[c:d]
            if kind == "equal":
                rows += [_row("\N{NO-BREAK SPACE}", escape(line)) for line in old]
            elif kind == "replace" and len(old) == len(new):
                for one, other in zip(old, new, strict=True):
                    marked = _words(one, other)
                    rows += [_row("-", marked[0]), _row("+", marked[1])]
            else:
                rows += [_row("-", _in("del", escape(line))) for line in old]
                rows += [_row("+", _in("ins", escape(line))) for line in new]
        groups.append(f"<pre>{''.join(rows)}</pre>")
    return "<hr>".join(groups)


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def write(
    changes: Sequence[Change], lost: Sequence[Gone], after: Path, out: Path
) -> None:
    """Write an index, a page for each change, and the changed pages as they look."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    rows = []
    for change in changes:
        taken, added = change.counts
        path = out / "difference" / change.page
        path.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (change.page.count("/") + 1)
        look = ""
        if change.after:
            copy = out / "pages" / change.page
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(after / change.page, copy)
            look = f'<a href="{up}pages/{escape(change.page)}">the page as it looks</a>'
        path.write_text(
            _page(
                f"{change.page}: {change.kind}",
                f'<p><a href="{up}index.html">all changes</a> {look}</p>'
                + difference(change),
            ),
            "utf-8",
        )
        rows.append(
            f'<li><a href="difference/{escape(change.page)}">{escape(change.page)}'
            f"</a>: {change.kind}, {taken} lines taken away, {added} added</li>"
        )
    if any(change.after for change in changes) and (after / "_static").is_dir():
        shutil.copytree(after / "_static", out / "pages" / "_static")
    told = f"<ul>{''.join(rows)}</ul>" if rows else "<p>No page reads otherwise.</p>"
    if lost:
        names = "".join(
            f"<li><pre>{escape(str(each.problem()))}</pre>" for each in lost
        )
        told += f"<h2>Addresses that lead nowhere now</h2><ul>{names}</ul>"
    (out / "index.html").write_text(_page("What changes on the pages", told), "utf-8")
    (out / "summary.md").write_text(summary(changes, lost), "utf-8")


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem(
            f"git {' '.join(words[:3])}",
            done.stderr.strip() or f"ended with status {done.returncode}",
            "name a commit that is here: make changes BASE=origin/main "
            "(git fetch brings it)",
        )
    return done.stdout


def _copy(root: Path, folder: Path) -> None:
    """Copy the files as they are, edits and new files included, and nothing built."""
    names = _git(root, "ls-files", "-z", "-co", "--exclude-standard").split("\0")
    for name in filter(None, names):
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, folder / name)


def _build(folder: Path, out: Path, name: str) -> None:
    unset = ("HANDBOOK_LIVE", "HANDBOOK_BASEURL", "HANDBOOK_REPOSITORY")
    kept = {key: value for key, value in os.environ.items() if key not in unset}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-j", "2", "-c", "conf"),
            *("-d", f"{out}-doctrees", "docs", str(out)),
        ],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(folder / "conf")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Problem(
            name,
            "the site does not build:\n" + done.stderr.strip(),
            "mend it; make html shows the same",
        )


def between(base: str, root: Path, out: Path) -> tuple[list[Change], list[Gone]]:
    """Build the base and the files as they are, compare them, and write the answer.

    Neither has results of tests: the ledger would differ in its dates.
    """
    commit = _git(root, "rev-parse", "--verify", f"{base}^{{commit}}").strip()
    before = _of_commit(commit, base, root)
    with tempfile.TemporaryDirectory(prefix="handbook-") as temporary:
        folder = Path(temporary)
        _copy(root, folder / "head")
        _build(folder / "head", folder / "after", "the files as they are")
        changes = compare(before, folder / "after")
        lost = gone(before, folder / "after")
        write(changes, lost, folder / "after", out)
    return changes, lost


def _of_commit(commit: str, name: str, root: Path) -> Path:
    """Give the site of a commit, built now or by an earlier call.

    The last one is kept: a change is looked at again and again against one base. It
    is built anew when the packages are others.
    """
    packages = root / "requirements.txt"
    with_them = _hash(packages.read_bytes() if packages.is_file() else b"")
    folder = root / "build" / "changes-base"
    kept = folder / f"{commit[:12]}-{with_them}"
    if kept.is_dir():
        return kept
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="handbook-") as temporary:
        source = Path(temporary) / "base"
        _git(root, "worktree", "add", "--detach", str(source), commit)
        try:
            _build(source, Path(temporary) / "site", name)
        finally:
            _git(root, "worktree", "remove", "--force", str(source))
        half = folder / "half"  # a build that is interrupted leaves no whole site
        shutil.move(Path(temporary) / "site", half)
        half.rename(kept)
    return kept


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Compare, write the answer, print its summary; 1 if an address is gone."""
    parser = argparse.ArgumentParser(prog="python -m handbook changes")
    parser.add_argument("--base", default="origin/main", help="a commit or a branch")
    parser.add_argument("--sites", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    parser.add_argument("--out", type=Path, default=root / "build" / "changes")
    chosen = parser.parse_args(arguments)
    if chosen.sites:
        for site in chosen.sites:
            if not (site / "index.html").is_file():
                raise Problem(str(site), "no built site", "build it first: make html")
        changes, lost = compare(*chosen.sites), gone(*chosen.sites)
        write(changes, lost, chosen.sites[1], chosen.out)
    else:
        print("building the site, before and after: a minute or two", flush=True)
        changes, lost = between(chosen.base, root, chosen.out)
    print(summary(changes, lost))
    print(f"What was taken away and added: {chosen.out / 'index.html'}")
    return 1 if lost else 0
