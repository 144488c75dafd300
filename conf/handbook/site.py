"""The site's Sphinx hooks: sidebar, policy, fewer files, accessibility mends.

furo computes the whole navigation tree again for every page, which grows with the
square of the pages. Here the tree is read once, rendered once per folder, and a
page only marks where it is. The rest makes furo's pages smaller and mends what a
screen reader, a keyboard or a content security policy would stumble over.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urljoin, urlsplit
from xml.sax.saxutils import escape

import furo
import sphinx_copybutton  # type: ignore[import-untyped]
from docutils import nodes
from jinja2 import Template
from pygments.style import Style  # type: ignore[import-untyped]
from pygments.token import (  # type: ignore[import-untyped]
    STANDARD_TYPES,
    Comment,
    Error,
    Generic,
    Keyword,
    Name,
    Number,
    Operator,
    String,
    Token,
)
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

logger = logging.getLogger(__name__)

THEME = Path(__file__).parents[1] / "theme"

SHORT_TITLE = 28
"""Characters a title may have in the sidebar; more would make it a wall."""

NARROW = 30
"""Columns of code that fit a phone of 320 pixels: such blocks never scroll."""

DESCRIPTION = 200
"""Characters of a page's description; search engines show no more."""

NOT_FOUND = "404"

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""What the published pages allow. No script is inline, so no hash is needed;
'unsafe-inline' is for the style attributes of tables and pictures."""


# --------------------------------------------------------------- colours of code


LIGHT = {
    "text": "#1f2429",
    "quiet": "#59626d",
    "word": "#86258f",
    "string": "#1c662f",
    "number": "#8f4100",
    "name": "#00548a",
    "wrong": "#b3261e",
}
"""Colours of code on a light page: few hues, each with a contrast of 4.5 or more."""

DARK = {
    "text": "#d9dde2",
    "quiet": "#9aa5b1",
    "word": "#dca3ea",
    "string": "#9fd3a4",
    "number": "#ecb67e",
    "name": "#84c1f5",
    "wrong": "#ff9c92",
}
"""Colours of code on a dark page."""


def _style(colours: dict[str, str]) -> dict[Any, str]:
    text, quiet, wrong = colours["text"], colours["quiet"], colours["wrong"]
    word, name = colours["word"], colours["name"]
    string, number = colours["string"], colours["number"]
    return {
        Token: text,
        Comment: f"italic {quiet}",
        Comment.Preproc: f"noitalic {quiet}",
        Keyword: word,
        Operator.Word: word,
        Number: number,
        String: string,
        String.Doc: f"italic {quiet}",
        String.Escape: number,
        String.Interpol: number,
        Name.Builtin: name,
        Name.Builtin.Pseudo: f"italic {text}",
        Name.Class: name,
        Name.Decorator: quiet,
        Name.Exception: wrong,
        Name.Function: name,
        Name.Tag: name,
        Name.Attribute: word,
        Generic.Deleted: wrong,
        Generic.Inserted: string,
        Generic.Error: wrong,
        Generic.Traceback: wrong,
        Generic.Heading: f"bold {name}",
        Generic.Subheading: name,
        Generic.Emph: "italic",
        Generic.Strong: "bold",
        Generic.Prompt: quiet,
        Error: wrong,
    }


class LightCode(Style):  # type: ignore[misc]
    """Code on a light page."""

    name = "handbook-light"
    background_color = "#f5f6f8"
    highlight_color = "#e3ecf4"
    styles: ClassVar[dict[Any, str]] = _style(LIGHT)


class DarkCode(Style):  # type: ignore[misc]
    """Code on a dark page."""

    name = "handbook-dark"
    background_color = "#1c2024"
    highlight_color = "#263542"
    styles: ClassVar[dict[Any, str]] = _style(DARK)


def _looks() -> dict[str, list[str]]:
    """Return the looks of code in CSS, each with the classes that have it.

    Tokens that look like plain text are under the empty look.
    """
    names = {colour: f"var(--code-{name})" for name, colour in LIGHT.items()}
    looks: dict[str, list[str]] = {}
    for token, drawn in LightCode.list_styles():
        look = [] if drawn["color"] == LIGHT["text"][1:] else ["color"]
        look = [f"color:{names['#' + drawn['color']]}" for _ in look]
        look += ["font-style:italic"] if drawn["italic"] else []
        look += ["font-weight:600"] if drawn["bold"] else []
        if name := STANDARD_TYPES.get(token):
            looks.setdefault(";".join(look), []).append(name)
    return looks


def code_colours() -> str:
    """Return the CSS of both styles: one rule a look, its colour a property.

    What Pygments writes for two schemes is ten times as long.
    """
    rules = [
        "body{" + "".join(f"--code-{n}:{c};" for n, c in LIGHT.items()) + "}",
        '/* dark */@media not print{body[data-theme="dark"]{'
        + "".join(f"--code-{n}:{c};" for n, c in DARK.items())
        + "}}/* end of dark */",
        ".highlight{background:var(--color-code-background)}",
        ".highlight .hll{background:var(--accent-soft)}",
    ]
    for look, classes in _looks().items():
        if look:
            rules.append(f".highlight .{classes[0]}{{{look}}}")
    return "\n".join(rules)


_CLASS = {
    name: classes[0] if look else ""
    for look, classes in _looks().items()
    for name in classes
}
_SPAN = re.compile(r'<span class="(\w+)">([^<]*)</span>')
_TWINS = re.compile(r'(<span class="(\w+)">[^<]*)</span>(\s*)<span class="\2">')


def lighten(code: str) -> str:
    """Return highlighted code with one class a look, and none for plain text.

    It looks the same, and takes the browser half as many elements.
    """

    def span(found: re.Match[str]) -> str:
        name = _CLASS.get(found[1], found[1])
        return f'<span class="{name}">{found[2]}</span>' if name else found[2]

    code, twins = _SPAN.sub(span, code), 1
    while twins:
        code, twins = _TWINS.subn(r"\1\3", code)
    return code


# ------------------------------------------------------------------- the sidebar


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
        before = getattr(env, "handbook_titles", None)
        env.handbook_titles = state  # type: ignore[attr-defined]
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


# ------------------------------------------------------- one stylesheet, one script

MERGED = {
    "documentation_options.js",
    "doctools.js",
    "sphinx_highlight.js",
    "clipboard.min.js",
    "copybutton.js",
    "copybutton.css",
    "pygments.css",
    "basic.css",
    "furo.css",
    "furo-extensions.css",
    "furo.js",
}
"""Files that no page asks for by name: merged into site.css and site.js, or needed
by the search page alone, whose template names them."""

LEFTOVERS = [
    "clipboard.min.js",
    "copybutton.js",
    "copybutton_funcs.js",
    "copybutton.css",
    "copy-button.svg",
    "check-solid.svg",
    "basic.css",
    "pygments.css",
    "file.png",
    "minus.png",
    "plus.png",
    "skeleton.css",
    "debug.css",
    "scripts",
    "styles",
]
"""What the themes put into `_static` and no page uses."""


_SYSTEM_DARK = "@media screen and (prefers-color-scheme: dark)"


UNUSED = re.compile(
    r"ethical|readthedocs|\.rst-|\.sd-|\.sig\b|\.sig-|viewcode|highlighttable|linenos"
    r"|dl\[class\]|div\.math|math-wrapper|announcement|genindex|domainindex"
    r"|back-to-top|guilabel|versionadded|versionchanged|deprecated|versionremoved"
    r"|sidebar-logo|dl\.citation|div\.citation|line-block|blockquote\.|\.text-align"
    r"|bottom-of-page|\.only-|\.admonition\.|admonition-todo|property|sphinx-bs"
    r"|code-block-caption|\.topic|topic-title|\.contents|toggle\[name"
)
"""Selectors of furo's CSS for what this handbook does not have or draws itself."""

