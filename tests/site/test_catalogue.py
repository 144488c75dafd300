"""The catalogue: nothing is missing, the files are right, the filter filters."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup

from handbook import archive, catalogue
from handbook.snippet import ROOT, read_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import BrowserContext

PAGE = "reference/snippets.html"


def test_every_program_and_file_is_listed() -> None:
    listed = {each.file for each in catalogue.entries()}
    assert listed == {each.where for each in read_all(ROOT)}


def test_each_line_leads_to_its_program(built_site: Path) -> None:
    told = json.loads((built_site / catalogue.JSON).read_text("utf-8"))
    assert told["version"] == catalogue.VERSION
    ids: dict[str, str] = {}
    for each in told["snippets"]:
        page, _, anchor = each["page"].partition("#")
        ids.setdefault(page, (built_site / page).read_text("utf-8"))
        assert f'id="{anchor}"' in ids[page], each["id"]
        served = (built_site / each["download"]).read_bytes()
        assert hashlib.sha256(served).hexdigest() == each["sha256"]
        assert served.count(b"\n") == each["lines"]
    soup = BeautifulSoup((built_site / PAGE).read_text("utf-8"), "html.parser")
    assert len(soup.select(".catalogue-group li")) == len(told["snippets"])


def test_a_pair_names_the_file_that_tells_how_it_runs() -> None:
    pairs = {each.id: each.pair for each in catalogue.entries()}
    assert pairs["sockets/echo_client"] == "snippets/sockets/echo_server.py"
    assert pairs["sockets/echo_server"] == "snippets/sockets/echo_server.py"
    assert pairs["sockets/conversation"] == ""


def test_the_zip_holds_what_readers_copy() -> None:
    with zipfile.ZipFile(io.BytesIO(catalogue.as_zip())) as packed:
        text = packed.read(f"{archive.NAME}/snippets/sockets/echo_server.py").decode()
        assert len(packed.namelist()) == len(catalogue.entries()) + 1
    assert "# [" not in text
    assert catalogue.as_zip() == catalogue.as_zip()


@pytest.mark.browser
def test_the_filter_leaves_what_fits(
    new_context: Callable[[], BrowserContext], site_url: str
) -> None:
    page = new_context().new_page()
    page.goto(site_url + PAGE)
    rows = page.locator(".catalogue-group li:visible")
    everything = rows.count()
    page.locator(".catalogue-filter input[type=search]").fill("echo server")
    names = rows.locator("code").all_inner_texts()
    assert "echo_server.py" in names
    assert len(names) < everything / 4
    assert page.locator(".catalogue-filter output").inner_text() == (
        f"{len(names)} of {everything}"
    )
    page.locator(".catalogue-filter input[type=search]").fill("")
    page.get_by_label("any system").check()
    page.get_by_label("no package").check()
    for text in rows.locator("small").all_inner_texts():
        assert "Linux" not in text
        assert "pip install" not in text
    assert not page.locator(".catalogue-group:visible:not(:has(li:visible))").count()


@pytest.mark.browser
def test_without_scripts_the_list_is_whole(
    new_context: Callable[..., BrowserContext], site_url: str
) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto(site_url + PAGE)
    assert not page.locator(".catalogue-filter").is_visible()
    assert page.get_by_text("echo_server.py").first.is_visible()
