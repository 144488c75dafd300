"""Stepping through a timeline: the row, the program's line and the kernel, together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bs4 import BeautifulSoup
from bs4.filter import SoupStrainer

if TYPE_CHECKING:
    from collections.abc import Callable

    from bs4 import Tag
    from playwright.sync_api import BrowserContext, Locator, Page

pytestmark = pytest.mark.browser

BEFORE_ACCEPT = "listening/before-accept.html"
MARKER = re.compile(r"^[ \t]*# \[/?[\w-]+\][ \t]*\n", re.MULTILINE)
REPOSITORY = Path(__file__).parents[2]


EACH_STEP = """(figure, steps) => {
  const buttons = [...figure.querySelectorAll("button")];
  const forward = buttons.find((button) => button.textContent.startsWith("Next"));
  return Array.from({length: steps}, () => {
    const box = forward.getBoundingClientRect();
    if (box.top < 0 || box.bottom > innerHeight) {
      forward.scrollIntoView({block: "center", behavior: "instant"});
    }
    forward.click();
    return {
      now: [...figure.querySelectorAll(".tl-now")]
          .map(row => row.dataset.step),
      later: figure.querySelectorAll(".tl-later").length,
      count: figure.querySelector(".timeline-count").textContent,
      code: figure.querySelector(".timeline-code").textContent,
      said: figure.querySelector(".timeline-said").textContent,
      kernel: [...figure.querySelectorAll(".timeline-kernel li")]
          .map(item => item.textContent),
      lit: [...document.querySelectorAll(".line-now")]
          .map(line => [line.id, line.textContent.trim()]),
      row: figure.querySelector(".tl-now").getBoundingClientRect(),
      panel: figure.querySelector(".timeline-steps")
          .getBoundingClientRect(),
    };
  });
}"""
"""Presses "Next" so often, and says each time what the page then shows."""


def with_timelines(built_site: Path, pages: list[str]) -> list[str]:
    """Return the pages that show a run."""
    found = [n for n in pages if 'class="timeline"' in (built_site / n).read_text()]
    assert found, "no page has a timeline"
    return found


def open_at(context: BrowserContext, address: str) -> tuple[Page, Locator]:
    """Open a page and return it with its first timeline."""
    page = context.new_page()
    page.goto(address)
    return page, page.locator("figure.timeline").first


def test_each_step_lights_its_row_its_line_and_the_kernel(
    built_site: Path,
    pages: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    """On a narrow and a wide screen; half of the pages are first seen on each."""
    page = new_context().new_page()
    widths = [390, 1280]
    for name in with_timelines(built_site, pages):
        rows = steps_drawn(built_site / name)
        page.set_viewport_size({"width": widths[0], "height": 800})
        page.goto(site_url + name)
        figure = page.locator("figure.timeline").first
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            seen = figure.evaluate(EACH_STEP, len(rows))
            compare(rows, seen, f"{name}, {width} px")
            forward = figure.get_by_role("button", name="Next")
            assert forward.get_attribute("aria-disabled") == "true"
            forward.press("Escape")
            assert not page.locator(".tl-now, .tl-later, .line-now").count()
        widths.reverse()


def steps_drawn(path: Path) -> list[tuple[Tag, str]]:
    """Read a page's first picture: its rows, each with the words for it."""
    only = SoupStrainer("figure", class_="timeline")
    soup = BeautifulSoup(path.read_text(), "html.parser", parse_only=only)
    drawn = soup.select_one("figure.timeline")
    assert drawn is not None
    rows = drawn.select(".tl-event")
    words = [li.get_text() for li in drawn.select(".timeline-text li")]
    return list(zip(rows, words, strict=True))


