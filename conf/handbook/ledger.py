"""The ledger: every claim with its proof, and every wrong belief put right.

Its pages speak of the claims of whole parts, so they are read again when a claim, a
result or a page that shows one has changed.
"""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives

from handbook import claims, memory, pages, source_pages
from handbook.base import Directive, html, sentence, wide
from handbook.problem import Problem
from handbook.snippet import find

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata


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
                self.here,
                f"no test of the part {self.arguments[0]} claims anything",
                "name a folder of tests/",
            )
        # A page that is new or gone among the others may take or give claims.
        self.depend(*{made.path for made in known}, claims.index(self.root))
        found = claims.results(self.root)
        shown = pages.where_shown(self.root)
        return [
            node
            for made in sorted(known, key=lambda made: made.id)
            for node in self._entry(made, found, shown.get(made.id, []))
        ]

    def _entry(
        self,
        made: claims.Claim,
        found: dict[str, dict[str, Any]],
        chapters: Sequence[pages.Page],
    ) -> list[Node]:
        result = claims.result_of(made, found)
        says = nodes.paragraph("", "", *sentence(made.sentence), classes=["sentence"])
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
            f'<a href="{self.up}{page.docname}.html">{escape(page.title)}</a>'
            for page in chapters
        )
        rows.append(("Shown in", links or "no chapter yet"))
        if made.test:
            proof = f"{self.up}{source_pages.address(made)}"
            rows.append(("Test", f'<a href="{proof}">{escape(made.where)}</a>'))
        table = "".join(
            f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in rows
        )
        entry: list[Node] = [
            html(
                f'<div class="ledger-entry" id="claim-{made.id}">'
                f'<p class="ledger-id"><a href="#claim-{made.id}">{made.id}</a></p>'
            ),
            says,
            html(f"<dl>{table}</dl>"),
        ]
        entry.append(html("</div>"))
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
                self.here,
                f"no claim of the part {self.arguments[0]} puts anything right",
                "name a folder of tests/",
            )
        self.depend(*{made.path for made in known}, claims.index(self.root))
        shown = pages.where_shown(self.root)
        return [node for made in known for node in self._entry(made, shown)]

    def _entry(
        self, made: claims.Claim, shown: dict[str, list[pages.Page]]
    ) -> list[Node]:
        right = self.put_right(made)
        for page in shown.get(made.id, [])[:1]:
            right += nodes.Text(" ")
            right += nodes.reference(
                "", page.title, refuri=f"{self.up}{page.docname}.html", internal=True
            )
        return [
            html(
                f'<div class="often-said" id="not-so-{made.id}">'
                '<p class="often-said-label">Not so</p>'
            ),
            nodes.block_quote(
                "", nodes.paragraph("", "", *sentence(made.often_said or ""))
            ),
            right,
            html("</div>"),
        ]


class LedgerSummary(Directive):
    """Count the claims, by part and by result."""

    def build(self) -> list[Node]:
        """Make the table of totals."""
        known = claims.collect(self.root)
        self.depend(*{made.path for made in known.values()})
        found = claims.results(self.root)
        shown = pages.where_shown(self.root)
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
            html(
                promise
                + wide("Claims by part")
                + '<table class="docutils ledger-totals"><thead><tr>'
                f"{head}</tr></thead><tbody>{body}</tbody></table></div>{note}"
            )
        ]


def _outcome(result: claims.Result | None) -> str:
    return "none" if result is None else result.outcome


def outdated(root: Path, env: BuildEnvironment) -> list[str]:
    """Rebuild the ledger when a claim, a result or a page that shows one changed."""
    files = memory.state_of(root)
    if memory.of(env).files.get("ledger") == files:
        return []
    state = hashlib.sha256()
    for identifier, made in claims.collect(root).items():
        state.update(f"{identifier} {made.fingerprint} {made.where}".encode())
    shown = pages.where_shown(root).items()
    where = sorted((name, [(p.docname, p.title) for p in at]) for name, at in shown)
    state.update(repr(where).encode())
    state.update(repr(sorted(claims.results(root).items())).encode())
    known = memory.of(env)
    before, known.ledger = known.ledger, state.hexdigest()
    known.files["ledger"] = files
    if before == state.hexdigest():
        return []
    return [name for name in env.found_docs if name.startswith(claims.LEDGER)]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_directive("ledger", Ledger)
    app.add_directive("not-so", NotSo)
    app.add_directive("ledger-summary", LedgerSummary)
    memory.read_again(app, outdated)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
