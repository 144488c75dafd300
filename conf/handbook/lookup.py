"""What a page looks up in the recordings: errors, measurements, ranges of numbers.

Like all directives, these run nothing.
"""

from __future__ import annotations

import functools
import hashlib
import re
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives

from handbook import boxes, charts, errors, memory, pages, states
from handbook.base import Directive, html
from handbook.problem import Problem
from handbook.snippet import by_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

RANGE = re.compile(r"^(?P<first>\d+)-(?P<last>\d+)$")
PIECE = re.compile(r"\\\{(first|last|next)\\\}")


class Provoked(Directive):
    """Say how an error reads, which calls raised it, and which programs provoke it.

    `not-provoked` gives the reason why no program does; a program that does
    makes the page say otherwise, so it is refused then.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "not-provoked": directives.unchanged_required
    }

    def build(self) -> list[Node]:
        """Put it all into a short list."""
        name = self.arguments[0]
        numbers, everywhere, where = _state(self.root)
        seen = everywhere.get(name, errors.Seen())
        reason = self.options.get("not-provoked")
        if bool(seen.programs) == bool(reason):
            raise Problem(
                self.here,
                f"{name} is provoked by {', '.join(sorted(seen.programs))}"
                if seen.programs
                else f"no recorded program provokes {name}",
                "take :not-provoked: away"
                if seen.programs
                else "write one, or say why not: ':not-provoked: why'",
            )
        if name in numbers:
            texts = [numbers[name].shown]
        elif name.startswith("E"):
            raise Problem(
                self.here,
                f"{errors.NUMBERS} prints no {name}",
                f"add it to the names in snippets/{errors.NUMBERS}.py and record",
            )
        else:
            texts = sorted(seen.texts)
        shown = "<br>".join(  # what is pasted into the search
            f'<code data-pagefind-weight="9">{escape(text)}</code>' for text in texts
        )
        rows = [("Reads", shown)] if shown else []
        if seen.calls:
            calls = ", ".join(f"<code>{call}()</code>" for call in sorted(seen.calls))
            rows.append(("Raised by", calls))
        programs = self._programs(seen, where)
        rows.append(
            (
                "Provoked by",
                f'<span data-pagefind-ignore="">{programs}</span>'
                if programs
                else escape(reason or ""),
            )
        )
        told = "".join(
            f"<div><dt>{key}</dt> <dd>{value}</dd></div>" for key, value in rows
        )
        return [html(f'<dl class="looked-up" id="{name}">{told}</dl>')]

    def _programs(self, seen: errors.Seen, where: dict[str, tuple[str, str]]) -> str:
        links = []
        for program in sorted(
            seen.programs & where.keys(), key=lambda name: (name in seen.inside, name)
        ):
            docname, short = where[program]
            name = program.partition("/")[2]
            links.append(
                f'<a href="{self.up}{docname}.html#{boxes.anchor(program)}">'
                f"<code>{name}.py</code></a> in {escape(short)}"
                + (", inside a library" if program in seen.inside else "")
            )
        return "<br>".join(links)


State = tuple[
    dict[str, errors.Named], dict[str, errors.Seen], dict[str, tuple[str, str]]
]


def _state(root: Path) -> State:
    """Give the errnos, where each was seen, and on which page each program stands.

    Read again only when a file that it rests on has changed.
    """
    rests_on = [*root.glob("snippets/*/*.py"), *root.glob("snippets/*/recorded/*")]
    rests_on += root.glob("docs/**/*.md")
    about = tuple((path, path.stat().st_mtime_ns) for path in sorted(rests_on))
    return _read_state(root, about)


@functools.lru_cache(maxsize=1)
def _read_state(root: Path, _about: tuple[tuple[Path, int], ...]) -> State:
    where: dict[str, tuple[str, str]] = {}
    for page in pages.read_all(root):
        for _, program in pages.included(root, page):
            where.setdefault(program, (page.docname, page.short))
    return errors.numbers(root), errors.seen(root), where


def outdated(root: Path, env: BuildEnvironment) -> list[str]:
    """Rebuild the pages that list errors when a run met another one, or elsewhere."""
    known, files = memory.of(env), memory.state_of(root)
    if known.files.get("errors") == files:
        return []
    listing = [
        p.docname
        for p in pages.read_all(root)
        if p.named("provoked", "errors-in-short")
    ]
    if not listing:
        known.files["errors"] = files
        return []
    numbers, everywhere, where = _state(root)
    parts = [
        f"{name} {sorted(seen.texts)} {sorted(seen.calls)} "
        + " ".join(f"{each}:{where.get(each)}" for each in sorted(seen.programs))
        + f" {sorted(seen.inside)}"
        for name, seen in sorted(everywhere.items())
    ]
    state = hashlib.sha256(repr((parts, sorted(numbers))).encode()).hexdigest()
    before, known.errors = known.errors, state
    known.files["errors"] = files
    return [] if before == state else [d for d in listing if d in env.found_docs]


class Chart(Directive):
    """Draw what a program measured, from its recording; the content is the caption."""

    required_arguments = 1
    has_content = True

    def build(self) -> list[Node]:
        """Draw each row's median and spread."""
        self.assert_has_content()
        snippet = self.program(self.arguments[0])
        recording = self.recording(snippet)
        rows = charts.measures("\n".join(recording.transcripts.values()))
        try:
            svg = charts.spreads(rows, f"What {snippet.where} measured") if rows else ""
        except ValueError as error:
            raise Problem(
                snippet.where,
                f"a row is not 'lowest to highest' around its median: {error}",
                f"mend what it prints, then: make record S={snippet.id}",
            ) from error
        if not svg:
            raise Problem(
                self.here,
                f"{snippet.where} printed no row that can be drawn",
                "print 'what  way  5.9 us  5.5 to 23.2', two spaces between columns",
            )
        return _figure(svg, self.nested())