_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_PROPERTY = re.compile(
    r"--(?:icon-(?!search)|color-(?:admonition-title|topic|announcement|api|guilabel"
    r"|card))[\w-]*:(?:url\('[^']*'\)|[^;}])*;?"
)


def slim(css: str) -> str:
    """Return furo's CSS without the rules and properties that no page uses."""

    def keep(rule: re.Match[str]) -> str:
        wanted = [each for each in rule[1].split(",") if not UNUSED.search(each)]
        return f"{','.join(wanted)}{{{rule[2]}}}" if wanted else ""

    return _RULE.sub(keep, _PROPERTY.sub("", css))


def stylesheet() -> str:
    """Return furo's CSS, the colours of code and ours, as one file."""
    styles = Path(furo.THEME_PATH) / "static" / "styles"
    base = (styles / "furo.css").read_text("utf-8")
    # The contents of the page stay in sight from 1200 pixels on; furo's own limit
    # is 1312.
    if base.count("(max-width:82em)") != 1:
        raise ValueError("furo.css has changed: look for the limit of the page's toc")
    base = slim(base.replace("(max-width:82em)", "(max-width:74.99em)"))
    own = _dark_twice((THEME / "site.css").read_text("utf-8"))
    own += (THEME / "timeline.css").read_text("utf-8")
    merged = f"{base}\n{_dark_twice(code_colours())}\n{own}"
    merged = re.sub(r"/\*.*?\*/", "", merged, flags=re.DOTALL)
    merged = re.sub(r"\s*([{};,])\s*", r"\1", merged)
    return LICENCE + re.sub(r"\s+", " ", merged)


