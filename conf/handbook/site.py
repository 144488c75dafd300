"""The site's Sphinx hooks: what each page is given before its template is filled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from docutils import nodes
from sphinx.util.osutil import relative_uri

from handbook import boxes, claims, facts, memory
from handbook.accessible import mend
from handbook.assets import Assets, copy_exactly, needed
from handbook.problem import Problem
from handbook.sidebar import Sidebar, short_title

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

DESCRIPTION = 200
"""Characters of a page's description; search engines show no more."""

NOT_FOUND = "404"

POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'"
)
"""What the published pages allow. No script is inline, so no hash is needed;
'wasm-unsafe-eval' is for the search, 'unsafe-inline' for the style attributes of
tables and pictures."""


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


class Pages:
    """What each page is given before its template is filled."""

    def __init__(self, sidebar: Sidebar, assets: Assets) -> None:
        """Keep the sidebar and the assets of this build."""
        self.sidebar = sidebar
        self.assets = assets
        self.facts: dict[str, facts.Facts] = {}

    def gather(self, app: Sphinx, env: BuildEnvironment) -> list[str]:
        """Read what the pages tell of themselves; rewrite those that tell another."""
        root = Path(app.srcdir).parent
        known, files = memory.of(env), memory.state_of(root)
        if known.facts is not None and known.files.get("facts") == files:
            self.facts = known.facts
            return []
        try:
            self.facts = facts.of_all(root)
        except Problem:
            return []  # the directives that show claims tell of it
        known.files["facts"] = files
        before, known.facts = known.facts, self.facts
        if before is None:
            return []
        return [
            name
            for name in sorted(env.found_docs)
            if before.get(name) != self.facts.get(name)
        ]

    def _above(self, app: Sphinx, pagename: str) -> str:
        """Return the line under a chapter's title as HTML."""
        known = self.facts.get(pagename)
        if known is None or not known.minutes:
            return ""
        env, here = app.env, app.builder.get_target_uri(pagename)
        first = [
            f'<a href="{relative_uri(here, app.builder.get_target_uri(name))}">'
            f"{escape(short_title(env, name))}</a>"
            for name in known.first
            if name in env.found_docs
        ]
        return (
            f'<p class="page-facts">{known.minutes}\N{NO-BREAK SPACE}'
            f"minute{'s' * (known.minutes != 1)} of prose, "
            f"{known.programs} program{'s' * (known.programs != 1)}."
            + (f" Read first: {', '.join(first)}." if first else "")
            + "</p>"
        )

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
        context["handbook_found"] = pagename in app.env.found_docs and not (
            pagename.startswith(claims.LEDGER)  # it repeats what the chapters say
        )
        if pagename == NOT_FOUND:
            # Shown under any address, so its links must not start from there.
            context["handbook_base"] = urlsplit(app.config.html_baseurl).path or "/"
        meta = context.get("meta") or {}
        text = description(meta, doctree) or f"{app.config.html_title}: {pagename}"
        context["handbook_description"] = text
        if 'name="description"' in context.get("metatags", ""):
            context["handbook_description"] = ""
        context["css_files"] = needed(context.get("css_files", []))
        context["script_files"] = needed(context.get("script_files", []))
        if pagename in self.facts:
            context["handbook_tested"] = self.facts[pagename].tested
        if context.get("body"):
            own = pagename.startswith(
                boxes.PROGRAM_PAGES
            )  # pictures elsewhere link to it
            body = mend(context["body"], every_line=own)
            context["body"] = body.replace(
                "</h1>", "</h1>" + self._above(app, pagename), 1
            )


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


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks with Sphinx."""
    sidebar, assets = Sidebar(), Assets()
    pages = Pages(sidebar, assets)
    app.add_config_value("handbook_live", default=False, rebuild="html", types=[bool])
    app.connect("config-inited", copy_exactly, priority=900)
    app.connect("builder-inited", assets.merge, priority=900)
    app.connect("env-updated", sidebar.env_updated)
    app.connect("env-updated", assets.changed)
    app.connect("env-updated", pages.gather)
    app.connect("html-page-context", pages.context, priority=400)
    app.connect("build-finished", assets.write, priority=900)
    app.connect("html-collect-pages", not_found)
    app.connect("build-finished", clear_away)
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
