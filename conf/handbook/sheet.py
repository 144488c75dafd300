"""The one sheet: calls and errors, short enough for a printed page.

What stands on it is read from recordings, as in `lookup`; nothing is run.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from docutils import nodes

from handbook import errors, lookup, pages, recordings
from handbook.base import Directive, html, wide
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from handbook.recordings import Event

LINE = re.compile(r"^(?P<lane>\w+) (?P<call>\w+) \| (?P<told>.+)$")
ERRORS_PAGE = "reference/errors"


def waiting_calls(root: Path) -> set[str]:
    """Name the calls that slept in some recorded run."""
    return {
        event["call"]
        for _, recording in recordings.load_all(root)
        for event in recording.events
        if event.get("blocked")
    }


class Calls(Directive):
    """Tell a recorded run call by call.

    Each line of the content is `lane call | what it does`, in the order of the run:
    a call that is missing, or that the run did not make, is refused.
    """

    required_arguments = 1
    has_content = True

    def build(self) -> list[Node]:
        """Make a table: a row for each call, a column for each lane."""
        self.assert_has_content()
        events = self.recording(self.program(self.arguments[0])).events
        lanes = list(dict.fromkeys(event["lane"] for event in events))
        told = [line for line in self.content if line.strip()]
        self._compare(told, events)
        slept = waiting_calls(self.root)
        head = "".join(f'<th scope="col">{escape(lane)}</th>' for lane in lanes)
        made: list[Node] = [
            html(
                wide("Calls in order")
                + f'<table class="docutils sheet-calls"><thead><tr>{head}'
                '<th scope="col">what it does</th><th scope="col">may wait</th>'
                "</tr></thead><tbody>"
            )
        ]
        listening = {e["socket"] for e in events if e["call"] == "listen"}
        for line, event in zip(told, events, strict=True):
            match = LINE.match(line)
            text, _ = self.parse_inline(match["told"] if match else line)
            # close() is of the one socket or the other: say which where both are.
            kind = " (listening)" if event["socket"] in listening else ""
            cells = "".join(
                f"<td><code>{event['call']}()</code>"
                f"{kind if event['call'] == 'close' else ''}</td>"
                if lane == event["lane"]
                else "<td></td>"
                for lane in lanes
            )
            waits = "yes" if event["call"] in slept else ""
            made += [
                html(f"<tr>{cells}<td>"),
                nodes.inline("", "", *text),
                html(f"</td><td>{waits}</td></tr>"),
            ]
        made.append(html("</tbody></table></div>"))
        return made

    def _compare(self, told: list[str], events: Sequence[Event]) -> None:
        made = [f"{event['lane']} {event['call']}" for event in events]
        for at in range(max(len(told), len(made))):
            match = LINE.match(told[at]) if at < len(told) else None
            says = f"{match['lane']} {match['call']}" if match else ""
            run = made[at] if at < len(made) else "nothing more"
            if says != run:
                raise Problem(
                    self.line(1 + at),
                    f"the recorded run of {self.arguments[0]} has {run} here, "
                    f"not {says or 'this'}",
                    f"write '{run} | what it does', in the order of the run",
                )


class ErrorsInShort(Directive):
    """List the errors of the reference: number, text, and the calls that raised it."""

    def build(self) -> list[Node]:
        """Make a list, each entry a link to the long one."""
        numbers, everywhere = errors.numbers(self.root), errors.seen(self.root)
        listed = [
            block.argument
            for page in pages.read_all(self.root)
            if page.docname == ERRORS_PAGE
            for block in page.named("provoked")
        ]
        self.depend(self.root / "docs" / f"{ERRORS_PAGE}.md")
        rows = []
        for name in listed:
            known = numbers.get(name)
            text = f"{known.number} {known.text}" if known else "no number"
            seen = everywhere.get(name, errors.Seen())
            calls = ", ".join(f"{call}()" for call in sorted(seen.calls))
            rows.append(
                f'<li><a href="{self.up}{ERRORS_PAGE}.html#{name}">{name}</a> '
                f"{escape(text)}{f' <span>{calls}</span>' if calls else ''}</li>"
            )
        return [html(f'<ul class="sheet-errors">{"".join(rows)}</ul>')]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.setup_extension(lookup.__name__)
    app.add_directive("calls", Calls)
    app.add_directive("errors-in-short", ErrorsInShort)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