LICENCE = "/* furo.css: MIT, Pradyun Gedam; normalize.css: MIT, Nicolas Gallagher */\n"


def _dark_twice(css: str) -> str:
    """Give the dark colours to those who chose them and to those whose system did."""
    found = re.search(r"/\* dark \*/(.*?)/\* end of dark \*/", css, re.DOTALL)
    if found is None:
        raise ValueError("site.css marks its dark colours with /* dark */")
    system = found[1].replace("@media not print", _SYSTEM_DARK)
    system = system.replace('[data-theme="dark"]', ':not([data-theme="light"])')
    return css.replace(found[0], found[1] + system)


def script(context: dict[str, Any]) -> str:
    """Return furo's script, the copy button's and our own as one file.

    Args:
        context: `html_context`, which holds the settings of sphinx-copybutton.
    """
    theme = Path(furo.THEME_PATH) / "static" / "scripts" / "furo.js"
    static = Path(sphinx_copybutton.__file__).parent / "_static"
    button = Template((static / "copybutton.js_t").read_text("utf-8")).render(context)
    parts = [
        theme.read_text("utf-8"),
        (static / "clipboard.min.js").read_text("utf-8"),
        # copybutton.js looks for the options of Sphinx, which only the search needs.
        '(() => {\nconst DOCUMENTATION_OPTIONS = {URL_ROOT: ""};\n'
        + button
        + "\n})();",
        (THEME / "site.js").read_text("utf-8"),
        (THEME / "timeline.js").read_text("utf-8"),
    ]
    return re.sub(r"//# sourceMappingURL=\S+", "", "\n;".join(parts))


def copy_exactly(app: Sphinx, config: Config) -> None:
    """Let the copy button copy a program as it is, its last newline included."""
    del app
    config.html_context["copybutton_format_func"] = (THEME / "copy.js").read_text(
        "utf-8"
    )


