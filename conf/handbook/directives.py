"""Put programs, recordings, timelines and claims on a page."""

from __future__ import annotations

import hashlib
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.code import CodeBlock
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from handbook import base, boxes, compare, pages, timeline
from handbook.base import Directive, find_claim, html, sentence, temporary, tick, wide
from handbook.needs import FILES
from handbook.problem import Problem
from handbook.snippet import Snippet
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docutils.nodes import Node, system_message
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata
    from sphinx.writers.html5 import HTML5Translator

    from handbook.recordings import Event, Recording

logger = logging.getLogger(__name__)

LONG = 60  # lines
HOW_TO_READ = "about/how-to-read.html"


class varies(nodes.inline):  # noqa: N801 - docutils' way of naming nodes
    """A span of an output that differs from run to run."""


class LiteralInclude(Directive):
    """Show a program of `snippets/`, whole or a named piece of it.

    Line numbers drift, so they select nothing here: use `:pyobject:`, or
    `:region:` for what stands between `# [name]` and `# [/name]`. An excerpt brings
    the whole program with it, for the copy button, unless that has its own page.
    """

    required_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {
        "pyobject": directives.unchanged_required,
        "region": directives.unchanged_required,
        "language": directives.unchanged_required,
        **dict.fromkeys(pages.DRIFTING, directives.unchanged),
    }

    def build(self) -> list[Node]:
        """Show the program with its path, download, command and needs."""
        for option in pages.DRIFTING:
            if option in self.options:
                raise Problem(
                    self.here,
                    f":{option}: selects by something that drifts",
                    "use :pyobject: name, or :region: name with '# [name]' and "
                    "'# [/name]' around the lines",
                )
        path = Path(self.env.relfn2path(self.arguments[0])[1]).resolve()
        self.depend(path)
        if (
            not path.is_file()
            or path.parent.parent != self.root / "snippets"
            or path.suffix not in {".py", *FILES}
        ):
            raise Problem(
                self.here,
                f"{self.arguments[0]} is no program of snippets/",
                "name a file there, by its path from this page",
            )
        snippet = read_snippet(path, self.root)
        total = len(snippet.clean.splitlines())
        first, last, extent = self._chosen(snippet, total)
        whole = (first, last) == (1, total)
        language = FILES.get(path.suffix, "python")
        language = self.options.get("language", language)  # of a script in a page
        kind = boxes.kind(snippet)
        if whole:
            extent = f"whole {kind}"
        shown: list[str] = temporary(self.env).setdefault("handbook-shown", [])
        shown.append(snippet.id)
        fresh = shown.count(snippet.id) == 1
        anchor = boxes.anchor(snippet.id)
        anchor += "" if fresh else f"-{shown.count(snippet.id)}"
        parts: list[Node] = [html(boxes.begin(snippet, anchor, extent, self.up))]
        if whole:
            parts += self._code(
                snippet, 1, total, copied=True, anchored=fresh, language=language
            )
        else:
            parts += self._code(
                snippet, first, last, copied=False, anchored=False, language=language
            )
        if not whole and boxes.has_own_page(snippet):
            parts.append(
                html(
                    '<p class="snippet-elsewhere"><a href="'
                    f'{self.up}{boxes.address(snippet)}">The whole {kind} ({total} '
                    "lines), with its copy button</a></p>"
                )
            )
        elif not whole:
            summary = f"The whole {kind} ({total} lines), which is what the copy button"
            parts += [
                html(
                    f'<details class="snippet-whole"><summary>{summary} gives</summary>'
                ),
                *self._code(
                    snippet,
                    1,
                    total,
                    copied=True,
                    anchored=fresh,
                    # Colours double the weight of a long program that few unfold.
                    language=FILES.get(path.suffix, "python")
                    if total <= LONG
                    else "text",
                ),
                html("</details>"),
            ]
        parts.append(html(boxes.end(snippet)))
        return parts

    def _chosen(self, snippet: Snippet, total: int) -> tuple[int, int, str]:
        """Say which lines the options choose, and what to call them."""
        if "pyobject" in self.options and "region" in self.options:
            raise Problem(
                self.here,
                ":pyobject: and :region: exclude each other",
                "keep one of them",
            )
        if "pyobject" in self.options:
            name = self.options["pyobject"]
            return *snippet.pyobject(name), f"excerpt: {name}()"
        if "region" in self.options:
            first, last = snippet.region(self.options["region"])
            return first, last, f"excerpt: lines {first} to {last}"
        return 1, total, ""

    def _code(
        self,
        snippet: Snippet,
        first: int,
        last: int,
        *,
        copied: bool,
        anchored: bool,
        language: str,
    ) -> list[Node]:
        text = snippet.excerpt(first, last)
        block = nodes.literal_block(text, text, language=language)
        block["highlight_args"] = {"linenostart": first}
        if anchored:
            block["highlight_args"]["linespans"] = boxes.lines(snippet)
        self.set_source_info(block)
        if copied:
            return [html('<div class="copy-source">'), block, html("</div>")]
        return [block]