def compare(rows: list[tuple[Tag, str]], steps: list[Any], where: str) -> None:
    """Compare what each step showed with the picture, its words and the program."""
    kept: dict[str, str] = {}
    for number, ((row, said), seen) in enumerate(zip(rows, steps, strict=True), 1):
        at = f"{where}, step {number}"
        assert seen["now"] == [row["data-step"]], at
        assert seen["later"] == len(rows) - number, at
        assert seen["count"] == f"Step {number} of {len(rows)}", at
        # What an event loop or a library does has no line of the program.
        prefix = re.match(r"(Line \d+): ", said)
        line = prefix[1] if prefix else ""
        sentence = said[prefix.end() :] if prefix else said
        sentence, _, news = sentence.partition(" The kernel then has: ")
        assert seen["said"] == sentence, at
        # The lit line is the one that the picture links to, as the file has it.
        link = row.select_one("a")
        assert (link is None) == (line == ""), at
        if link is not None and str(link["href"]).startswith("#"):
            (lit,) = seen["lit"]
            assert lit[0] == link["href"][1:], at
            assert lit[1] == line_of_program(lit[0]), at
            assert seen["code"] == f"{line}: {lit[1]}", at
        else:  # the whole of a long program is on another page
            assert (seen["lit"], seen["code"]) == ([], line), at
        for told in filter(None, news.removesuffix(".").split("; ")):
            socket, state = re.split(r" (?=[A-Z][A-Z]|gone)", told, maxsplit=1)
            kept[socket] = state
        still = [f"{k}: {v}" for k, v in kept.items() if v != "gone"]
        assert sorted(seen["kernel"]) == sorted(still), at
        assert seen["row"]["top"] >= 0, f"{at}: the row is above the window"
        assert seen["row"]["bottom"] <= seen["panel"]["top"], f"{at}: hidden"


def line_of_program(id: str) -> str:  # noqa: A002 - the word that HTML uses
    """Read a line of a program from its file, by the id that the page gives it."""
    part, rest = id.split("-", 1)
    name, _, number = rest.rpartition("-")
    text = (REPOSITORY / "snippets" / part / f"{name}.py").read_text()
    return MARKER.sub("", text).splitlines()[int(number) - 1].strip()


def test_the_kernels_counts_before_anybody_accepts(
    site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    _, figure = open_at(new_context(), site_url + BEFORE_ACCEPT)
    forward = figure.get_by_role("button", name="Next")
    while "connect()" not in figure.locator(".timeline-told").inner_text():
        forward.click()
    counts = figure.locator(".timeline-kernel").inner_text()
    assert "listening socket: LISTEN, queue 1" in counts
    assert "server's end: ESTAB, no fd yet" in counts
    assert "connect(" in figure.locator(".timeline-code").inner_text()


def test_the_keys_step_too(
    site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    page, figure = open_at(new_context(), site_url + BEFORE_ACCEPT)
    count = figure.locator(".timeline-count")
    rows = figure.locator(".tl-event").count()
    figure.get_by_role("button", name="Next").focus()
    for key, says in (
        ("ArrowRight", f"Step 1 of {rows}"),
        ("ArrowRight", f"Step 2 of {rows}"),
        ("ArrowLeft", f"Step 1 of {rows}"),
        ("ArrowLeft", f"{rows} steps"),
        ("ArrowLeft", f"{rows} steps"),
        ("End", f"Step {rows} of {rows}"),
        ("ArrowRight", f"Step {rows} of {rows}"),
        ("Home", f"Step 1 of {rows}"),
        ("Escape", f"{rows} steps"),
        ("Enter", f"Step 1 of {rows}"),
    ):
        page.keyboard.press(key)
        assert count.inner_text() == says, key
    page.keyboard.press("Escape")
    assert not page.locator(".tl-now, .tl-later, .line-now").count()
    page.keyboard.press("Alt+ArrowRight")
    assert count.inner_text() == f"{rows} steps", "Alt and an arrow is the browser's"


def test_before_the_first_step_the_whole_picture_shows(
    site_url: str, new_context: Callable[..., BrowserContext]
) -> None:
    _, figure = open_at(new_context(), site_url + BEFORE_ACCEPT)
    assert figure.get_by_role("button", name="Next").is_visible()
    assert not figure.locator(".tl-later, .tl-now").count()
    assert not figure.locator(".timeline-told").inner_text()
