"""Every page of the site, on a wide and a narrow screen, light and dark.

`Inspector` looks for what may not be; the tests at the end prove that it finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext, ConsoleMessage, Request

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

WIDE, NARROW, NARROWEST = 1280, 390, 320

SHARDS = 4
"""The pages are dealt out to this many tests, for parallel workers."""

ALL: dict[str, Any] = {}
STRUCTURE = {"rules": {"color-contrast": {"enabled": False}}}
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""What axe looks for. Every rule once; what depends on the width again on a narrow
screen, what depends on the scheme again in the dark. Contrast is by far the slowest:
in code it is measured once here, and computed for both schemes in test_colours.py."""

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


class Inspector:
    """Opens pages one after another and says what is wrong with each."""

    def __init__(self, context: BrowserContext, top: str) -> None:
        self.top = top
        self.seen: list[str] = []
        self.page = context.new_page()
        self.page.emulate_media(reduced_motion="reduce")
        self.page.on("request", self._request)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.seen.append(f"script: {error}"))

    def _request(self, asked: Request) -> None:
        if not asked.url.startswith((self.top, "data:", "blob:")):
            self.seen.append(f"asks another host: {asked.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.seen.append(f"console: {message.text}")

    def inspect(self, name: str) -> list[str]:
        """Return the problems of a page: wide and narrow, light and dark."""
        self.seen.clear()
        self.page.set_viewport_size({"width": WIDE, "height": 850})
        self.page.emulate_media(color_scheme="light")
        self.page.goto(self.top + name)
        self.page.evaluate(Axe().axe_script)
        for width in (WIDE, NARROW):
            self.page.set_viewport_size({"width": width, "height": 850})
            self._layout(width)
            self.page.emulate_media(color_scheme="light")
            self._axe(f"{width} px, light", ALL if width == WIDE else STRUCTURE)
            self.page.emulate_media(color_scheme="dark")
            self._axe(f"{width} px, dark", COLOURS, {"exclude": [[".highlight pre"]]})
        self.page.set_viewport_size({"width": NARROWEST, "height": 850})
        self._layout(NARROWEST)
        return [f"{name}: {problem}" for problem in self.seen]

    def _layout(self, width: int) -> None:
        root = "document.documentElement"
        more = self.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        if more > 0:
            self.seen.append(f"{width} px: scrolls sideways by {more} px")
        for found in self.page.evaluate(OUTSIDE):
            self.seen.append(f"{width} px: hangs over the right edge: {found}")

    def _axe(
        self, where: str, rules: dict[str, Any], context: dict[str, Any] | None = None
    ) -> None:
        result = self.page.evaluate(
            "([context, options]) => axe.run(context || document, options)",
            [context, {"resultTypes": ["violations"], **rules}],
        )
        for violation in result["violations"]:
            if violation["impact"] in {"critical", "serious", "moderate"}:
                nodes = violation["nodes"]
                self.seen.append(
                    f"{where}: axe: {violation['impact']} {violation['id']}, "
                    f"{len(nodes)} times: {nodes[0]['html'][:120]}"
                )


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_page_is_clean(
    shard: int,
    pages: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    inspector = Inspector(new_context(), site_url)
    problems = []
    for name in pages[shard::SHARDS]:
        problems += inspector.inspect(name)
    assert not problems, "\n".join(problems)


def test_every_page_is_complete_without_javascript(
    pages: list[str], site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    context = new_context(java_script_enabled=False, reduced_motion="reduce")
    page = context.new_page()
    for name in pages:
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto(site_url + name)
        assert page.locator("article h1").is_visible(), name
        assert page.locator(".sidebar-tree a").first.is_visible(), name
        assert not page.locator(".theme-toggle:visible").count(), name
    page.set_viewport_size({"width": 390, "height": 800})
    assert not page.locator(".sidebar-tree a").first.is_visible()
    page.locator(".nav-overlay-icon").click()
    page.locator(".sidebar-tree a").first.click(trial=True)


def test_the_drawers_open_with_the_keyboard(
    site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(viewport={"width": 390, "height": 800}).new_page()
    page.goto(site_url)
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    assert focused.get_attribute("class") == "skip-to-content muted-link"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator(".sidebar-tree a").first.click(trial=True)


def test_the_chosen_scheme_is_kept(
    site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.goto(site_url)
    colour = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(colour)
    page.locator(".theme-toggle:visible").click()
    after = page.evaluate(colour)
    assert after != before
    page.reload()
    assert page.evaluate(colour) == after


def test_the_search_finds_a_chapter(
    built_site: Path,
    pages: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    page = new_context().new_page()
    chapters = [name for name in pages if "/" in name] or pages
    chapter = max(chapters, key=lambda name: (built_site / name).stat().st_size)
    page.goto(site_url + chapter)
    words = page.locator("article h1").inner_text().removesuffix("#").split()
    words = [word for word in words if len(word) > 3 and word.isalpha()]
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.locator(".sidebar-search").fill(" ".join(words))
    page.keyboard.press("Enter")
    page.locator(f'#search-results a[href^="{chapter}"]').first.wait_for()
    page.wait_for_load_state("networkidle")
    assert not faults


def test_paper_shows_the_text_and_no_sidebars(
    pages: list[str], site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(viewport={"width": 700, "height": 1000}).new_page()
    page.emulate_media(media="print")
    folded = 0
    for name in pages:
        page.goto(site_url + name)
        for gone in (".sidebar-drawer", ".toc-drawer", ".mobile-header", ".copybtn"):
            assert not page.locator(f"{gone}:visible").count(), (name, gone)
        assert page.locator("article h1").is_visible(), name
        cut = page.evaluate(
            """() => [...document.querySelectorAll("pre")]
                 .filter((e) => e.checkVisibility())
                 .filter((e) => e.scrollWidth > e.clientWidth + 1)
                 .map((e) => e.textContent.slice(0, 60))"""
        )
        assert not cut, (name, "code is cut off on paper", cut)
        torn = page.evaluate(
            """() => [...document.querySelectorAll(".timeline-frame")]
                 .filter((e) => getComputedStyle(e).breakInside !== "avoid").length"""
        )
        assert not torn, (name, "a timeline may be torn over two pages")
        # The whole program and the picture in words repeat what paper shows.
        hidden = page.evaluate(
            """() => [...document.querySelectorAll("details > :not(summary)")]
                 .filter((e) => !e.closest(".snippet-whole, .timeline-text"))
                 .filter((e) => !e.getBoundingClientRect().height)
                 .map((e) => e.outerHTML.slice(0, 80))"""
        )
        assert not hidden, (name, "folded text is lost on paper", hidden)
        folded += page.locator("details").count()
    assert folded, "no page folds anything: look at what this test is for"


# ------------------------------------------------------- what `Inspector` must find

GOOD = """<!doctype html><html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="data:,"></head><body><main><article>
<h1>A page</h1>%s</article></main></body></html>"""

POLICY = """<meta http-equiv="Content-Security-Policy" content="script-src 'self'">"""

FAULTS = {
    "sideways": ('<p style="width:900px">wide</p>', "scrolls sideways"),
    "clipped": (
        "<style>html{overflow-x:clip}</style><p style='width:900px'>wide</p>",
        "hangs over",
    ),
    "inline script": (f"{POLICY}<script>var a = 1;</script>", "Content Security"),
    "other host": ('<img alt="" src="http://example.org/a.png">', "another host"),
    "missing file": ('<img alt="" src="nowhere.png">', "console: "),
    "broken script": ("<script>nothing.here();</script>", "script: "),
    "contrast": ('<p style="color:#bbb;background:#fff">pale</p>', "color-contrast"),
    "contrast in the dark": (
        """<style>@media (prefers-color-scheme: dark) { p { color: #ddd } }</style>
        <p style="background:#fff">pale in the dark</p>""",
        "px, dark: axe: serious color-contrast",
    ),
    "no name": ("<button></button>", "button-name"),
}


def test_a_good_page_passes(
    tmp_path: Path,
    serve: Callable[[Path], str],
    new_context: Callable[..., BrowserContext],
) -> None:
    (tmp_path / "index.html").write_text(GOOD % "<p>Text.</p>", "utf-8")
    top = serve(tmp_path)
    assert Inspector(new_context(), top).inspect("index.html") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_page_is_found(
    fault: str,
    tmp_path: Path,
    serve: Callable[[Path], str],
    new_context: Callable[..., BrowserContext],
) -> None:
    body, words = FAULTS[fault]
    (tmp_path / "index.html").write_text(GOOD % body, "utf-8")
    top = serve(tmp_path)
    problems = Inspector(new_context(), top).inspect("index.html")
    assert any(words in problem for problem in problems), problems
