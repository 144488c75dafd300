"""The EPUB: pages without what needs a browser, and a package that readers accept.

Only with the builder `epub`. Sphinx writes the book; here links that leave it are
made whole or taken away, and pictures are declared as EPUB 3.3 section 5.6.2 asks.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from sphinx.builders.epub3 import Epub3Builder

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_HREF = re.compile(r' href="([^"#:]*)(#[^"]*)?"')
_ID = re.compile(r' id="([^"]*)"')
_SVG = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_SVG_LINK = re.compile(r"</?a\b[^>]*>")
_ROLE = re.compile(r' role="[^"]*"')
_ITEM = re.compile(r'href="([^"]+\.xhtml)" media-type="application/xhtml\+xml"')
_DOWNLOAD = re.compile(r"<a\b[^>]*\bdownload=[^>]*>.*?</a>", re.DOTALL)
_FILTER = re.compile(r'<form class="catalogue-filter".*?</form>', re.DOTALL)


def for_a_book(body: str, folder: str, pages: set[str], site: str) -> str:
    """Return a page's body as an EPUB may hold it: XHTML, and no link to nowhere.

    Args:
        body: the body as the site has it.
        folder: the folder of the page, from the top.
        pages: the documents in the book.
        site: the published address, or "".
    """

    def link(found: re.Match[str]) -> str:
        target, anchor = found[1], found[2] or ""
        if not target:
            return found[0] if anchor[1:] in here else ""
        name = posixpath.normpath(posixpath.join(folder, target))
        stem, ending = posixpath.splitext(name)
        if ending in {".html", ".xhtml"} and stem in pages:
            return f' href="{posixpath.splitext(target)[0]}.xhtml{anchor}"'
        return f' href="{urljoin(site, name)}{anchor}"' if site else ""

    def picture(found: re.Match[str]) -> str:
        opening, bracket, rest = _SVG_LINK.sub("", found[0]).partition(">")
        return _ROLE.sub(' role="img"', opening) + bracket + _ROLE.sub("", rest)

    here = set(_ID.findall(body))
    body = _SVG.sub(picture, _HREF.sub(link, _DOWNLOAD.sub("", _FILTER.sub("", body))))
    return body.replace("<br>", "<br/>")


def page_context(
    app: Sphinx,
    pagename: str,
    templatename: str,
    context: dict[str, Any],
    doctree: nodes.document | None,
) -> None:
    """Rewrite the body of each page of the book."""
    del templatename, doctree
    if app.builder.name == "epub" and context.get("body"):
        context["body"] = for_a_book(
            context["body"],
            posixpath.dirname(pagename),
            set(app.env.found_docs),
            app.config.html_baseurl,
        )


class Book(Epub3Builder):
    """Sphinx's EPUB, whose package names the pages that hold pictures."""

    def build_content(self) -> None:
        """Write content.opf; a reader may refuse a picture that it does not name."""
        super().build_content()

        def declared(found: re.Match[str]) -> str:
            page = Path(self.outdir) / found[1]
            drawn = page.exists() and "<svg" in page.read_text("utf-8")
            return found[0] + (' properties="svg"' if drawn else "")

        package = Path(self.outdir) / "content.opf"
        package.write_text(_ITEM.sub(declared, package.read_text("utf-8")), "utf-8")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.add_builder(Book, override=True)
    app.connect("html-page-context", page_context, priority=900)
    return {
        "version": "1",
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
