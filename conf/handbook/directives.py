"""Put programs, recordings, timelines and claims on a page.

The only room that imports Sphinx for content. Nothing is run here: a page is
made from files that `make record` and the tests wrote.
"""

from __future__ import annotations

import hashlib
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.directives.code import CodeBlock
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from handbook import boxes, check, claims, compare, pages, proofs, recordings, timeline
from handbook.problem import Problem
from handbook.snippet import FILES, Snippet, by_id, companions, find
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docutils.nodes import Node, system_message
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata
    from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)

DRIFTING = (
    *check.DRIFTING,
    "lineno-start",
    "start-after",
    "start-at",
    "end-before",
    "end-at",
)
LONG = 60  # lines
HOW_TO_READ = "about/how-to-read.html"


class varies(nodes.inline):  # noqa: N801 - docutils' way of naming nodes
    """A span of an output that differs from run to run."""


def _html(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _text(sentence: str) -> list[nodes.Node]:
    """Turn `code` and calls() in a plain sentence into code."""
    pieces: list[nodes.Node] = []
    last = 0
    for match in re.finditer(r"`([^`]+)`|[a-z_.]+\(\)", sentence):
        pieces.append(nodes.Text(sentence[last : match.start()]))
        code = match[1] or match[0]
        pieces.append(nodes.literal(code, code))
        last = match.end()
    return [*pieces, nodes.Text(sentence[last:])]


class Directive(SphinxDirective):
    """What the handbook's directives share."""

    @property
    def root(self) -> Path:
        """The repository."""
        return Path(self.env.srcdir).parent

    @property
    def up(self) -> str:
        """The way from this page to the site's root."""
        return "../" * self.env.docname.count("/")

    def run(self) -> list[Node]:
        """Build the nodes; a Problem becomes a warning at this line."""
        try:
            return self.build()
        except Problem as problem:
            logger.error(str(problem), location=self.get_location())
            return []

    def build(self) -> list[Node]:
        """Build the nodes."""
        raise NotImplementedError

    def depend(self, *paths: Path) -> None:
        """Rebuild this page when one of these files changes."""
        for path in paths:
            self.env.note_dependency(str(path))

    def program(self, identifier: str) -> Snippet:
        """Read a program by `part/name` and depend on it."""
        # Even if there is none yet: then this page waits for it.
        self.depend(self.root / "snippets" / f"{identifier}.py")
        return by_id(identifier, self.root)

    def recording(self, snippet: Snippet) -> recordings.Recording:
        """Read a program's recording and depend on it."""
        self.depend(*recordings.paths(snippet).values())
        return recordings.load(snippet)

    def claim(self, identifier: str) -> claims.Claim:
        """Find a claim by its id and depend on its test."""
        known, _ = claims.gather(self.root)  # what is wrong the ledger tells
        waiting(self.env, identifier, missing=identifier not in known)
        if identifier not in known:
            near = [name for name in known if name[:4] == identifier[:4]]
            raise Problem(
                ":".join(str(part) for part in self.get_source_info()),
                f"no test claims {identifier}"
                + (f"; near: {', '.join(near)}" if near else ""),
                "name a claim of tests/, or write its test",
            )
        found = known[identifier]
        self.depend(found.path, claims.index(self.root))
        return found

    def tick(self, made: claims.Claim, text: str) -> nodes.reference:
        """Link to a claim's entry in the ledger."""
        return tick(made, text, self.up)

    def nested(self) -> list[Node]:
        """Parse the directive's content."""
        return self.parse_content_to_nodes()


def tick(made: claims.Claim, text: str, up: str) -> nodes.reference:
    """Link to a claim's entry in the ledger."""
    page = claims.ledger_of(made)
    target = f"{up}reference/claims/{page}.html#claim-{made.id}"
    return nodes.reference(
        "", text, refuri=target, classes=["claim-tick"], internal=True
    )


def temporary(env: BuildEnvironment) -> dict[str, Any]:
    """Give the place where things are remembered while one page is read."""
    return env.current_document  # type: ignore[return-value]


def waiting(env: BuildEnvironment, identifier: str, *, missing: bool) -> None:
    """Remember the pages that name a claim which has no test yet."""
    pages_waiting: dict[str, set[str]] = getattr(env, "handbook_waiting", {})
    names = pages_waiting.setdefault(env.docname, set())
    if missing:
        names.add(identifier)
    else:
        names.discard(identifier)
    env.handbook_waiting = pages_waiting  # type: ignore[attr-defined]


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
        **dict.fromkeys(DRIFTING, directives.unchanged),
    }

    def build(self) -> list[Node]:
        """Show the program with its path, download, command and needs."""
        where = ":".join(str(part) for part in self.get_source_info())
        for option in DRIFTING:
            if option in self.options:
                raise Problem(
                    where,
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
                where,
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
        anchor = f"snippet-{snippet.part}-{snippet.name}"
        anchor += "" if fresh else f"-{shown.count(snippet.id)}"
        parts: list[Node] = [_html(boxes.begin(snippet, anchor, extent, self.up))]
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
                _html(
                    '<p class="snippet-elsewhere"><a href="'
                    f'{self.up}{boxes.address(snippet)}">The whole {kind} ({total} '
                    "lines), with its copy button</a></p>"
                )
            )
        elif not whole:
            summary = f"The whole {kind} ({total} lines), which is what the copy button"
            parts += [
                _html(
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
                _html("</details>"),
            ]
        parts.append(_html(boxes.end(snippet)))
        return parts

    def _chosen(self, snippet: Snippet, total: int) -> tuple[int, int, str]:
        """Say which lines the options choose, and what to call them."""
        if "pyobject" in self.options and "region" in self.options:
            raise Problem(
                ":".join(str(part) for part in self.get_source_info()),
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
        lines = snippet.clean.splitlines(keepends=True)[first - 1 : last]
        margin = min((len(r) - len(r.lstrip()) for r in lines if r.strip()), default=0)
        text = "".join(row[margin:] if row.strip() else row for row in lines)
        block = nodes.literal_block(text, text, language=language)
        block["highlight_args"] = {"linenostart": first}
        if anchored:
            block["highlight_args"]["linespans"] = f"{snippet.part}-{snippet.name}"
        self.set_source_info(block)
        if copied:
            return [_html('<div class="copy-source">'), block, _html("</div>")]
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
                ":".join(str(part) for part in self.get_source_info()),
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
        return [_html(f'<div class="recorded">{label}</p>'), block, _html("</div>")]

    def _table(self, snippet: Snippet, text: str) -> list[Node]:
        heads = [head.strip() for head in self.options["table"].split("|")]
        rows = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
        rows = [row for row in rows if len(row) == len(heads) and row != heads]
        if not rows:
            raise Problem(
                ":".join(str(part) for part in self.get_source_info()),
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
            _html(
                '<div class="table-wrapper docutils container" tabindex="0" '
                f'role="region" aria-label="What {snippet.name}.py printed">'
                '<table class="docutils looked-up"><caption>What '
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

        def line(event: recordings.Event) -> int:
            return programs[event.get("program", snippet.id)].clean_line(event["line"])

        def link(event: recordings.Event) -> str:
            shown = programs[event.get("program", snippet.id)]
            page = ""
            if boxes.has_own_page(shown):
                page = f"{self.up}{boxes.address(shown)}"
            return f"{page}#{shown.part}-{shown.name}-{line(event)}"

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
            _html(
                f'<figure class="timeline" id="{id}"><div class="timeline-frame" '
                f'tabindex="0" role="region" aria-label="Timeline of {snippet.name}">'
                f"{drawn.svg}</div><figcaption>"
            ),
            *self.nested(),
            _html(
                (
                    f"<p>Not drawn: the calls of {_listed(left_out)}.</p>"
                    if left_out
                    else ""
                )
                + '<details class="timeline-text"><summary>The same in '
                f"words</summary><ol>{words}</ol></details></figcaption></figure>"
            ),
        ]

    def _asked(self, snippet: Snippet, recording: recordings.Recording) -> list[str]:
        """Say which calls to leave out; Problem if the run is not as the page says."""
        here = ":".join(str(part) for part in self.get_source_info())
        made = {event["call"] for event in recording.events}
        if not made:
            raise Problem(
                here,
                f"{snippet.where} makes no socket call: there is nothing to draw",
                "take the timeline away, or draw another program",
            )
        left_out: list[str] = self.options.get("without", "").replace(",", " ").split()
        for call in left_out:
            if call not in made:
                raise Problem(
                    here,
                    f":without: {call}, which {snippet.where} never calls",
                    "name calls that it makes: " + ", ".join(sorted(made)),
                )
        waited = {event["call"] for event in recording.events if event.get("blocked")}
        for call in self.options.get("waits", "").replace(",", " ").split():
            if call not in waited:
                raise Problem(
                    here,
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
        text = "tested" if made.test else "cited"
        paragraph = nodes.paragraph("", "", *_text(made.sentence), nodes.Text(" "))
        paragraph += self.tick(made, text)
        return [_html('<div class="claim">'), paragraph, _html("</div>")]


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
        quote = nodes.block_quote("", nodes.paragraph("", "", *_text(made.often_said)))
        right = nodes.paragraph(
            "", "", *_text(made.sentence), nodes.Text(" "), classes=["put-right"]
        )
        right += self.tick(made, "tested" if made.test else "cited")
        return [
            _html(
                '<div class="often-said"><p class="often-said-label">'
                "Often said, not so</p>"
            ),
            quote,
            right,
            *(self.nested() if self.content else []),
            _html("</div>"),
        ]


class ClaimRole(SphinxRole):
    """Mark the sentence before it as a claim: a tick that leads to the ledger."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """Make the tick."""
        root = Path(self.env.srcdir).parent
        try:
            made = claims.gather(root)[0].get(self.text)
        except Problem as problem:
            logger.error(str(problem), location=self.get_location())
            return [], []
        waiting(self.env, self.text, missing=made is None)
        if made is None:
            logger.error(
                "no test claims %s\n  To mend it: name a claim of tests/, or write "
                "its test",
                self.text,
                location=self.get_location(),
            )
            return [], []
        for path in (made.path, claims.index(root)):
            self.env.note_dependency(str(path))
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
            _html(
                f'<div class="{self.css}"><p class="{self.css}-label">{self.label}</p>'
            ),
            *self.nested(),
            _html("</div>"),
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
            _html('<details class="answer"><summary>'),
            summary,
            _html("</summary>"),
            *self.nested(),
            _html("</details>"),
            *messages,
        ]


class Fragment(CodeBlock):
    """Stock code-block, which here must say why its code is not a program."""

    option_spec: ClassVar[dict[str, Any]] = {
        **CodeBlock.option_spec,
        "fragment": directives.unchanged_required,
    }


# The ledger


class Ledger(Directive):
    """List the claims of one part, with their proofs and this build's results.

    `tests` names chapters: then the page has the claims of these alone, and the
    part's own page has the others.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"tests": directives.unchanged_required}

    def build(self) -> list[Node]:
        """Give each claim its entry."""
        page = self.env.docname.rpartition("/")[2]
        known = [
            made
            for made in claims.collect(self.root).values()
            if made.part == self.arguments[0] and claims.ledger_of(made) == page
        ]
        if not known:
            raise Problem(
                ":".join(str(part) for part in self.get_source_info()),
                f"no test of the part {self.arguments[0]} claims anything",
                "name a folder of tests/",
            )
        # A page that is new or gone among the others may take or give claims.
        self.depend(*{made.path for made in known}, claims.index(self.root))
        found = claims.results(self.root)
        shown = where_shown(self.root)
        return [
            node
            for made in sorted(known, key=lambda made: made.id)
            for node in self._entry(made, found, shown.get(made.id, []))
        ]

    def _entry(
        self,
        made: claims.Claim,
        found: dict[str, dict[str, Any]],
        chapters: Sequence[tuple[str, str]],
    ) -> list[Node]:
        result = claims.result_of(made, found)
        sentence = nodes.paragraph("", "", *_text(made.sentence), classes=["sentence"])
        outcome, told = "none", "not run for this build"
        if not made.test:
            outcome, told = "cited", "cited, not run"
        elif result is not None:
            outcome = result.outcome
            told = (
                f"{result.outcome} on Python {result.python}, {result.kernel}, "
                f"{result.date}"
            )
        rows = [
            (
                "Result",
                f'<span class="outcome outcome-{outcome}">{escape(told)}</span>',
            ),
            ("Source", escape("; ".join(made.sources))),
        ]
        if made.often_said:
            rows.insert(0, ("Often said, not so", escape(made.often_said)))
        links = ", ".join(
            f'<a href="{self.up}{docname}.html">{escape(title)}</a>'
            for docname, title in chapters
        )
        rows.append(("Shown in", links or "no chapter yet"))
        if made.test:
            proof = (
                f'<a href="{self.up}{proofs.address(made)}">{escape(made.where)}</a>'
            )
            rows.append(("Test", proof))
        table = "".join(
            f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in rows
        )
        entry: list[Node] = [
            _html(
                f'<div class="ledger-entry" id="claim-{made.id}">'
                f'<p class="ledger-id"><a href="#claim-{made.id}">{made.id}</a></p>'
            ),
            sentence,
            _html(f"<dl>{table}</dl>"),
        ]
        entry.append(_html("</div>"))
        return entry


class NotSo(Directive):
    """List the wrong beliefs of one part: each marked as wrong, then put right."""

    required_arguments = 1

    def build(self) -> list[Node]:
        """Give each belief its entry, in the order of the chapters' tests."""
        known = [
            made
            for made in claims.collect(self.root).values()
            if made.part == self.arguments[0] and made.often_said is not None
        ]
        if not known:
            raise Problem(
                ":".join(str(part) for part in self.get_source_info()),
                f"no claim of the part {self.arguments[0]} puts anything right",
                "name a folder of tests/",
            )
        self.depend(*{made.path for made in known}, claims.index(self.root))
        shown = where_shown(self.root)
        return [node for made in known for node in self._entry(made, shown)]

    def _entry(
        self, made: claims.Claim, shown: dict[str, list[tuple[str, str]]]
    ) -> list[Node]:
        right = nodes.paragraph("", "", *_text(made.sentence), nodes.Text(" "))
        right["classes"].append("put-right")
        right += self.tick(made, "tested" if made.test else "cited")
        for docname, title in shown.get(made.id, [])[:1]:
            right += nodes.Text(" ")
            right += nodes.reference(
                "", title, refuri=f"{self.up}{docname}.html", internal=True
            )
        return [
            _html(
                f'<div class="often-said" id="not-so-{made.id}">'
                '<p class="often-said-label">Not so</p>'
            ),
            nodes.block_quote(
                "", nodes.paragraph("", "", *_text(made.often_said or ""))
            ),
            right,
            _html("</div>"),
        ]


class LedgerSummary(Directive):
    """Count the claims, by part and by result."""

    def build(self) -> list[Node]:
        """Make the table of totals."""
        known = claims.collect(self.root)
        self.depend(*{made.path for made in known.values()})
        found = claims.results(self.root)
        shown = where_shown(self.root)
        heads = ("Part", "Claims", "Passed", "Failed", "Not run", "Cited", "Put right")
        rows = []
        totals = [0] * 6
        for part in dict.fromkeys(made.part for made in known.values()):
            mine = [made for made in known.values() if made.part == part]
            outcomes = [
                "cited" if not made.test else _outcome(claims.result_of(made, found))
                for made in mine
            ]
            numbers = [
                len(mine),
                outcomes.count("passed"),
                outcomes.count("failed"),
                outcomes.count("none") + outcomes.count("skipped"),
                outcomes.count("cited"),
                sum(1 for made in mine if made.often_said),
            ]
            totals = [a + b for a, b in zip(totals, numbers, strict=True)]
            link = f'<a href="{part}.html">{escape(part)}</a>'
            rows.append([link, *map(str, numbers)])
        rows.append(["all", *map(str, totals)])
        body = "".join(
            "<tr>"
            + "".join(
                f'<th scope="row">{cell}</th>' if index == 0 else f"<td>{cell}</td>"
                for index, cell in enumerate(row)
            )
            + "</tr>"
            for row in rows
        )
        head = "".join(f'<th scope="col">{name}</th>' for name in heads)
        told = claims.told(self.root)
        missing = [identifier for identifier in told if identifier not in known]
        promise = (
            f"<p>{totals[0]} claims: {totals[0] - totals[4]} tested, {totals[4]} "
            f"cited. Of {len(told)} sentences that people who learn sockets are told, "
            f"true or not, each has its claim here; not yet: "
            f"{', '.join(missing) or 'none'}.</p>"
        )
        unseen = sum(1 for identifier in known if identifier not in shown)
        note = f"<p>{unseen} of them stand on no chapter yet.</p>" if unseen else ""
        read = pages.read_all(self.root)
        fragments = sum("fragment" in b.options for page in read for b in page.blocks)
        note += (
            f"<p>Beside them: {len(find(self.root))} programs, each run and compared "
            f"with its recording by the tests. Fragments of code on the pages that no "
            f"test runs: {fragments}.</p>"
        )
        return [
            _html(
                f'{promise}<div class="table-wrapper docutils container" '
                'tabindex="0" role="region" aria-label="Claims by part">'
                '<table class="docutils ledger-totals"><thead><tr>'
                f"{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
            )
        ]


def _outcome(result: claims.Result | None) -> str:
    return "none" if result is None else result.outcome


def where_shown(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Say which pages show each claim: (docname, title)."""
    shown: dict[str, list[tuple[str, str]]] = {}
    for page in pages.read_all(root):
        if page.docname in pages.BRIEF:
            continue  # it repeats what a chapter shows
        title = page.headings[0].text if page.headings else page.docname
        for _, identifier in pages.claims_shown(page):
            entry = (page.docname, title)
            if entry not in shown.setdefault(identifier, []):
                shown[identifier].append(entry)
    return shown


def ledger_outdated(
    app: Sphinx,
    env: BuildEnvironment,
    added: set[str],
    changed: set[str],
    removed: set[str],
) -> list[str]:
    """Rebuild the ledger when a claim, a result or a page that shows one changed."""
    del added, changed, removed
    root = Path(app.srcdir).parent
    state = hashlib.sha256()
    try:
        known = claims.collect(root)
    except Problem as problem:
        logger.error(str(problem))
        return []
    for identifier, made in known.items():
        state.update(f"{identifier} {made.fingerprint} {made.where}".encode())
    state.update(repr(sorted(where_shown(root).items())).encode())
    state.update(repr(sorted(claims.results(root).items())).encode())
    before = getattr(env, "handbook_ledger", None)
    env.handbook_ledger = state.hexdigest()  # type: ignore[attr-defined]
    waits = [
        docname
        for docname, names in getattr(env, "handbook_waiting", {}).items()
        if names and docname in env.found_docs
    ]
    if before == state.hexdigest():
        return waits
    ledger = [name for name in env.found_docs if name.startswith("reference/claims/")]
    return waits + ledger


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
            snippet = read_snippet(path, root)
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
    app.add_directive("ledger", Ledger)
    app.add_directive("not-so", NotSo)
    app.add_directive("ledger-summary", LedgerSummary)
    app.add_role("claim", ClaimRole())
    app.connect("env-get-outdated", ledger_outdated)
    app.connect("build-finished", write_programs)
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
