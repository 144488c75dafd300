"""Measure the pages of a built site in a browser, and hold them to the budgets.

A page is opened cold, wide and light, then cold again, narrow and dark: weight,
requests, other hosts, accessibility (axe), what scrolls or hangs out sideways,
the console, the content security policy, and what shifts while it is laid out.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import os
import posixpath
import re
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from axe_playwright_python.sync_playwright import Axe

from handbook import chromium, claims, serving
from handbook.columns import table
from handbook.problem import Problem
from handbook.snippet import ROOT
from handbook.weight import Weight, gzipped, pages_of, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage, Request

SITE = ROOT / "build" / "html"
RESULTS = ROOT / "build" / "audit.json"

SEARCH = "search.html"
WIDE, NARROW, NARROWEST = 1280, 390, 320
HEIGHT = 850
IMPACTS = ("critical", "serious", "moderate", "minor")
TOLERATED = "minor"  # the one impact that is shown and fails nothing
SHIFT = 0.002  # of a layout; what is less is rounding, more of it on a busy machine

OF_TEXTS = ("color-contrast", "link-in-text-block")
COLOURS = {"runOnly": [*OF_TEXTS]}
STRUCTURE = {"rules": {rule: {"enabled": False} for rule in OF_TEXTS}}
"""What axe looks for: the colours of texts in each scheme on each screen, and every
other rule on a wide and a narrow screen. Colours are by far the slowest: they are
measured of the texts that TEXTS chooses."""

TEXTS = """() => {
  const styles = new Map();
  const styleOf = (e) =>
    styles.get(e) ?? styles.set(e, getComputedStyle(e)).get(e);
  const shows = (e) => e.checkVisibility({ visibilityProperty: true });
  const all = [...document.body.querySelectorAll("*")].filter(shows);
  const boxes = new Map(all.map((e) => [e, e.getBoundingClientRect()]));
  const over = (a, b) =>
    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const inside = (a, b) =>
    a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
  const moved = (e) => {
    const style = styleOf(e);
    return style.position !== "static" || style.float !== "none" ||
      style.transform !== "none" || style.translate !== "none" ||
      style.margin.includes("-");
  };
  const loose = all.filter(moved);
  const grounds = new Map();
  const ground = (e) => {
    if (!e) return "";
    if (!grounds.has(e)) {
      const style = styleOf(e);
      grounds.set(e, [
        ground(e.parentElement), e.localName, e.className.baseVal ?? e.className,
        style.color, style.backgroundColor, style.backgroundImage, style.opacity,
        style.filter, style.mixBlendMode, style.position, style.overflow,
        style.display, style.textDecorationLine, style.borderStyle,
        e.matches(":disabled, [aria-disabled=true], [inert], :target"),
      ].join("|"));
    }
    return grounds.get(e);
  };
  const cut = (e) => {
    for (let up = e.parentElement; up; up = up.parentElement) {
      if (styleOf(up).overflow === "visible" || !boxes.has(up)) continue;
      if (!inside(boxes.get(e), boxes.get(up))) return true;
    }
    return false;
  };
  const sentence = (e) => {
    const link = e.closest("a[href]");
    let block = link;
    while (block && styleOf(block).display === "inline") block = block.parentElement;
    if (!block || block === link) return false;
    const length = (node) => node.textContent.replace(/\\s+/g, " ").trim().length;
    const links = [...block.querySelectorAll("a[href]")].map(length);
    return length(block) > 2 * links.reduce((sum, more) => sum + more, 0);
  };
  const chosen = new Map();
  const texts = [];
  for (const e of all) {
    const field = e.matches("input, select, textarea");
    const own = [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
    if (!field && !own) continue;
    texts.push(e);
    const covered = loose.some((other) =>
      !other.contains(e) && !e.contains(other) && over(boxes.get(e), boxes.get(other)));
    const style = styleOf(e);
    const key = field || covered ? e : [
      ground(e), style.fontFamily, style.fontSize, style.fontWeight,
      style.fontStyle, style.textShadow, cut(e), sentence(e),
    ].join("|");
    if (!chosen.has(key)) chosen.set(key, e);
  }
  const include = new Set(chosen.values());
  const within = (e) => e && (include.has(e) || within(e.parentElement));
  const exclude = texts.filter((e) => !include.has(e) && within(e));
  return { include: [...include], exclude };
}"""
"""Texts drawn alike on the same grounds are measured once: the first of them is.

What axe says of their colours is the same for all: it depends on what is compared
here and on nothing else. A text over which something lies that has left its place
is always measured."""

RUN = "(options) => axe.run(document, options)"
RUN_TEXTS = f"(options) => axe.run(({TEXTS})(), options)"

OUTSIDE = """() => [...document.querySelectorAll("article *")].filter((e) => {
  if (!e.checkVisibility() || e.closest("svg, .visually-hidden")) return false;
  if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let up = e.parentElement; up; up = up.parentElement) {
    const flow = getComputedStyle(up).overflowX;
    if (up.tagName !== "HTML" && flow !== "visible") return false;
  }
  return true;
}).map((e) => e.outerHTML.slice(0, 80))"""
"""Elements that hang over the right edge: html clips them, so nothing scrolls."""

SHIFTED = """async () => {
  let sum = 0;
  const moved = [];
  const note = (list) => {
    for (const entry of list) {
      if (entry.hadRecentInput) continue;
      sum += entry.value;
      for (const { node } of entry.sources) moved.push(node?.outerHTML?.slice(0, 80));
    }
  };
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({type: "layout-shift", buffered: true});
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  for (const top of [document.documentElement.scrollHeight, 0]) {
    scrollTo(0, top);
    await frame();
    await frame();
  }
  note(observer.takeRecords());
  return [sum, moved.filter(Boolean)];
}"""
"""How far things moved while the page was laid out or scrolled, and which."""


# Which pages


def kind(page: str) -> str:
    """Name the kind of a page: what template and which directives make it."""
    folder, file = posixpath.split(page)
    top = folder.partition("/")[0]
    if top in ("tests", "programs"):
        return top
    if page.startswith(claims.LEDGER):
        return "ledger" if file != "index.html" else page
    if folder in ("", "reference"):
        return page  # each is made by means of its own
    return "part" if file == "index.html" else "chapter"


@functools.cache
def _classes(path: Path) -> frozenset[str]:
    """Return the classes of a page's article; code is left out, for it is uniform."""
    text = path.read_text("utf-8").partition("<article")[2].partition("</article>")[0]
    text = re.sub(r"<pre\b.*?</pre>", "", text, flags=re.DOTALL)
    found: set[str] = set()
    for names in re.findall(r'\bclass="([^"]*)"', text):
        found.update(names.split())
    return frozenset(found)