class Recorded(Directive):
    """Show what a program printed when it was recorded.

    With `table`, as a table: a row for each line, whose columns stand two spaces
    or more apart, under the heads that the option gives. Lines with other
    columns than that are left out, and so is a line with those very heads.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "role": directives.unchanged_required,
        "table": directives.unchanged_required,
    }

    def build(self) -> list[Node]:
        """Show the transcript, with what varies marked, or as a table."""
        snippet = self.program(self.arguments[0])
        recording = self.recording(snippet)
        role = self.options.get("role", "")
        if role not in recording.transcripts:
            have = ", ".join(name for name in recording.transcripts if name)
            raise Problem(
                self.here,
                f"the recording of {snippet.id} has "
                + (f"the roles {have}" if have else "one role, without a name"),
                "write :role: with one of them" if have else "take :role: away",
            )
        text = recording.transcripts[role]
        if "table" in self.options:
            return self._table(snippet, text)
        marks = compare.marks(text, recording, snippet.varies)
        block = transcript(text, text)
        block.clear()
        last = 0
        for mark in marks:
            block += nodes.Text(text[last : mark.start])
            block += varies("", text[mark.start : mark.end], title=mark.why)
            last = mark.end
        block += nodes.Text(text[last:])
        who = f"What the {role} printed" if role else "What it printed"
        label = (
            f'<p class="recorded-label">{who} '
            f'<a class="mark" href="{self.up}{HOW_TO_READ}#recorded">recorded</a>'
        )
        if marks:
            label += (
                f' <a class="mark mark-varies" href="{self.up}{HOW_TO_READ}#varies">'
                "marked: differs each run</a>"
            )
        return [html(f'<div class="recorded">{label}</p>'), block, html("</div>")]

    def _table(self, snippet: Snippet, text: str) -> list[Node]:
        heads = [head.strip() for head in self.options["table"].split("|")]
        rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
        rows = [row for row in rows if len(row) == len(heads) and row != heads]
        if not rows:
            raise Problem(
                self.here,
                f"no line of {snippet.id} has {len(heads)} columns",
                "name a head for each column; in the output two spaces part them",
            )
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
        body = "".join(
            f'<tr><th scope="row"><code>{escape(row[0])}</code></th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        return [
            html(
                wide(f"What {snippet.name}.py printed")
                + '<table class="docutils looked-up"><caption>What '
                f"<code>{snippet.where}</code> printed, "
                f'<a class="mark" href="{self.up}{HOW_TO_READ}#recorded">recorded</a>'
                f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
                "</table></div>"
            )
        ]


class transcript(nodes.literal_block):  # noqa: N801
    """A recorded output."""


def _listed(calls: Sequence[str]) -> str:
    """Write calls as a list in a sentence."""
    names = [f"<code>{call}()</code>" for call in calls]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


class TimelineDirective(Directive):
    """Draw a program's recording; the content is the caption.

    `without` leaves calls out; `waits` names calls that the caption says waited,
    which is then asked of the recording: two runs may differ in it.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {
        "without": directives.unchanged_required,
        "waits": directives.unchanged_required,
    }

    def build(self) -> list[Node]:
        """Draw the picture, and say the same in words."""
        snippet = self.program(self.arguments[0])
        recording = self.recording(snippet)
        self.assert_has_content()
        drawn_here: list[str] = temporary(self.env).setdefault("handbook-drawn", [])
        drawn_here.append(snippet.recording)
        id = "tl-" + snippet.recording.replace("/", "-").replace("_", "-")  # noqa: A001
        if drawn_here.count(snippet.recording) > 1:
            id += f"-{drawn_here.count(snippet.recording)}"  # noqa: A001
        programs = {snippet.id: snippet}
        for event in recording.events:
            other = event.get("program")
            if other and other not in programs:
                programs[other] = self.program(other)

        def line(event: Event) -> int:
            return programs[event.get("program", snippet.id)].clean_line(event["line"])

        def link(event: Event) -> str:
            shown = programs[event.get("program", snippet.id)]
            return boxes.line_address(shown, line(event), self.up)

        left_out = self._asked(snippet, recording)
        drawn = timeline.draw(
            recording,
            title=f"Timeline of {snippet.where}",
            without=frozenset(left_out),
            link=link,
            line=line,
            id=id,
        )
        words = "".join(
            f'<li><a href="{escape(address)}">Line {number}</a>: {escape(said)}</li>'
            if number
            else f"<li>{escape(said)}</li>"
            for number, said, address in drawn.words
        )
        return [
            html(
                f'<figure class="timeline" id="{id}"><div class="timeline-frame" '
                f'tabindex="0" role="region" aria-label="Timeline of {snippet.name}">'
                f"{drawn.svg}</div><figcaption>"
            ),
            *self.nested(),
            html(
                (
                    f"<p>Not drawn: the calls of {_listed(left_out)}.</p>"
                    if left_out
                    else ""
                )
                + '<details class="timeline-text"><summary>The same in '
                f"words</summary><ol>{words}</ol></details></figcaption></figure>"
            ),
        ]

    def _asked(self, snippet: Snippet, recording: Recording) -> list[str]:
        """Say which calls to leave out; Problem if the run is not as the page says."""
        made = {event["call"] for event in recording.events}
        if not made:
            raise Problem(
                self.here,
                f"{snippet.where} makes no socket call: there is nothing to draw",
                "take the timeline away, or draw another program",
            )
        left_out: list[str] = self.options.get("without", "").replace(",", " ").split()
        for call in left_out:
            if call not in made:
                raise Problem(
                    self.here,
                    f":without: {call}, which {snippet.where} never calls",
                    "name calls that it makes: " + ", ".join(sorted(made)),
                )
        waited = {event["call"] for event in recording.events if event.get("blocked")}
        for call in self.options.get("waits", "").replace(",", " ").split():
            if call not in waited:
                raise Problem(
                    self.here,
                    f":waits: {call}, which did not wait in the recorded run of "
                    f"{snippet.where}",
                    "let the program make it wait; or delete the recording and "
                    f"record again until it shows: make record S={snippet.id}",
                )
        return left_out