class NumberLine(Directive):
    """Draw ranges of numbers; see docs/about/the-form.md for the form of its lines."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def build(self) -> list[Node]:
        """Read the bands, some of them from recordings, and draw them."""
        self.assert_has_content()
        bands = []
        for offset, line in enumerate(self.content):
            if line.strip():
                bands.append(self._band(line, offset))
        try:
            svg = charts.number_line(bands, self.arguments[0])
        except ValueError as error:
            raise Problem(
                self.here,
                str(error),
                "give each band of a column its own numbers, 'first-last'",
            ) from error
        words = "; ".join(
            f"{band.column}, {band.name}: {band.first} to {band.last}" for band in bands
        )
        caption = nodes.paragraph("", f"{self.arguments[0]}. In words: {words}.")
        return _figure(svg, [caption])

    def _band(self, line: str, offset: int) -> charts.Band:
        pieces = [piece.strip() for piece in line.split("|")]
        span = RANGE.match(pieces[-1])
        if len(pieces) == 3 and span:
            column, name = pieces[:2]
            return charts.Band(column, name, int(span["first"]), int(span["last"]))
        if len(pieces) != 4:
            raise Problem(
                self.line(1 + offset),
                f"no band: {line!r}",
                "write 'column | name | first-last', or 'column | name | part/program "
                "| words {first} to {last}' to take the numbers from a recording",
            )
        column, name, program, template = pieces
        snippet = by_id(program, self.root)
        recording = self.recording(snippet)
        pattern = PIECE.sub(r"(?P<\1>\\d+)", re.escape(template))
        found = re.search(pattern, "\n".join(recording.transcripts.values()))
        if found is None:
            raise Problem(
                self.line(1 + offset),
                f"{snippet.where} printed nothing like {template!r}",
                "write the words as it prints them",
            )
        told = {key: int(value) for key, value in found.groupdict().items()}
        last = told.get("last", told.get("next", 65536) - 1)
        return charts.Band(column, name, told.get("first", 0), last)


class StateMachine(Directive):
    """Draw TCP's states with the arrows that programs of this page took.

    `programs` names them, `part/name`, with spaces between; the content is the
    caption.
    """

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"programs": directives.unchanged_required}

    def build(self) -> list[Node]:
        """Draw it, and list each arrow with the lines that took it."""
        self.assert_has_content()
        names = self.options.get("programs", "").split()
        snippets = {name: self.program(name) for name in names}

        def link(step: states.Step) -> str:
            shown = snippets[step.snippet]
            line = shown.clean_line(step.event["line"])
            return boxes.line_address(shown, line, self.up)

        try:
            machine = states.draw(
                [self.recording(snippet) for snippet in snippets.values()],
                title="The states of TCP, and what led from one to another",
                link=link,
            )
        except ValueError as error:
            raise Problem(
                self.here,
                str(error),
                "name programs of one thread whose states the page is of",
            ) from error
        words = "".join(
            f"<li>{before} to {'CLOSED' if after == 'GONE' else after}: "
            + ", ".join(
                f'<a href="{link(step)}">{step.call} in '
                f"{snippets[step.snippet].name}.py</a>"
                for step in _first_of_each(made)
            )
            + "</li>"
            for before, after, made in machine.arrows
        )
        words = (
            '<details class="timeline-text"><summary>The same in words</summary>'
            f"<ul>{words}</ul></details>"
        )
        return [
            *_figure(machine.svg, self.nested())[:-1],
            html(f"{words}</figcaption></figure>"),
        ]


def _first_of_each(made: Sequence[states.Step]) -> list[states.Step]:
    """Keep one step for each program and call."""
    return list({(step.snippet, step.call): step for step in reversed(made)}.values())


def _figure(svg: str, caption: list[Node]) -> list[Node]:
    return [
        html(
            f'<figure class="chart"><div class="timeline-frame">{svg}</div><figcaption>'
        ),
        *caption,
        html("</figcaption></figure>"),
    ]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_directive("provoked", Provoked)
    app.add_directive("chart", Chart)
    app.add_directive("number-line", NumberLine)
    app.add_directive("state-machine", StateMachine)
    memory.read_again(app, outdated)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
