"""The site in a browser, on a wide and a narrow screen, light and dark.

A sample of the pages is opened: each kind, and each class of an element, is among
them. `make audit` opens all of them, and so do these tests with HANDBOOK_PAGES=all.
`handbook.audit` looks for what may not be; the tests at the end prove that it finds
it.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook import audit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext

pytestmark = pytest.mark.browser

SHARDS = 4
"""The pages are dealt out to this many tests, for parallel workers."""


def problems_of(
    names: list[str], context: BrowserContext, top: str, site: Path
) -> list[str]:
    """Return what is wrong with pages of a site, each with the page's name."""
    auditor = audit.Auditor(context, top, site)
    return [
        f"{name}: {said}" for name in names for said in auditor.audit(name).problems
    ]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_page_keeps_to_the_budgets(
    shard: int,
    built_site: Path,
    opened: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    by_size = sorted(opened, key=lambda name: (built_site / name).stat().st_size)
    mine = by_size[shard::SHARDS]
    problems = problems_of(mine, new_context(), site_url, built_site)
    assert not problems, "\n".join(problems)


def test_a_page_is_complete_without_javascript(
    opened: list[str], site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    context = new_context(java_script_enabled=False, reduced_motion="reduce")
    page = context.new_page()
    page.set_viewport_size({"width": 1280, "height": 800})
    timelines = 0
    for name in opened:
        page.goto(site_url + name)
        assert page.locator("article h1").is_visible(), name
        assert page.locator(".sidebar-tree a").first.is_visible(), name
        assert not page.locator(".theme-toggle:visible").count(), name
        if page.locator("figure.timeline").count():
            timelines += 1
            assert page.locator("figure.timeline svg").first.is_visible(), name
            buttons = page.locator("figure.timeline button").count()
            assert not buttons, (name, "a button that does nothing")
            assert not page.locator(".tl-later").count(), name
    assert timelines, "no page has a timeline"
    page.set_viewport_size({"width": 390, "height": 800})
    assert not page.locator(".sidebar-tree a").first.is_visible()
    page.locator(".nav-overlay-icon").click()
    page.locator(".sidebar-tree a").first.click(trial=True)


ADDED_TO = re.compile(r'class="(?:timeline|catalogue-filter|snippet-bar)"')
"""What the scripts add controls to."""


def test_a_script_that_comes_late_moves_nothing(
    built_site: Path,
    opened: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    page = new_context(viewport={"width": 1280, "height": 800}).new_page()

    def heights() -> dict[int, int]:
        found = {}
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            found[width] = page.evaluate("document.documentElement.scrollHeight")
        return found

    for name in opened:
        if not ADDED_TO.search((built_site / name).read_text("utf-8")):
            continue
        page.goto(site_url + name)
        after = heights()
        page.route("**/site.js*", lambda route: route.abort())
        page.goto(site_url + name)
        assert heights() == after, name
        page.unroute("**/site.js*")


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


def test_paper_shows_the_text_and_no_sidebars(
    opened: list[str], site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context(viewport={"width": 700, "height": 1000}).new_page()
    page.emulate_media(media="print")
    folded = 0
    for name in opened:
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


# ------------------------------------------------------- what the audit must find

GOOD = """<!doctype html><html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<link rel="icon" href="data:,"></head><body><main><article>
<h1>A page</h1>%s</article></main></body></html>"""

POLICY = """<meta http-equiv="Content-Security-Policy" content="script-src 'self'">"""

NOISE = "".join(
    hashlib.sha256(bytes([n // 256, n % 256])).hexdigest() for n in range(700)
)
"""Text that gzip makes half as long, and no less."""

PICTURE = '<svg xmlns="http://www.w3.org/2000/svg"/>'

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
    "contrast on a narrow screen": (
        """<style>@media (max-width: 400px) { b { color: #999 } }</style>
        <p style="color:#000;background:#fff">good, <b>and pale if narrow</b></p>""",
        "390 px, light: axe: serious color-contrast",
    ),
    "contrast of one among many": (
        f'{"<p>good</p>" * 9}<p style="color:#999;background:#fff">pale</p>',
        "color-contrast, 1 times",
    ),
    "contrast inside what is good": (
        '<p>good</p><p>good <b>and bold</b>, <b style="color:#bbb">and pale</b></p>',
        "color-contrast, 1 times",
    ),
    "contrast over another box": (
        """<p>good</p><div style="position:absolute;background:#555;width:100%;
        height:300px;z-index:-1;top:0;left:0"></div><p>black on grey</p>""",
        "color-contrast",
    ),
    "contrast in code": (
        """<style>@media (prefers-color-scheme: dark) { pre { background: #333 } }
        </style><div class="highlight"><pre>black when it is dark</pre></div>""",
        "px, dark: axe: serious color-contrast",
    ),
    "a link that looks like text": (
        """<p>Some text and some more of it.</p><p>Some text and
        <a href="index.html" style="color:#111;text-decoration:none">a link</a>,
        which nothing shows, and more.</p>""",
        "link-in-text-block",
    ),
    "no name": ("<button></button>", "button-name"),
    "heavy": (f"<p>{NOISE}</p>", "bytes of HTML, 18000 are the budget"),
    "many requests": (
        "".join(f'<img alt="" src="{n}.svg">' for n in range(14)),
        "15 requests of a first view",
    ),
    "a script that loads": (
        """<script>for (let n = 0; n < 14; n++) fetch(n + ".svg");</script>""",
        "15 requests of a first view",
    ),
    "shift": (
        """<p id="late"></p><p>Text.</p><script>
        requestAnimationFrame(() => requestAnimationFrame(() => {
          document.getElementById("late").style.height = "400px";
        }));</script>""",
        "the layout shifts",
    ),
}


@pytest.fixture(scope="module")
def said(
    tmp_path_factory: pytest.TempPathFactory,
    serve: Callable[[Path], str],
    browser: Browser,
) -> Iterator[Callable[[str], list[str]]]:
    """Say what the audit finds on a page with this body; one browser's page for all."""
    folder = tmp_path_factory.mktemp("faults")
    with browser.new_context() as context:
        context.set_default_timeout(10_000)
        auditor = audit.Auditor(context, serve(folder), folder)

        def look(body: str) -> list[str]:
            own = Path(tempfile.mkdtemp(dir=folder))
            (own / "index.html").write_text(GOOD % body, "utf-8")
            for number in range(14):
                (own / f"{number}.svg").write_text(PICTURE, "utf-8")
            return auditor.audit(f"{own.name}/index.html").problems

        yield look


def test_a_good_page_passes(said: Callable[[str], list[str]]) -> None:
    assert said("<p>Text.</p>") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_page_is_found(fault: str, said: Callable[[str], list[str]]) -> None:
    body, words = FAULTS[fault]
    problems = said(body)
    assert any(words in problem for problem in problems), problems


def test_what_was_found_on_one_page_is_not_told_of_the_next(
    said: Callable[[str], list[str]],
) -> None:
    for fault in ("sideways", "other host", "broken script", "contrast"):
        assert said(FAULTS[fault][0])
    assert said("<p>Text.</p>") == []
