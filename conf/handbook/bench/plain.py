"""The floor of the cold build: the chapters as Markdown that bare Sphinx can read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from handbook import catalogue, claims, pages, recordings, timeline
from handbook.needs import FILES
from handbook.problem import Problem, place
from handbook.snippet import by_id
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from markdown_it.token import Token

Body = Callable[["Block"], str]


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
            "not-so": self._not_so,
            "ledger": self._ledger,
            "ledger-summary": self._ledger_summary,
            "calls": self._nested,
            "errors-in-short": lambda _: "",  # looked up: the floor has none
            "catalogue": lambda _: self._programs(catalogue.entries(self.root)),
            "files": lambda block: self._programs(
                each
                for each in catalogue.entries(self.root)
                if each.id in block.argument.split()
            ),
            "tested": lambda block: prose(block.argument) + "\n",
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
        options, body = pages.parted(token.content)
        block = Block(page, match["argument"].strip(), options, body)
        if match["name"] in self.written:
            text = "\n" + self.written[match["name"]](block).strip("\n") + "\n\n"
        else:
            kept = token.content.removesuffix(body) + self._nested(block)
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
            text += (
                fence(language, snippet.excerpt(first, last))
                + f"\nThe whole program ({len(rows)} "
            )
            text += "lines), which is what the copy button gives\n\n"
        text += fence(FILES.get(snippet.path.suffix, "python"), snippet.clean)
        text += f"\n`python {snippet.where}`"
        if snippet.needs:
            text += " Needs: " + prose(", ".join(snippet.needs))
        return text + "\n"

    def _recorded(self, block: Block) -> str:
        snippet = by_id(block.argument, self.root)
        role = block.options.get("role", "")
        text = recordings.load(snippet).transcripts[role]
        who = f"What the {role} printed" if role else "What it printed"
        return f"{who}: recorded\n\n" + fence("text", text)

    def _timeline(self, block: Block) -> str:
        snippet = by_id(block.argument, self.root)
        left_out = block.options.get("without", "").replace(",", " ").split()
        programs = {snippet.id: snippet}

        def line(event: recordings.Event) -> int:
            name = event.get("program", snippet.id)
            program = programs.setdefault(name, by_id(name, self.root))
            return program.clean_line(event["line"])

        drawn = timeline.draw(
            recordings.load(snippet),
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
            where = place(self.root, block.page)
            raise claims.unknown(block.argument, self.claims, where)
        return self.claims[block.argument]

    def _often_said(self, block: Block) -> str:
        made = self._claim(block)
        return (
            f"Often said, not so\n\n> {prose(made.often_said or '')}\n\n"
            f"{prose(made.sentence)}\n\n" + self._nested(block)
        )

    def _not_so(self, block: Block) -> str:
        return "".join(
            f"Not so\n\n> {prose(made.often_said)}\n\n{prose(made.sentence)}\n\n"
            for made in self.claims.values()
            if made.part == block.argument and made.often_said
        )

    def _ledger(self, block: Block) -> str:
        results = claims.results(self.root)
        shown = pages.where_shown(self.root)
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
            where = [page.title for page in shown.get(made.id, [])]
            text += f"- Shown in: {prose(', '.join(where or ['no chapter yet']))}\n\n"
            if made.test:
                # We show it on a page of its own; the floor has no such pages.
                text += f"The test: `{made.where}`\n\n" + fence("python", made.code)
                text += "\n"
        return text

    def _programs(self, listed: Iterable[catalogue.Entry]) -> str:
        return "".join(
            f"- `{each.file}` {prose(each.shows)} {each.lines} lines. "
            f"{prose(', '.join(each.needs))}\n"
            for each in listed
        )

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
