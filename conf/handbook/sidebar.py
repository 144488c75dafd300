"""The sidebar: read once a build, rendered once a folder, marked once a page.

furo computes the whole navigation tree again for every page, which grows with the
square of the pages.
"""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

from handbook import memory
from handbook.pages import SHORT_TITLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A line of the sidebar: its text, where it leads, and what is below it.

    `target` is a document's name, or an address when `external`.
    """

    title: str
    target: str
    external: bool = False
    children: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Group:
    """A toctree of the front page, with its caption if it has one."""

    caption: str | None
    entries: tuple[Entry, ...]


@dataclass
class Rendered:
    """A sidebar in pieces, and which pieces change for the page that is shown."""

    pieces: list[str] = field(default_factory=list)
    marks: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def marked(self, docname: str) -> str:
        """Return the sidebar with `docname` and all above it marked."""
        pieces = self.pieces
        if docname in self.marks:
            pieces = pieces.copy()
            for index, text in self.marks[docname]:
                pieces[index] = text
        return "".join(pieces)


def short_title(env: BuildEnvironment, docname: str) -> str:
    """Return the title that the sidebar shows for a page."""
    short = env.metadata[docname].get("short")
    return str(short) if short else env.titles[docname].astext()


def read_plan(env: BuildEnvironment) -> tuple[Group, ...]:
    """Read the toctrees of the whole handbook, hidden ones too, into plain data."""
    root = str(env.config.root_doc)
    return tuple(
        Group(tree.get("caption"), tuple(_entries(env, tree, (root,))))
        for tree in _toctrees(env, root)
    )


def _toctrees(env: BuildEnvironment, docname: str) -> Iterator[addnodes.toctree]:
    return env.tocs[docname].findall(addnodes.toctree)


def _entries(
    env: BuildEnvironment, tree: addnodes.toctree, above: tuple[str, ...]
) -> Iterator[Entry]:
    for title, target in tree["entries"]:
        if "://" in target or target.startswith("mailto:"):
            yield Entry(title or target, target, external=True)
        elif target == "self":
            yield Entry(title or short_title(env, above[-1]), above[-1])
        elif target in above:
            continue  # a circle; Sphinx has warned of it
        elif target in env.titles:
            children = tuple(
                child
                for below in _toctrees(env, target)
                for child in _entries(env, below, (*above, target))
            )
            yield Entry(title or short_title(env, target), target, children=children)
        else:
            yield Entry(title or target.title(), target)  # search and its like


def render(plan: Sequence[Group], folder: str, uris: dict[str, str]) -> Rendered:
    """Render the sidebar as a page in `folder` needs it.

    What is in a part stands on the part's own pages and on those at the top; the
    others link to its index. Every page would else list every chapter, and weigh
    more with each.

    Args:
        plan: what `read_plan` returned.
        folder: the folder of the page's address, `""` for the top.
        uris: the address of each document, from the top.
    """
    out = Rendered()
    base = f"{folder}/_" if folder else "_"
    boxes = 0

    def children_of(entry: Entry) -> tuple[Entry, ...]:
        its = uris.get(entry.target, entry.target).rpartition("/")[0]
        near = not folder or folder == its or folder.startswith(its + "/")
        return entry.children if near else ()

    def lines(entries: Sequence[Entry], level: int, above: tuple[int, ...]) -> None:
        nonlocal boxes
        out.pieces.append("<ul>\n")
        for entry in entries:
            kind = "external" if entry.external else "internal"
            href = entry.target
            if not entry.external:
                href = relative_uri(base, uris.get(entry.target, entry.target)) or "#"
            children = children_of(entry)
            classes = f"toctree-l{level}" + (" has-children" if children else "")
            link = (
                f'<a class="reference {kind}" href="{html.escape(href)}"%s>'
                f"{html.escape(entry.title)}</a>"
            )
            here = len(out.pieces)
            out.pieces += [f'<li class="{classes}">', link % ""]
            marks = out.marks.setdefault(entry.target, [])
            marks.append((here, f'<li class="{classes} current current-page">'))
            marks.append((here + 1, link % ' aria-current="page"'))
            inside = above
            if children:
                boxes += 1
                box = (
                    f'<input type="checkbox" class="toctree-checkbox" id="part-{boxes}"'
                    f' aria-label="Show what is in {html.escape(entry.title)}"%s>'
                    f'<label for="part-{boxes}"><span class="icon">'
                    '<svg aria-hidden="true"><use href="#svg-arrow-right"></use></svg>'
                    "</span></label>"
                )
                out.pieces.append(box % "")
                marks.append((here + 2, box % " checked"))
                inside = (*above, len(ancestors))
                ancestors.append(
                    [
                        (here, f'<li class="{classes} current">'),
                        (here + 2, box % " checked"),
                    ]
                )
            for index in above:
                marks.extend(ancestors[index])
            if children:
                lines(children, level + 1, inside)
            out.pieces.append("</li>\n")
        out.pieces.append("</ul>\n")

    ancestors: list[list[tuple[int, str]]] = []
    for group in plan:
        if group.caption:
            caption = html.escape(group.caption)
            out.pieces.append(
                f'<p class="caption"><span class="caption-text">{caption}</span></p>\n'
            )
        lines(group.entries, 1, ())
    return out


class Sidebar:
    """Keeps the plan of one build, and the sidebar of each folder once rendered."""

    def __init__(self) -> None:
        """Start with nothing read and nothing rendered."""
        self.plan: tuple[Group, ...] | None = None
        self.uris: dict[str, str] = {}
        self.folders: dict[str, Rendered] = {}

    def env_updated(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """Check the titles; rewrite every page when a title or the order changed.

        Sphinx rewrites only the pages whose own text changed, and would leave the
        old title in the sidebars and the next/previous links of all others.
        """
        self.plan, self.folders = read_plan(env), {}
        for docname in _documents(self.plan):
            _check_short_title(env, docname)
        titles = sorted((name, title.astext()) for name, title in env.titles.items())
        state = hashlib.sha256(repr((self.plan, titles)).encode()).hexdigest()
        known = memory.of(env)
        before, known.titles = known.titles, state
        if before in (None, state) or app.builder.format != "html":
            return []
        return sorted(env.found_docs)

    def of(self, app: Sphinx, pagename: str) -> str:
        """Return the sidebar of a page as HTML."""
        if self.plan is None:
            self.plan = read_plan(app.env)
        if not self.uris:
            names = [*app.env.found_docs, "search"]
            self.uris = {name: app.builder.get_target_uri(name) for name in names}
        folder = app.builder.get_target_uri(pagename).rpartition("/")[0]
        if folder not in self.folders:
            self.folders[folder] = render(self.plan, folder, self.uris)
        return self.folders[folder].marked(pagename)


def _documents(plan: Sequence[Group]) -> list[str]:
    found: dict[str, None] = {}

    def walk(entries: Sequence[Entry]) -> None:
        for entry in entries:
            if not entry.external:
                found[entry.target] = None
            walk(entry.children)

    for group in plan:
        walk(group.entries)
    return list(found)


def _check_short_title(env: BuildEnvironment, docname: str) -> None:
    if docname not in env.titles:
        return
    title = short_title(env, docname)
    if len(title) <= SHORT_TITLE:
        return
    line = 1
    if "short" in env.metadata[docname]:
        text = Path(env.doc2path(docname)).read_text("utf-8").splitlines()
        numbers = (n for n, text in enumerate(text, 1) if text.startswith("short:"))
        line = next(numbers, 1)
        mend = "shorten `short:`"
    else:
        mend = "add `short: …` to the front matter"
    logger.warning(
        "the sidebar has room for %d characters and %r has %d: %s",
        SHORT_TITLE,
        title,
        len(title),
        mend,
        location=(docname, line),
        type="handbook",
        subtype="short",
    )
