"""The one sheet: what it says is recorded, and printed it is one sheet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup

from handbook import recordings
from handbook.snippet import by_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext

SHEET = "reference/sheet.html"


@pytest.mark.timeout(300)
def test_the_calls_stand_in_the_order_of_the_run(built_site: Path) -> None:
    page = BeautifulSoup((built_site / SHEET).read_text(), "html.parser")
    rows = [
        [cell.get_text() for cell in row.select("td")]
        for row in page.select(".sheet-calls tbody tr")
    ]
    events = recordings.load(by_id("sockets/conversation")).events
    made = [(event["lane"], f"{event['call']}()") for event in events]
    assert made == [
        ("server", row[0].split()[0]) if row[0] else ("client", row[1]) for row in rows
    ]
    waiting = {"".join(row[:2]).split()[0] for row in rows if row[3]}
    slept = {f"{event['call']}()" for event in events if event.get("blocked")}
    assert slept <= waiting
    assert not waiting & {"socket()", "bind()", "listen()"}


@pytest.mark.timeout(300)
def test_each_error_leads_to_its_entry(built_site: Path) -> None:
    page = BeautifulSoup((built_site / SHEET).read_text(), "html.parser")
    long = BeautifulSoup(
        (built_site / "reference/errors.html").read_text(), "html.parser"
    )
    entries = {entry["id"] for entry in long.select("dl.looked-up[id]")}
    links = [str(link["href"]) for link in page.select(".sheet-errors a")]
    assert {link.partition("#")[2] for link in links} == entries
    assert "ECONNREFUSED" in entries


@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_it_prints_on_one_sheet(
    site_url: str,
    new_context: Callable[..., BrowserContext],
    paper: str,
) -> None:
    page = new_context(bypass_csp=True).new_page()  # for the style that is added
    page.goto(site_url + SHEET)
    printed = page.pdf(format=paper)
    assert len(re.findall(rb"/Type /Page\b", printed)) == 1
    # That this can fail: with the letters of a chapter it takes more.
    page.add_style_tag(content="@media print { html { font-size: 12pt !important } }")
    more = page.pdf(format=paper)
    assert len(re.findall(rb"/Type /Page\b", more)) > 1
