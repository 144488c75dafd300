"""What a page of the built site weighs, read without a browser."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from handbook.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path

PAGE_BYTES = 18_000  # of the HTML alone: what the next page costs a reader
FIRST_BYTES = 45_000  # of a first view: the page and all that it asks for
REQUESTS = 14  # of a first view, the page itself among them


def pages_of(site: Path) -> list[str]:
    """Name every page of a built site, by its path from the top; Problem if none."""
    found = sorted(
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        if not path.relative_to(site).parts[0].startswith("_")
    )
    if "index.html" not in found:
        raise Problem(str(site), "there is no built site", "make html")
    return found


def gzipped(data: bytes) -> int:
    """Say how many bytes a host sends that compresses ahead: gzip -9, if less."""
    return min(len(data), len(gzip.compress(data, 9, mtime=0)))


@dataclass
class Weight:
    """What a first view of a page asks of the network; bytes are gzipped."""

    page: str
    html: int
    files: dict[str, int] = field(default_factory=dict)
    """Bytes by the path from the top of the site, or by the address elsewhere."""

    @property
    def total(self) -> int:
        """Bytes of all requests together."""
        return self.html + sum(self.files.values())

    @property
    def requests(self) -> int:
        """How many requests, the page itself among them."""
        return 1 + len(self.files)

    def problems(self) -> list[str]:
        """Say which budgets are passed, and by how much."""
        found = []
        if self.html > PAGE_BYTES:
            found.append(f"{self.html} bytes of HTML, {PAGE_BYTES} are the budget")
        if self.total > FIRST_BYTES:
            heavy = max(self.files, key=lambda name: self.files[name], default="")
            found.append(
                f"a first view of {self.total} bytes, {FIRST_BYTES} are the budget "
                f"(heaviest beside the page: {heavy})"
            )
        if self.requests > REQUESTS:
            found.append(
                f"{self.requests} requests of a first view, {REQUESTS} are the budget"
            )
        return found


class _References(HTMLParser):
    """Gathers what a browser fetches to show a page."""

    LOADED = frozenset({"stylesheet", "icon", "preload", "modulepreload", "manifest"})
    SOURCES = frozenset({"script", "img", "iframe", "embed", "input", "audio", "video"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        address = ""
        if tag == "link" and self.LOADED & set(given.get("rel", "").lower().split()):
            address = given.get("href", "")
        elif tag in self.SOURCES:
            address = given.get("src", "")
        elif tag == "object":
            address = given.get("data", "")
        elif tag in ("image", "use"):
            address = given.get("href", "") or given.get("xlink:href", "")
        if address and not address.startswith(("data:", "#")):
            self.found.append(address)


_CSS_URL = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])(?!data:|#)([^'\")\s]+)")


def weigh(page: str, site: Path) -> Weight:
    """Weigh a page of a built site: itself and what it makes a browser fetch.

    Counted once each are its stylesheets, scripts, pictures and icon, and what
    the stylesheets name. A file of another host is a request without bytes,
    since it is not here to be weighed. Problem if a file is missing.
    """
    site = site.resolve()
    path = site / page
    text = path.read_text("utf-8")
    parser = _References()
    parser.feed(text)
    parser.close()
    weight = Weight(page, gzipped(text.encode()))
    waiting = [(path, address) for address in parser.found]
    while waiting:
        holder, address = waiting.pop()
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            weight.files.setdefault(address, 0)
            continue
        base = site if parts.path.startswith("/") else holder.parent
        target = (base / unquote(parts.path).lstrip("/")).resolve()
        if not target.is_file():
            raise Problem(
                holder.relative_to(site).as_posix(),
                f"the page asks for {address}, which the site does not have",
                "let the build write the file, or take the reference away",
            )
        name = target.relative_to(site).as_posix()
        if name in weight.files:
            continue
        weight.files[name] = gzipped(target.read_bytes())
        if target.suffix == ".css":
            style = target.read_text("utf-8")
            waiting += [(target, url) for url in _CSS_URL.findall(style)]
    return weight
