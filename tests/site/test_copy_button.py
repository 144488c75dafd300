"""The copy button gives the whole program, to the byte, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook.snippet import read

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]


def with_snippets(built_site: Path, pages: list[str]) -> list[str]:
    """Return the pages that show programs; a handbook without any is broken."""
    found = [n for n in pages if 'class="copy-source"' in (built_site / n).read_text()]
    assert found, "no page shows a program that can be copied"
    return found


def clipboard(page: Page) -> str:
    """Return what was copied last."""
    return str(page.evaluate("navigator.clipboard.readText()"))


@pytest.fixture
def reader(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    """A browser that lets the test read the clipboard."""
    return new_context(
        viewport={"width": 1280, "height": 900},
        permissions=["clipboard-read", "clipboard-write"],
    )


def test_each_program_has_a_button_that_copies_it_and_nothing_else_has_one(
    built_site: Path, opened: list[str], site_url: str, reader: BrowserContext
) -> None:
    page = reader.new_page()
    for name in with_snippets(built_site, opened):
        page.goto(site_url + name)
        for snippet in page.locator(".snippet:has(.copy-source)").all():
            path = snippet.locator(".snippet-path").inner_text().strip()
            program = read(REPOSITORY / path).clean
            button = snippet.locator(".snippet-bar .copybtn")
            assert Path(path).name in (button.get_attribute("aria-label") or "")
            page.evaluate("navigator.clipboard.writeText('nothing was copied')")
            button.click()
            assert clipboard(page) == program, f"{name}: {path}"
        buttons = page.locator(".copybtn").count()
        assert buttons == page.locator(".copy-source pre").count(), name
        assert not page.locator(".recorded .copybtn").count(), name


def test_the_keyboard_reaches_the_button(
    built_site: Path, opened: list[str], site_url: str, reader: BrowserContext
) -> None:
    page = reader.new_page()
    page.goto(site_url + with_snippets(built_site, opened)[0] + "#furo-main-content")
    page.evaluate("navigator.clipboard.writeText('nothing was copied')")
    for _ in range(300):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.copybtn')"):
            break
    else:
        pytest.fail("300 times Tab, and no copy button had the focus")
    page.keyboard.press("Enter")
    page.locator(".copybtn.success").wait_for()
    assert clipboard(page).startswith('"""')
    assert page.locator("[role=status]").inner_text() == "Copied"


def test_the_button_is_visible_on_touch(
    built_site: Path,
    opened: list[str],
    site_url: str,
    new_context: Callable[..., BrowserContext],
) -> None:
    page = new_context(
        viewport={"width": 390, "height": 800}, has_touch=True
    ).new_page()
    page.goto(site_url + with_snippets(built_site, opened)[0])
    button = page.locator(".copybtn").first
    assert button.is_visible()
    assert button.evaluate("e => Number(getComputedStyle(e).opacity)") == 1
    box = button.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24, "smaller than WCAG 2.5.8 asks for"