class ClaimDirective(Directive):
    """State a claim: its sentence, with the mark that leads to its proof."""

    required_arguments = 1

    def build(self) -> list[Node]:
        """Set the sentence apart."""
        made = self.claim(self.arguments[0])
        paragraph = nodes.paragraph("", "", *sentence(made.sentence), nodes.Text(" "))
        paragraph += self.tick(made)
        return [html('<div class="claim">'), paragraph, html("</div>")]


class OftenSaid(Directive):
    """Mark a wrong belief as wrong, then put it right; content may say more."""

    required_arguments = 1
    has_content = True

    def build(self) -> list[Node]:
        """Say that it is wrong before it is said."""
        made = self.claim(self.arguments[0])
        if made.often_said is None:
            raise Problem(
                made.where,
                f"the claim {made.id} has no wrong wording to show",
                'add often_said="…" to its decorator, or use {claim}',
            )
        quote = nodes.block_quote(
            "", nodes.paragraph("", "", *sentence(made.often_said))
        )
        return [
            html(
                '<div class="often-said"><p class="often-said-label">'
                "Often said, not so</p>"
            ),
            quote,
            self.put_right(made),
            *(self.nested() if self.content else []),
            html("</div>"),
        ]


class ClaimRole(SphinxRole):
    """Mark the sentence before it as a claim: a tick that leads to the ledger."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """Make the tick."""
        source, line = self.get_source_info()
        try:
            made = find_claim(self.env, self.text, f"{source}:{line}")
        except Problem as problem:
            logger.error(str(problem), location=self.get_location())
            return [], []
        reference = tick(made, "✓", "../" * self.env.docname.count("/"))
        reference["reftitle"] = "Tested" if made.test else "Cited"
        return [reference], []


class Boxed(Directive):
    """A labelled piece of a chapter; its content is Markdown."""

    has_content = True
    css: ClassVar[str]
    label: ClassVar[str]

    def build(self) -> list[Node]:
        """Label the content."""
        self.assert_has_content()
        return [
            html(
                f'<div class="{self.css}"><p class="{self.css}-label">{self.label}</p>'
            ),
            *self.nested(),
            html("</div>"),
        ]


class Notice(Boxed):
    """Two to four lines that point at words of the output above."""

    css = "notice"
    label = "What to notice"


class Platforms(Boxed):
    """Where Linux, macOS and Windows differ."""

    css = "platforms"
    label = "Other systems"


class Answer(Directive):
    """A question to check oneself with, its answer folded."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def build(self) -> list[Node]:
        """Fold the answer under its question."""
        self.assert_has_content()
        question, messages = self.parse_inline(self.arguments[0])
        summary = nodes.inline("", "", *question)
        return [
            html('<details class="answer"><summary>'),
            summary,
            html("</summary>"),
            *self.nested(),
            html("</details>"),
            *messages,
        ]