class Assets:
    """The merged files of one build and the digests that name their versions."""

    def __init__(self) -> None:
        """Start with nothing merged."""
        self.merged: dict[str, str] = {}
        self.digests: dict[str, str] = {}

    def merge(self, app: Sphinx) -> None:
        """Merge the files, once the themes have told what they bring."""
        if app.builder.format != "html":
            return
        self.merged = {
            "site.css": stylesheet(),
            "site.js": script(app.config.html_context),
        }
        texts = {
            **self.merged,
            "scheme.js": (THEME / "static" / "scheme.js").read_text("utf-8"),
        }
        self.digests = {
            name: hashlib.sha256(text.encode()).hexdigest()[:8]
            for name, text in texts.items()
        }

    def changed(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """Rewrite every page when a merged file changed: pages name its digest."""
        before = getattr(env, "handbook_digests", None)
        env.handbook_digests = self.digests  # type: ignore[attr-defined]
        if before in (None, self.digests) or app.builder.format != "html":
            return []
        return sorted(env.found_docs)

    def write(self, app: Sphinx, exception: Exception | None) -> None:
        """Write the merged files and clear away what they replace."""
        if exception is not None or app.builder.format != "html":
            return
        static = Path(app.outdir) / "_static"
        for name, text in self.merged.items():
            (static / name).write_text(text, "utf-8")
        for name in LEFTOVERS:
            _remove(static / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _remove(child)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def _needed(files: Sequence[Any]) -> list[Any]:
    """Leave out the styles and scripts that are merged or that no page needs."""
    kept = []
    for file in files:
        name = str(getattr(file, "filename", file) or "").partition("?")[0]
        if name.rpartition("/")[2] not in MERGED:
            kept.append(file)
    return kept


# ---------------------------------------------------------- mends of a page's body

_BLOCK = re.compile(
    r'class="snippet-path"[^>]*>(?P<path>[^<]*)<'
    r'|<details class="snippet-whole"(?P<whole>)'
    r'|<div class="recorded(?P<recorded>)[" ]'
    r'|(?P<pre><pre(?: class="literal-block")?)>(?P<code>.*?)</pre>'
    r'|(?P<table><div class="table-wrapper[^"]*"(?: id="[^"]*")?)>',
    re.DOTALL,
)
_LINK = re.compile(r'href="#([^"]+)"')
_LINE = re.compile(
    r'<span id="([\w.-]+-\d+)">((?:[^<]|<(?!/?span)|<span class="\w+">[^<]*</span>)*)'
    r"</span>"
)
"""A line of code with an id; those that no picture of the page links to lose it."""
_INLINE = re.compile(
    r'<code class="docutils literal notranslate">(.*?)</code>', re.DOTALL
)
_TAG = re.compile(r"<[^>]*>")
_KOREAN_TEXT = re.compile(r">([^<]*[\uac00-\ud7a3][^<]*)<")
_KOREAN = re.compile(r"[\uac00-\ud7a3]+(?:[ -]+[\uac00-\ud7a3]+)*")
_ASIDE = re.compile(r"<aside (?![^>]*\b(?:role|aria-label)=)([^>]*)>")


def mend(body: str) -> str:
    """Return a page's body so that keyboards and screen readers can use it.

    What scrolls sideways can be reached with the keyboard and has a name of its own;
    captions of toctrees are no headings without a level; an aside has a role that
    needs no name; Korean words say that they are Korean.
    """
    body = body.replace('<p class="caption" role="heading">', '<p class="caption">')
    body = _ASIDE.sub(_aside, body)
    body = _INLINE.sub(_inline, body)
    body = _KOREAN_TEXT.sub(
        lambda text: ">" + _KOREAN.sub(r'<span lang="ko">\g<0></span>', text[1]) + "<",
        body,
    )
    linked = set(_LINK.findall(body))
    body = _LINE.sub(lambda line: line[0] if line[1] in linked else line[2], body)
    names: dict[str, int] = {}
    program = label = ""

    def region(opening: str, name: str) -> str:
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:
            name = f"{name}, {names[name]}"
        label = html.escape(name)
        return f'{opening} tabindex="0" role="region" aria-label="{label}">'

    def replace(found: re.Match[str]) -> str:
        nonlocal program, label
        if found["path"] is not None:
            program = html.unescape(found["path"]).rpartition("/")[2]
            label = f"Program {program}"
        elif found["whole"] is not None:
            label = f"The whole program {program}"
        elif found["recorded"] is not None:
            label = f"Output of {program}" if program else "Output"
        elif found["table"] is not None:
            return region(found["table"], "Table")
        else:
            name, label = label or "Code", ""
            code = lighten(found["code"])
            text = html.unescape(_TAG.sub("", code))
            opening = found["pre"] + ">"
            if max(map(len, text.splitlines()), default=0) > NARROW:
                opening = region(found["pre"], name)
            return f"{opening}{code}</pre>"
        return found[0]

    return _BLOCK.sub(replace, body)


def _inline(found: re.Match[str]) -> str:
    return f'<code class="literal">{_TAG.sub("", found[1])}</code>'


def _aside(found: re.Match[str]) -> str:
    role = "none" if "footnote-list" in found[1] else "note"
    return f'<aside role="{role}" {found[1]}>'


def description(meta: dict[str, Any], doctree: nodes.document | None) -> str:
    """Return what the page is about: its front matter says, or its first words."""
    text = str(meta.get("description") or "")
    if not text and doctree is not None:
        for paragraph in doctree.findall(nodes.paragraph):
            if isinstance(paragraph.parent, (nodes.section, nodes.document)):
                text = paragraph.astext()
                break
    text = " ".join(text.split())
    if len(text) > DESCRIPTION:
        text = text[:DESCRIPTION].rpartition(" ")[0].rstrip(",;:") + " …"
    return text


# --------------------------------------------------------------------- all together


class Pages:
    """What each page is given before its template is filled."""

    def __init__(self, sidebar: Sidebar, assets: Assets) -> None:
        """Keep the sidebar and the assets of this build."""
        self.sidebar = sidebar
        self.assets = assets

    def context(
        self,
        app: Sphinx,
        pagename: str,
        templatename: str,
        context: dict[str, Any],
        doctree: nodes.document | None,
    ) -> None:
        """Set what the templates need; runs before furo's own hook."""
        del templatename
        context.pop("toctree", None)  # or furo computes the tree of the whole site
        context["handbook_sidebar"] = self.sidebar.of(app, pagename)
        context["handbook_policy"] = "" if app.config.handbook_live else POLICY
        context["handbook_digests"] = self.assets.digests
        if pagename == NOT_FOUND:
            # Shown under any address, so its links must not start from there.
            context["handbook_base"] = urlsplit(app.config.html_baseurl).path or "/"
        meta = context.get("meta") or {}
        text = description(meta, doctree) or f"{app.config.html_title}: {pagename}"
        context["handbook_description"] = text
        if 'name="description"' in context.get("metatags", ""):
            context["handbook_description"] = ""
        context["css_files"] = _needed(context.get("css_files", []))
        context["script_files"] = _needed(context.get("script_files", []))
        if context.get("body"):
            context["body"] = mend(context["body"])


def not_found(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Add the page that a server shows for an address that does not exist."""
    if app.builder.name == "html":
        yield NOT_FOUND, {"title": "No such page"}, "404.html"


def clear_away(app: Sphinx, exception: Exception | None) -> None:
    """Remove the pages of chapters that are gone: Sphinx leaves them there.

    Only what an earlier build of ours has written; the folder may hold other files.
    """
    if exception is not None or app.builder.name != "html":
        return
    kept = Path(app.doctreedir) / "handbook-pages.json"
    before = set(json.loads(kept.read_text())) if kept.exists() else set()
    for name in before - app.env.found_docs:
        (Path(app.outdir) / f"{name}.html").unlink(missing_ok=True)
    kept.write_text(json.dumps(sorted(app.env.found_docs)))


def write_sitemap(app: Sphinx, exception: Exception | None) -> None:
    """Write sitemap.xml, where the published address is known."""
    base = app.config.html_baseurl
    if exception is not None or app.builder.format != "html" or not base:
        return
    uris = (app.builder.get_target_uri(name) for name in sorted(app.env.found_docs))
    urls = "\n".join(f"<url><loc>{escape(urljoin(base, u))}</loc></url>" for u in uris)
    (Path(app.outdir) / "sitemap.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}\n'
        "</urlset>\n",
        "utf-8",
    )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks with Sphinx."""
    sidebar, assets = Sidebar(), Assets()
    pages = Pages(sidebar, assets)
    app.add_config_value("handbook_live", default=False, rebuild="html", types=[bool])
    app.connect("config-inited", copy_exactly, priority=900)
    app.connect("builder-inited", assets.merge, priority=900)
    app.connect("env-updated", sidebar.env_updated)
    app.connect("env-updated", assets.changed)
    app.connect("html-page-context", pages.context, priority=400)
    app.connect("build-finished", assets.write, priority=900)
    app.connect("html-collect-pages", not_found)
    app.connect("build-finished", clear_away)
    app.connect("build-finished", write_sitemap)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