def sample(site: Path, *, more: int = 4) -> list[str]:
    """Choose few pages on which all that the site has is found.

    The heaviest page of each kind; of the others, until each class of an element
    is on a chosen page, the one that brings most that are missing; and `more` in
    the order of a hash of their names. The same build gives the same pages.
    """
    pages = pages_of(site)
    size = {page: gzipped((site / page).read_bytes()) for page in pages}
    heaviest: dict[str, str] = {}
    for page in sorted(pages, key=lambda page: (size[page], page)):
        heaviest[kind(page)] = page
    chosen = set(heaviest.values())
    missing = {page: set(_classes(site / page)) for page in pages}
    for page in chosen:
        _found(missing, _classes(site / page))
    while True:
        page = max(pages, key=lambda page: (len(missing[page]), page))
        if not missing[page]:
            break
        chosen.add(page)
        _found(missing, _classes(site / page))
    rest = sorted(set(pages) - chosen, key=_hash)
    return sorted(chosen | set(rest[:more]))


def _found(missing: dict[str, set[str]], classes: Iterable[str]) -> None:
    for left in missing.values():
        left.difference_update(classes)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def chosen(site: Path, wanted: str) -> list[str]:
    """Read what HANDBOOK_PAGES says: nothing, "all", or names parted by commas.

    A name may be the beginning of a path, such as `reference/`. Problem if
    nothing begins so.
    """
    if not wanted.strip():
        return sample(site)
    pages = pages_of(site)
    if wanted.strip() == "all":
        return pages
    found: set[str] = set()
    for name in wanted.replace(",", " ").split():
        fitting = {page for page in pages if page.startswith(name.removeprefix("/"))}
        if not fitting:
            raise Problem(
                f"HANDBOOK_PAGES={wanted}",
                f"no page of {site} begins with {name}",
                'say "all", or name pages as in websockets/frames.html,reference/',
            )
        found |= fitting
    return sorted(found)


