"""The audit: which pages it opens, what it tells, and its exit status.

What it finds on a page is tested in tests/site/test_every_page.py, in a browser.
"""

from __future__ import annotations

import gzip
import http.client
import json
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from handbook import audit, serving
from handbook.problem import Problem
from handbook.weight import Weight
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


def article(*classes: str, words: int = 0) -> str:
    inside = "".join(f'<p class="{name}">Text.</p>' for name in classes)
    prose = " ".join(str(number) for number in range(words))
    return f"<header class='lost'></header><article>{inside}{prose}</article>"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of some pages of each kind."""
    audit._classes.cache_clear()
    pages = {
        "index.html": article("front"),
        "404.html": article(),
        "a/index.html": article("toc"),
        "a/short.html": article("snippet"),
        "a/long.html": article("snippet", "timeline", words=500),
        "a/odd.html": article("snippet", "abacus"),
        "a/odder.html": article("abacus", "barometer compass"),
        "tests/a/test_one.html": article("test", words=90),
        "tests/a/test_two.html": article("test"),
        "reference/claims/index.html": article(),
        "reference/claims/a.html": article(words=10),
        "reference/claims/b.html": article(),
        "_static/no-page.html": article("never"),
        **{f"z/plain-{number}.html": article() for number in range(9)},
    }
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_the_sample_has_each_kind_and_each_class(site: Path) -> None:
    found = audit.sample(site, more=0)
    assert found == [
        "404.html",
        "a/index.html",
        "a/long.html",  # the heaviest chapter
        "a/odder.html",  # nowhere else is a barometer, and here is the abacus, too
        "index.html",
        "reference/claims/a.html",
        "reference/claims/index.html",
        "tests/a/test_one.html",
    ]


def test_the_sample_is_the_same_each_time_and_takes_more(site: Path) -> None:
    few, more = audit.sample(site, more=0), audit.sample(site, more=3)
    assert set(few) < set(more)
    assert len(more) == len(few) + 3
    assert audit.sample(site, more=3) == more


def test_a_class_in_code_makes_no_page_special(site: Path) -> None:
    (site / "a/odder.html").write_text(
        '<article><pre class="highlight"><b class="barometer">x</b></pre></article>'
    )
    audit._classes.cache_clear()
    assert "a/odder.html" not in audit.sample(site, more=0)
    assert "a/odd.html" in audit.sample(site, more=0)


def test_pages_are_chosen_by_name(site: Path) -> None:
    everything = audit.chosen(site, "all")
    assert len(everything) == 21
    assert "_static/no-page.html" not in everything
    assert audit.chosen(site, " ") == audit.sample(site)
    assert audit.chosen(site, "a/odd.html, /tests/") == [
        "a/odd.html",
        "tests/a/test_one.html",
        "tests/a/test_two.html",
    ]
    with pytest.raises(Problem, match=r"no page of .* begins with nowhere"):
        audit.chosen(site, "index.html,nowhere")
    with pytest.raises(Problem, match="To mend it: make html"):
        audit.chosen(site / "z", "all")


@pytest.mark.parametrize("bad", [False, True])
def test_the_exit_status_tells_and_the_file_keeps_a_line_a_page(
    bad: bool,  # noqa: FBT001
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measured(where: Path, pages: list[str], jobs: int) -> list[audit.Page]:
        assert (where, jobs) == (site, 1)
        found = [audit.Page(name, Weight(name, 100)) for name in pages]
        if bad:
            found[0].problems.append("1280 px, light: axe: serious no-name, 3 times: x")
            found[0].axe["serious"] = 3
        return found

    monkeypatch.setattr(audit, "audit", measured)
    monkeypatch.setattr(audit, "SITE", site)
    monkeypatch.setattr(audit, "ROOT", tmp_path)
    monkeypatch.setattr(audit, "RESULTS", tmp_path / "audit.json")
    assert audit.main(["a/", "--jobs", "1"]) == int(bad)
    shown = capsys.readouterr()
    assert f"5 pages in 0 s, {int(bad)} over; audit.json: written" in shown.out
    assert ("0/3/0/0" in shown.out) == bad
    told = "a/index.html: 1280 px, light: axe: serious no-name, 3 times: x\n"
    assert shown.err == (told if bad else "")
    lines = (tmp_path / "audit.json").read_text().splitlines()
    assert [json.loads(line)["name"] for line in lines] == audit.chosen(site, "a/")
    assert json.loads(lines[0])["first_view"] == 100


# The server


def test_the_server_is_as_a_static_host(site: Path) -> None:
    with serving.serve(site) as top:
        host = urlsplit(top).netloc
        with closing(http.client.HTTPConnection(host, timeout=PATIENCE)) as connection:
            for _ in range(2):  # over one connection
                connection.request("GET", "/", headers={"Accept-Encoding": "gzip"})
                answer = connection.getresponse()
                assert answer.headers["Content-Encoding"] == "gzip"
                body = gzip.decompress(answer.read())
                assert body == (site / "index.html").read_bytes()
            connection.request("GET", "/a/odd.html?v=1")
            answer = connection.getresponse()
            assert answer.headers["Content-Encoding"] is None
            assert answer.read() == (site / "a/odd.html").read_bytes()
            connection.request("HEAD", "/a")
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.headers["Location"]) == (301, "/a/")
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(top + "nowhere.html", timeout=PATIENCE)  # noqa: S310
        with raised.value as missing:
            assert missing.code == 404
            assert missing.read() == (site / "404.html").read_bytes()
