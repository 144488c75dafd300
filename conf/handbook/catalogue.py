"""The catalogue: every program, as a page to filter, a zip, and JSON for machines.

`entries` reads files only; the directives and what lies in `snippets/` of the site are
Sphinx's.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util import logging

from handbook import archive, boxes, facts, memory, pages
from handbook.base import Directive, html
from handbook.needs import FILES
from handbook.problem import Problem
from handbook.snippet import (
    ROOT,
    Snippet,
    companions,
    companions_of_pairs,
    find,
    read,
    read_all,
)

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)

JSON, ZIP = "snippets/snippets.json", "snippets/snippets.zip"
VERSION = 1
"""Of the JSON: raised when a key changes its meaning or goes away."""

README = """\
Every program of the handbook on sockets, ports and WebSockets, a folder for each part.
Each runs by itself with Python 3.11 or later; what else it needs stands at its top.
They are licensed 0BSD: copy what you like, without a notice.
"""


@dataclass(frozen=True)
class Entry:
    """A program or a file beside one, and where the handbook shows it.

    Attributes:
        id: `part/name`.
        file: its path in the repository.
        download: its path on the site.
        shows: what it shows, in a line; "" for a file that is no program.
        needs: what it cannot do without, as its docstring says.
        pair: the file whose docstring says how the two run together, or "".
        lines: how long it is, as readers see it.
        page: the document that shows it first.
        sha256: of the file as the site serves it.
    """

    id: str
    file: str
    download: str
    shows: str
    needs: tuple[str, ...]
    pair: str
    lines: int
    page: str
    sha256: str

    @property
    def anchor(self) -> str:
        """Where on the page it stands."""
        return boxes.anchor(self.id)


def entries(root: Path = ROOT) -> list[Entry]:
    """List all that pages show, page by page in the order of the handbook."""
    by_name = {page.docname: page for page in pages.read_all(root)}
    found: dict[str, Snippet] = {each.where: each for each in read_all(root)}
    leads = companions_of_pairs(root)
    listed: dict[str, Entry] = {}
    for docname in facts.in_order(by_name):
        page = by_name[docname]
        for block in page.named("literalinclude"):
            path = (page.path.parent / block.argument).resolve()
            where = path.relative_to(root.resolve()).as_posix()
            if where in listed or where not in found:
                continue
            program = found[where]
            lead = leads.get(program.id, program.id if program.roles else "")
            listed[where] = Entry(
                program.id,
                where,
                boxes.served(program),
                program.summary,
                program.needs,
                f"snippets/{lead}.py" if lead else "",
                len(program.clean.splitlines()),
                docname,
                hashlib.sha256(program.clean.encode()).hexdigest(),
            )
    return list(listed.values())


def as_json(listed: list[Entry], site: str) -> str:
    """Write the catalogue for machines.

    Args:
        listed: what `entries` returned.
        site: the published address, or "" where none is known.
    """
    told: dict[str, Any] = {
        "version": VERSION,
        "license": "0BSD",
        "site": site or None,
        "snippets": [
            dataclasses.asdict(each) | {"page": f"{each.page}.html#{each.anchor}"}
            for each in listed
        ],
    }
    return json.dumps(told, indent=1, ensure_ascii=False) + "\n"


def as_zip(root: Path = ROOT) -> bytes:
    """Pack all programs and what lies beside them, as readers copy them."""
    files = {each.where: each.clean.encode() for each in read_all(root)}
    return archive.zipped(files | {"README.txt": README.encode()})


class Catalogue(Directive):
    """List every program under the chapter that shows it, with a form to filter.

    `{catalogue}` takes no argument. Without JavaScript the form stays hidden.
    """

    has_content = False

    def build(self) -> list[nodes.Node]:
        """Build a section for each part."""
        self.depend(*[page.path for page in pages.read_all(self.root)])
        listed = entries(self.root)
        self.depend(*[self.root / each.file for each in listed])
        parts: dict[str, dict[str, list[Entry]]] = {}
        for each in listed:
            part = each.page.partition("/")[0]
            parts.setdefault(part, {}).setdefault(each.page, []).append(each)
        told = self._files() + self._form(listed)
        made: list[nodes.Node] = [html(told)]
        for part, by_page in parts.items():
            title = self._title(f"{part}/index")
            section = nodes.section(ids=[f"programs-{part}"], names=[part])
            section += nodes.title(title, title)
            groups = "".join(self._group(*each) for each in by_page.items())
            section += html(groups)
            made.append(section)
        return made

    def _files(self) -> str:
        return (
            f'<p>All in one: <a download="" href="{self.up}{ZIP}">snippets.zip</a>. '
            f'For machines: <a href="{self.up}{JSON}">snippets.json</a>, with the '
            "needs, the page and the SHA-256 of each file.</p>"
        )

    def _form(self, listed: list[Entry]) -> str:
        programs = sum(each.file.endswith(".py") for each in listed)
        return (
            '<form class="catalogue-filter" role="search" hidden="">'
            '<input type="search" aria-label="Filter the programs" '
            'placeholder="Filter: recv, Linux, websockets …" autocomplete="off" />'
            '<label><input type="checkbox" value="any-system" /> any system</label>'
            '<label><input type="checkbox" value="no-package" /> no package</label>'
            f"<output>{programs} programs, {len(listed) - programs} files beside "
            "them</output></form>"
        )

    def _group(self, docname: str, listed: list[Entry]) -> str:
        rows = "".join(row(each, self.up) for each in listed)
        return (
            f'<div class="catalogue-group"><h3><a href="{self.up}{docname}.html">'
            f"{escape(self._title(docname))}</a></h3><ul>{rows}</ul></div>"
        )

    def _title(self, docname: str) -> str:
        docs = self.root / "docs"
        return pages.read(docs / f"{docname}.md", docs).short


def row(each: Entry, up: str) -> str:
    """Write a line of the catalogue: a link to the chapter, and a download.

    Args:
        each: the program or file.
        up: the way from the page to the site's root.
    """
    name = each.file.rpartition("/")[2]
    fits = [] if any(map(_is_system, each.needs)) else ["any-system"]
    if not any(need.startswith("pip install") for need in each.needs):
        fits.append("no-package")
    about = ", ".join([f"{each.lines} lines", *each.needs])
    return (
        f'<li class="{" ".join(fits)}"><a href="{up}{each.page}.html#{each.anchor}">'
        f"<code>{name}</code></a> {escape(each.shows)} "
        f"<small>{escape(about)}</small> "
        f'<a download="{name}" href="{up}{each.download}" '
        f'aria-label="Download {name}">Download</a></li>'
    )


def _is_system(need: str) -> bool:
    """Say whether a need ties a program to a system or to what is installed there."""
    return not need.startswith("pip install") and "." not in need


class Files(Directive):
    """List some files of the catalogue: `{files} part/name part/page.html`."""

    required_arguments = 1
    final_argument_whitespace = True

    def build(self) -> list[nodes.Node]:
        """Build their lines."""
        known = {each.id: each for each in entries(self.root)}
        rows = []
        for name in self.arguments[0].split():
            if name not in known:
                raise Problem(
                    self.here,
                    f"no page shows a program {name}",
                    "name programs as in '{files} sockets/echo_server'",
                )
            self.depend(self.root / known[name].file)
            rows.append(row(known[name], self.up))
        told = f'<div class="catalogue-group"><ul>{"".join(rows)}</ul></div>'
        return [html(told)]


class Tested(Directive):
    """List what the tests of a file try, in the words of their names.

    `{tested} part/test_name` names files of `tests/`, without their ending.
    """

    required_arguments = 1
    final_argument_whitespace = True

    def build(self) -> list[nodes.Node]:
        """Build a folded list."""
        tried: list[str] = []
        for name in self.arguments[0].split():
            path = self.root / "tests" / f"{name}.py"
            self.depend(path)
            if not path.exists():
                raise Problem(
                    self.here,
                    f"there is no tests/{name}.py",
                    "name a file of tests/, as in '{tested} sockets/test_echo_pair'",
                )
            tried += [
                node.name.removeprefix("test_").replace("_s_", "'s ").replace("_", " ")
                for node in ast.parse(path.read_text("utf-8")).body
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name.startswith("test_")
            ]
        items = "".join(f"<li>{escape(each)}</li>" for each in tried)
        told = (
            f'<details class="tested"><summary>How it is tested: {len(tried)} tests'
            f"</summary><ul>{items}</ul></details>"
        )
        return [html(told)]


def write_files(app: Sphinx, error: Exception | None) -> None:
    """Write the JSON and the zip beside the programs of the site."""
    if error is not None or app.builder.name != "html":
        return
    root = Path(app.srcdir).parent
    listing, packed = Path(app.outdir) / JSON, Path(app.outdir) / ZIP
    kept = Path(app.doctreedir) / "handbook-catalogue.txt"
    state = f"{memory.state_of(root)} {app.config.html_baseurl}"
    before = kept.read_text("utf-8") if kept.exists() else ""
    if before == state and packed.exists() and listing.exists():
        return
    try:
        told = as_json(entries(root), app.config.html_baseurl)
        # The listing has the digest of every file, so it tells of the zip, too.
        if (
            packed.exists()
            and listing.exists()
            and listing.read_bytes() == told.encode()
        ):
            kept.write_text(state, "utf-8")
            return
        data = as_zip(root)
    except Problem:
        return  # the pages that show programs tell of it
    packed.parent.mkdir(exist_ok=True)
    packed.write_bytes(data)
    listing.write_text(told, "utf-8")
    kept.write_text(state, "utf-8")


def write_programs(app: Sphinx, error: Exception | None) -> None:
    """Lay the programs, without markers, where the pages link to them."""
    if error is not None or app.builder.format != "html":
        return
    root = Path(app.srcdir).parent
    if Path(app.outdir).resolve() == root.resolve():
        raise ExtensionError("the site would be written over the repository")
    wanted = set()
    for path in [*find(root), *companions(root)]:
        try:
            snippet = read(path, root)
        except Problem as problem:
            logger.error(str(problem))
            continue
        target = Path(app.outdir) / boxes.served(snippet)
        wanted.add(target)
        data = snippet.clean.encode()
        if not target.exists() or target.read_bytes() != data:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    for old in (Path(app.outdir) / "snippets").glob("*/*.*"):
        if old not in wanted and old.suffix in {".py", ".txt", *FILES}:
            old.unlink()


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_directive("catalogue", Catalogue)
    app.add_directive("files", Files)
    app.add_directive("tested", Tested)
    app.connect("build-finished", write_programs)
    app.connect("build-finished", write_files)
    return {
        "version": "1",
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