# One page


@dataclass
class Page:
    """What was seen of a page."""

    name: str
    weight: Weight
    axe: Counter[str] = field(default_factory=Counter)  # elements, by impact
    sideways: int = 0  # pixels, the most on any screen
    hosts: int = 0
    console: int = 0
    policy: int = 0
    shift: float = 0.0
    problems: list[str] = field(default_factory=list)

    def cells(self) -> tuple[str, ...]:
        """Give the page as a line of the table."""
        return (
            self.name,
            f"{self.weight.html / 1000:.1f}",
            f"{self.weight.total / 1000:.1f}",
            str(self.weight.requests),
            str(self.hosts),
            "/".join(str(self.axe[impact]) for impact in IMPACTS),
            str(self.sideways),
            str(self.console),
            str(self.policy),
            f"{self.shift:.3f}",
            f"{len(self.problems)} over" if self.problems else "ok",
        )

    def data(self) -> dict[str, Any]:
        """Give the page as the file keeps it."""
        return {
            "name": self.name,
            "html": self.weight.html,
            "first_view": self.weight.total,
            "requests": self.weight.requests,
            "hosts": self.hosts,
            "axe": {impact: self.axe[impact] for impact in IMPACTS},
            "sideways": self.sideways,
            "console": self.console,
            "policy": self.policy,
            "shift": round(self.shift, 4),
            "problems": self.problems,
        }


HEADS = (
    *("page", "html kB", "first kB", "requests", "hosts", "axe c/s/m/minor"),
    *("sideways px", "console", "policy", "shift", ""),
)


