"""Read the chapters' Markdown: which directives stand where."""

from __future__ import annotations

import contextlib
import functools
import io
import re
import tokenize
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.front_matter import front_matter_plugin
from mdit_py_plugins.myst_blocks import myst_block_plugin

from handbook import texts
from handbook.problem import Problem, place
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTION = re.compile(r"^:(?P<key>[a-z][a-z0-9-]*):(?: (?P<value>.*))?$")
COMMANDS = ("sh",)  # a plain fence may hold what a reader types, and nothing else
ROLE = re.compile(r"\{claim\}`(?P<id>[^`]+)`")
# A comment of a page or a test that says what its writer has still to do.
TO_DO = re.compile(r"^(?:%|#) To do: (?P<what>.+)$")
# What else says so, wherever it stands.
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX)\b|(?i:\blorem ipsum\b|^%\s*to[ -]?do\b)")
# Options that choose lines by their number, or by words that need not stay. Sphinx
# has them for {literalinclude}; line numbers drift, so here they are refused.
DRIFTING = (
    *("lines", "emphasize-lines", "lineno-match", "lineno-start", "linenos"),
    *("start-after", "start-at", "end-before", "end-at"),
)
SHORT_TITLE = 28  # characters a title may have in the sidebar; more make it a wall
QUESTIONS = "reference/questions"  # says briefly what the chapters say in full
# These repeat claims, and explain none.
BRIEF = (QUESTIONS, "reference/sheet", "about/kept-true")


@dataclass(frozen=True)
class Block:
    """A fenced block or directive of a page."""

    path: Path
    line: int
    name: str  # the directive's name, or "" for a plain fence
    argument: str  # the directive's argument, or the plain fence's language
    options: dict[str, str]
    body: str

    def where(self, root: Path) -> str:
        """Name its place as `path:line`, from the repository's root."""
        return place(root, self.path, self.line)


@dataclass(frozen=True)
class Heading:
    """A heading of a page."""

    line: int
    level: int
    text: str


@dataclass(frozen=True)
class Page:
    """What the checks need to know of one page."""

    path: Path
    docname: str
    text: str
    front: dict[str, str] = field(default_factory=dict)
    headings: tuple[Heading, ...] = ()
    blocks: tuple[Block, ...] = ()
    paragraphs: tuple[tuple[int, str], ...] = ()
    indented: tuple[int, ...] = ()
    html: tuple[int, ...] = ()  # lines of HTML that holds code
    claim_roles: tuple[tuple[int, str], ...] = ()

    @property
    def title(self) -> str:
        """Its first heading, or its name where it has none."""
        return self.headings[0].text if self.headings else self.docname

    @property
    def short(self) -> str:
        """The title that the sidebar shows."""
        return self.front.get("short") or self.title

    @property
    def to_do(self) -> list[tuple[int, str]]:
        """What the page still says its writer has to do, with the line."""
        return to_do(self.text)

    def named(self, *names: str) -> list[Block]:
        """Give the blocks of these directives, in order."""
        return [block for block in self.blocks if block.name in names]


def to_do(text: str) -> list[tuple[int, str]]:
    """Find what a text says is still to do, with the line."""
    return [
        (number, match["what"] if (match := TO_DO.match(row)) else row.strip())
        for number, row in enumerate(text.splitlines(), 1)
        if TO_DO.match(row) or UNFINISHED.search(row)
    ]


