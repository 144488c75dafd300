"""What the directives share: their place, the files they depend on, their claims.

Nothing is run here: a page is made from files that `make record` and the tests
wrote. A directive raises a Problem, which becomes a warning at its line.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from handbook import claims, memory, recordings
from handbook.problem import Problem
from handbook.snippet import Snippet, by_id

if TYPE_CHECKING:
    from docutils.nodes import Node
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

logger = logging.getLogger(__name__)


def html(text: str) -> nodes.raw:
    """Put HTML on the page as it is."""
    return nodes.raw("", text, format="html")


def sentence(text: str) -> list[nodes.Node]:
    """Turn `code` and calls() in a plain sentence into code."""
    pieces: list[nodes.Node] = []
    last = 0
    for match in re.finditer(r"`([^`]+)`|[a-z_.]+\(\)", text):
        pieces.append(nodes.Text(text[last : match.start()]))
        code = match[1] or match[0]
        pieces.append(nodes.literal(code, code))
        last = match.end()
    return [*pieces, nodes.Text(text[last:])]


def wide(label: str) -> str:
    """Open the frame of a table: it scrolls sideways, and the keyboard reaches it.

    `label` is its name for screen readers, which no other frame of the page has. The
    frame ends with `</div>`, after the table.
    """
    return (
        '<div class="table-wrapper docutils container" tabindex="0" role="region" '
        f'aria-label="{escape(label)}">'
    )


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

    @property
    def here(self) -> str:
        """The place of the directive, as `path:line`: what a Problem names."""
        return self.line(0)

    def line(self, number: int) -> str:
        """Name a line of the content, from 1, as `path:line`; 0 is the directive's."""
        source, first = self.get_source_info()
        return f"{source}:{first + number}"

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
        return find_claim(self.env, identifier, self.here)

    def tick(self, made: claims.Claim) -> nodes.reference:
        """Link to a claim's entry in the ledger, in a word."""
        return tick(made, "tested" if made.test else "cited", self.up)

    def put_right(self, made: claims.Claim) -> nodes.paragraph:
        """Give the sentence of a claim that puts a wrong belief right."""
        return nodes.paragraph(
            "",
            "",
            *sentence(made.sentence),
            nodes.Text(" "),
            self.tick(made),
            classes=["put-right"],
        )

    def nested(self) -> list[Node]:
        """Parse the directive's content."""
        return self.parse_content_to_nodes()


def tick(made: claims.Claim, text: str, up: str) -> nodes.reference:
    """Link to a claim's entry in the ledger."""
    return nodes.reference(
        "",
        text,
        refuri=f"{up}{claims.address(made)}",
        classes=["claim-tick"],
        internal=True,
    )


def temporary(env: BuildEnvironment) -> dict[str, Any]:
    """Give the place where things are remembered while one page is read."""
    return env.current_document  # type: ignore[return-value]


def find_claim(env: BuildEnvironment, identifier: str, here: str) -> claims.Claim:
    """Find a claim by its id for the page that is read, which depends on its test.

    Raises:
        Problem: no test claims it. The page is read again once one does.
    """
    root = Path(env.srcdir).parent
    known, _ = claims.gather(root)  # what is wrong the ledger tells
    if identifier not in known:
        memory.of(env).waiting.setdefault(env.docname, set()).add(identifier)
        raise claims.unknown(identifier, known, here)
    made = known[identifier]
    for path in (made.path, claims.index(root)):
        env.note_dependency(str(path))
    return made


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page waited for: it is read again, or gone."""
    del app
    memory.of(env).waiting.pop(docname, None)


def merge(
    app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment
) -> None:
    """Take over what a process that read some of the pages found them to wait for."""
    del app
    told = memory.of(other).waiting
    for docname in docnames & told.keys():
        memory.of(env).waiting[docname] = told[docname]


def outdated(root: Path, env: BuildEnvironment) -> list[str]:
    """Read again the pages that name a claim without a test: it may have one now."""
    del root
    return list(memory.of(env).waiting)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx what claims need, whichever directive shows them."""
    memory.read_again(app, outdated)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    return {
        "version": "1",
        "env_version": 3,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