class Auditor:
    """Opens pages one after another and says what is wrong with each."""

    def __init__(self, context: BrowserContext, top: str, site: Path) -> None:
        """Look at `site`, which is served at `top`."""
        self.top = top
        self.site = site
        self.asked: set[str] = set()
        self.said: list[str] = []
        self.page = context.new_page()
        self.page.emulate_media(reduced_motion="reduce")
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.said.append(f"script: {error}"))

    def _request(self, asked: Request) -> None:
        if not asked.url.startswith(("data:", "blob:")):
            self.asked.add(asked.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.said.append(f"console: {message.text}")

    def audit(self, name: str) -> Page:
        """Measure a page: wide and narrow, light and dark."""
        self.asked.clear()
        self.said.clear()
        found = Page(name, Weight(name, 0))
        self._open(found, WIDE, "light")
        self._weigh(found)
        self._layout(found, WIDE)
        self._axe(found, f"{WIDE} px, light", STRUCTURE, COLOURS)
        self.page.emulate_media(color_scheme="dark")
        self._axe(found, f"{WIDE} px, dark", COLOURS)
        self._open(found, NARROW, "dark")
        self._layout(found, NARROW)
        self._axe(found, f"{NARROW} px, dark", COLOURS)
        self.page.emulate_media(color_scheme="light")
        self._axe(found, f"{NARROW} px, light", STRUCTURE, COLOURS)
        self.page.set_viewport_size({"width": NARROWEST, "height": HEIGHT})
        self._layout(found, NARROWEST)
        self._judge(found)
        return found

    def _open(self, found: Page, width: int, scheme: str) -> None:
        self.page.set_viewport_size({"width": width, "height": HEIGHT})
        self.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        self.page.goto(self.top + found.name)
        shift, moved = self.page.evaluate(SHIFTED)
        found.shift = max(found.shift, shift)
        if shift > SHIFT:
            found.problems.append(
                f"{width} px, {scheme}: the layout shifts by {shift:.4f}: {moved[:3]}"
            )
        self.page.evaluate(Axe().axe_script)

    def _weigh(self, found: Page) -> None:
        try:
            found.weight = weigh(found.name, self.site)
        except Problem as problem:
            found.weight.html = gzipped((self.site / found.name).read_bytes())
            found.problems.append(problem.what)
        for address in sorted(self.asked):  # what only its scripts ask for
            name = unquote(urlsplit(address).path).lstrip("/")
            if not address.startswith(self.top):
                found.weight.files.setdefault(address, 0)
            elif found.name == SEARCH and name.startswith("pagefind/"):
                continue  # whoever opens this page has asked for the search
            elif name not in (found.name, *found.weight.files):
                path = self.site / name
                size = gzipped(path.read_bytes()) if path.is_file() else 0
                found.weight.files[name] = size
        found.problems += found.weight.problems()

    def _layout(self, found: Page, width: int) -> None:
        root = "document.documentElement"
        more = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        if more > 0:
            found.sideways = max(found.sideways, more)
            found.problems.append(f"{width} px: scrolls sideways by {more} px")
        for hanging in self.page.evaluate(OUTSIDE):
            found.problems.append(f"{width} px: hangs over the right edge: {hanging}")

    def _axe(self, found: Page, where: str, *runs: dict[str, Any]) -> None:
        seen: Counter[str] = Counter()
        for rules in runs:
            result = self.page.evaluate(
                RUN_TEXTS if rules is COLOURS else RUN,
                {"resultTypes": ["violations"], **rules},
            )
            for violation in result["violations"]:
                impact = violation["impact"] or TOLERATED
                nodes = violation["nodes"]
                seen[impact] += len(nodes)
                if impact != TOLERATED:
                    found.problems.append(
                        f"{where}: axe: {impact} {violation['id']}, "
                        f"{len(nodes)} times: {nodes[0]['html'][:120]}"
                    )
        found.axe |= seen

    def _judge(self, found: Page) -> None:
        """Add what the browser said and asked for at any time."""
        elsewhere = sorted(a for a in self.asked if not a.startswith(self.top))
        found.hosts = len({urlsplit(address).netloc for address in elsewhere})
        found.problems += [f"asks another host: {address}" for address in elsewhere]
        said = list(dict.fromkeys(self.said))
        found.policy = sum("Content Security Policy" in text for text in said)
        found.console = len(said) - found.policy
        found.problems += said


# All together


def audit(site: Path, pages: list[str], jobs: int) -> list[Page]:
    """Measure pages of a built site, `jobs` browsers at a time; the worst first."""

    def some(share: list[str]) -> list[Page]:
        with chromium.launched() as browser:
            context = browser.new_context()
            context.set_default_timeout(20_000)
            auditor = Auditor(context, top, site)
            return [auditor.audit(page) for page in share]

    jobs = min(jobs, len(pages))
    with serving.serve(site) as top, ThreadPoolExecutor(jobs) as pool:
        shares = pool.map(some, [pages[number::jobs] for number in range(jobs)])
        found = [page for share in shares for page in share]
    return sorted(found, key=lambda page: (-len(page.problems), -page.weight.total))


def main(arguments: list[str]) -> int:
    """Measure a built site, print the table and write build/audit.json.

    The exit status is 1 if a page is over a budget.
    """
    parser = argparse.ArgumentParser(
        prog="python -m handbook audit",
        description="Hold the pages of a built site to the budgets, in a browser.",
    )
    parser.add_argument(
        "pages", nargs="*", help="paths, or their beginnings; no name: all pages"
    )
    parser.add_argument(
        "--sample", action="store_true", help="the pages that the tests open"
    )
    parser.add_argument(
        "--jobs", type=int, default=min(4, os.cpu_count() or 1), help="browsers at once"
    )
    given = parser.parse_args(arguments)
    if given.jobs < 1:
        parser.error("--jobs takes 1 or more")
    begin = time.perf_counter()
    wanted = "" if given.sample else " ".join(given.pages) or "all"
    found = audit(SITE, chosen(SITE, wanted), given.jobs)
    seconds = time.perf_counter() - begin
    print(*table([HEADS, *(page.cells() for page in found)]), sep="\n")
    RESULTS.write_text(
        "".join(json.dumps(page.data()) + "\n" for page in found), "utf-8"
    )
    bad = [page for page in found if page.problems]
    where = RESULTS.relative_to(ROOT)
    print(f"\n{len(found)} pages in {seconds:.0f} s, {len(bad)} over; {where}: written")
    for page in bad:
        for problem in page.problems:
            print(f"{page.name}: {problem}", file=sys.stderr)
    return 1 if bad else 0