def to_do_in_code(text: str) -> list[tuple[int, str]]:
    """Find what comments and docstrings of a Python file say is still to do.

    Other strings are what a program says, or what a test looks for.
    """
    found = to_do(text)
    if not found:
        return []
    said: set[int] = set()
    before = tokenize.NEWLINE
    with contextlib.suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            alone = before in {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
            if token.type == tokenize.COMMENT or (
                token.type == tokenize.STRING and alone
            ):
                said |= {*range(token.start[0], token.end[0] + 1)}
            if token.type not in {tokenize.COMMENT, tokenize.NL}:
                before = token.type
    return [(line, what) for line, what in found if line in said]


@functools.cache
def _parser() -> MarkdownIt:
    plain = MarkdownIt("commonmark").use(front_matter_plugin).use(colon_fence_plugin)
    return plain.use(myst_block_plugin)  # a comment or a target is no paragraph


def parted(content: str) -> tuple[dict[str, str], str]:
    """Part what stands in a directive: its options, each on a line, and its body."""
    options: dict[str, str] = {}
    rows = content.splitlines(keepends=True)
    used = 0
    for row in rows:
        option = OPTION.match(row.rstrip("\n"))
        if option is None:
            break
        options[option["key"]] = option["value"] or ""
        used += 1
    return options, "".join(rows[used:])


def _blocks(path: Path, text: str, offset: int) -> Iterator[Block]:
    for token in _parser().parse(text):
        if token.type == "code_block" and offset and token.map is not None:
            yield Block(path, offset + token.map[0] + 1, "", "", {}, token.content)
        if token.type not in ("fence", "colon_fence") or token.map is None:
            continue
        line = offset + token.map[0] + 1
        info = token.info.strip()
        match = re.match(r"\{(?P<name>[\w:-]+)\}\s*(?P<argument>.*)", info)
        if match is None:
            yield Block(path, line, "", info, {}, token.content)
            continue
        options, rest = parted(token.content)
        used = len(token.content.splitlines()) - len(rest.splitlines())
        yield Block(path, line, match["name"], match["argument"], options, rest)
        if match["name"].lower() not in ("code-block", "code", "raw", "eval-rst"):
            yield from _blocks(path, rest, line + used)


def read(path: Path, docs: Path) -> Page:
    """Read one page; again only when its file has changed."""
    return _read(path, docs, texts.state(docs.parent, path))


@functools.lru_cache(maxsize=4096)
def _read(path: Path, docs: Path, _state: tuple[int, int]) -> Page:
    text = texts.read(docs.parent, path)
    headings, paragraphs, indented, html, front = [], [], [], [], {}
    tokens = _parser().parse(text)
    for index, token in enumerate(tokens):
        line = (token.map[0] if token.map else 0) + 1
        if token.type == "front_matter":
            for row in token.content.splitlines():
                key, colon, value = row.partition(":")
                if colon and not row.startswith((" ", "#")):
                    front[key.strip()] = value.strip().strip("\"'")
        elif token.type == "heading_open":
            headings.append(Heading(line, int(token.tag[1]), tokens[index + 1].content))
        elif token.type == "paragraph_open":
            paragraphs.append((line, tokens[index + 1].content))
        elif token.type == "code_block":
            indented.append(line)
        elif token.type == "html_block" and re.search(r"<(pre|code)\b", token.content):
            html.append(line)
    return Page(
        path=path,
        docname=path.relative_to(docs).with_suffix("").as_posix(),
        text=text,
        front=front,
        headings=tuple(headings),
        blocks=tuple(_blocks(path, text, 0)),
        paragraphs=tuple(paragraphs),
        indented=tuple(indented),
        html=tuple(html),
        claim_roles=tuple(
            (number, match["id"])
            for number, row in enumerate(text.splitlines(), 1)
            for match in ROLE.finditer(row)
        ),
    )


def read_all(root: Path = ROOT) -> list[Page]:
    """Read every page of the handbook, in order of path; Problem for the first bad."""
    found, unread = gather(root)
    if unread:
        raise unread[0]
    return found


def gather(root: Path = ROOT) -> tuple[list[Page], list[Problem]]:
    """Read the pages that can be read, and say what is wrong with the others."""
    docs = root / "docs"
    found, unread = [], []
    for path in sorted(docs.rglob("*.md")):
        if any(piece.startswith("_") for piece in path.relative_to(docs).parts):
            continue
        try:
            found.append(read(path, docs))
        except Problem as problem:
            unread.append(problem)
    return found, unread


def claims_shown(page: Page) -> list[tuple[int, str]]:
    """Name the claims a page shows, with the line."""
    shown = [
        (block.line, block.argument) for block in page.named("claim", "often-said")
    ]
    return sorted([*shown, *page.claim_roles])


def where_shown(root: Path = ROOT) -> dict[str, list[Page]]:
    """Give the pages that show each claim, by its id, less those that repeat it."""
    shown: dict[str, list[Page]] = {}
    for page in read_all(root):
        if page.docname in BRIEF:
            continue  # it repeats what a chapter shows
        for identifier in dict.fromkeys(each for _, each in claims_shown(page)):
            shown.setdefault(identifier, []).append(page)
    return shown


def included(root: Path, page: Page) -> Iterator[tuple[Block, str]]:
    """Name the programs a page includes, as `part/name`, with where."""
    for block in page.named("literalinclude"):
        path = (page.path.parent / block.argument).resolve()
        if path.parent.parent == root / "snippets":
            yield block, f"{path.parent.name}/{path.name.removesuffix('.py')}"


def section(page: Page, heading: Heading) -> str:
    """Give the text from below a heading to the next one, of whatever level."""
    following = [here.line for here in page.headings if here.line > heading.line]
    last = following[0] - 1 if following else None
    return "\n".join(page.text.splitlines()[heading.line : last])


def is_chapter(root: Path, page: Page) -> bool:
    """A chapter lies in a part's folder, and is not its index.

    A page of the reference may show programs, and is no chapter.
    """
    part, _, name = page.docname.partition("/")
    if part == "reference":
        return False
    return bool(name) and name != "index" and (root / "snippets" / part).is_dir()


def prose(page: Page) -> str:
    """Give the words of a page: no code, no front matter, no directive's head."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.text, flags=re.DOTALL)
    kept = []
    code = False
    for row in text.splitlines():
        fence = re.match(r"\s*(?:`{3,}|:{3,})(.*)", row)
        if fence:
            code = fence[1].strip() in COMMANDS
            continue
        if not code and not re.match(r":[a-z-]+:(?: |$)|%", row):
            kept.append(row)
    return "\n".join(kept)