class Fragment(CodeBlock):
    """Stock code-block, which here must say why its code is not a program."""

    option_spec: ClassVar[dict[str, Any]] = {
        **CodeBlock.option_spec,
        "fragment": directives.unchanged_required,
    }


def _visit_varies(self: HTML5Translator, node: varies) -> None:
    self.body.append(
        self.starttag(node, "span", "", CLASS="varies", title=node["title"])
    )


def _depart_varies(self: HTML5Translator, node: varies) -> None:
    del node
    self.body.append("</span>")


def _visit_transcript(self: HTML5Translator, node: transcript) -> None:
    del node
    self.body.append(
        '<div class="highlight-text notranslate"><div class="highlight"><pre>'
    )


def _depart_transcript(self: HTML5Translator, node: transcript) -> None:
    del node
    self.body.append("</pre></div></div>\n")


def _nothing(self: object, node: Node) -> None:
    """Let other builders treat the node as its text."""


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.setup_extension(base.__name__)
    plain = (_nothing, _nothing)
    app.add_node(
        varies,
        html=(_visit_varies, _depart_varies),
        text=plain,
        latex=plain,
        man=plain,
        texinfo=plain,
    )
    app.add_node(
        transcript,
        html=(_visit_transcript, _depart_transcript),
        text=plain,
        latex=plain,
        man=plain,
        texinfo=plain,
    )
    app.add_directive("literalinclude", LiteralInclude, override=True)
    app.add_directive("code-block", Fragment, override=True)
    app.add_directive("recorded", Recorded)
    app.add_directive("timeline", TimelineDirective)
    app.add_directive("claim", ClaimDirective)
    app.add_directive("often-said", OftenSaid)
    app.add_directive("notice", Notice)
    app.add_directive("platforms", Platforms)
    app.add_directive("answer", Answer)
    app.add_role("claim", ClaimRole())
    made_of = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        made_of.update(path.read_bytes())
    app.add_config_value("handbook_machinery", made_of.hexdigest(), "env", str)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
