"""What must stand in every built page, read without a browser."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from handbook.site import POLICY
from handbook.snippet import ROOT, find, read
from handbook.weight import Weight, weigh

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def soups(built_site: Path, pages: list[str]) -> dict[str, BeautifulSoup]:
    """Return every page, parsed."""
    return {
        name: BeautifulSoup((built_site / name).read_text("utf-8"), "html.parser")
        for name in pages
    }


OUTSIDE = {"search.html", "404.html"}  # of the order of chapters


def proofs_of(soups: dict[str, BeautifulSoup]) -> set[str]:
    """Name the pages to which the ledger's entries link."""
    return {name for name in soups if name.startswith(("tests/", "programs/"))}


def dead_links(soups: dict[str, BeautifulSoup], site: Path) -> list[str]:
    """Return the links within the site that lead to no file or to no place in it."""
    places = {
        name: {str(each["id"]) for each in soup.select("[id]")}
        for name, soup in soups.items()
    }
    dead = []
    for name, soup in soups.items():
        for link in soup.select("[href]"):
            address = urlsplit(str(link["href"]))
            if address.scheme or address.netloc:
                continue
            where = posixpath.join(posixpath.dirname(name), unquote(address.path))
            target = posixpath.normpath(where) if address.path else name
            place = unquote(address.fragment)
            if target not in places:
                found = (site / target).exists()
            else:
                found = not place or place in places[target]
            if not found:
                dead.append(f"{name}: {link['href']}")
    return dead


def test_every_link_within_the_site_leads_somewhere(
    soups: dict[str, BeautifulSoup], built_site: Path
) -> None:
    assert not dead_links(soups, built_site)


def test_a_picture_leads_to_lines_of_a_program_with_a_page_of_its_own(
    soups: dict[str, BeautifulSoup],
) -> None:
    machine = soups["streams/closing.html"].select_one("figure.chart svg")
    assert machine is not None
    arrows = {str(link["href"]) for link in machine.select("a")}
    assert len(arrows) > 5
    own = "../programs/streams/states.html#streams-states-"
    assert all(arrow.startswith(own) for arrow in arrows)


def test_the_check_of_links_can_fail(built_site: Path) -> None:
    page = '<p id="here"></p><a href="%s"></a>'
    for address, dead in (
        ("#here", False),
        ("b.html#here", False),
        ("https://example.org/#x", False),
        ("#there", True),
        ("b.html#there", True),
        ("c.html", True),
    ):
        site = {
            name: BeautifulSoup(page % address, "html.parser")
            for name in ("a.html", "b.html")
        }
        assert bool(dead_links(site, built_site)) == dead, address


def test_every_entry_of_the_ledger_links_to_its_test(
    soups: dict[str, BeautifulSoup],
) -> None:
    seen = set()
    for name, soup in soups.items():
        for entry in soup.select(".ledger-entry"):
            link = entry.select_one('a[href*="/tests/"]')
            if link is None:
                assert "cited, not run" in entry.get_text(), (name, entry["id"])
                continue
            target, _, anchor = str(link["href"]).partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            place = soups[target].find(id=anchor)
            assert place is not None, (target, anchor)
            assert place.get_text() == anchor.removeprefix("claim-")
            code = place.find_next("pre")
            assert code is not None
            assert f'"{place.get_text()}"' in code.get_text()
            back = place.find("a", href=True)
            assert back is not None
            assert str(back["href"]).endswith(f"{posixpath.basename(name)}#{anchor}")
            seen.add(target)
    assert seen == {name for name in soups if name.startswith("tests/")}


def test_every_page_has_what_a_page_needs(soups: dict[str, BeautifulSoup]) -> None:
    problems = []
    for name, soup in soups.items():
        counts = {
            "h1": 1,
            "title": 1,
            "html[lang]": 1,
            "a.skip-to-content[href='#furo-main-content']": int(name != "404.html"),
            "#furo-main-content": 1,
            'meta[name="description"][content]': 1,
            'meta[property="og:title"]': 1,
            'link[rel="icon"]': 1,
            '[role="main"]': 1,
            "aside:not([role])": 0,
            "nav:not([aria-label]):not([aria-labelledby])": 0,
            "[role=heading]:not([aria-level])": 0,
            "script:not([src])": 0,
            'link[rel="canonical"], a[rel="edit"]': 0,  # no address was given
        }
        for selector, count in counts.items():
            found = len(soup.select(selector))
            if found != count:
                problems.append(f"{name}: {found} of {selector}, not {count}")
        described = soup.select_one('meta[name="description"]')
        if described is None or not str(described["content"]).strip():
            problems.append(f"{name}: the description is empty")
    assert not problems, "\n".join(problems)


def test_every_page_carries_the_policy(soups: dict[str, BeautifulSoup]) -> None:
    assert "unsafe-inline" not in POLICY.partition("script-src")[2].partition(";")[0]
    for name, soup in soups.items():
        policies = soup.select('meta[http-equiv="Content-Security-Policy"]')
        assert [tag["content"] for tag in policies] == [POLICY], name
        head = soup.head
        assert head is not None
        tags = head.find_all(["link", "script", "meta"], limit=2)
        assert tags[1] is policies[0], f"{name}: something is loaded before the policy"


def test_the_sidebar_marks_the_page_and_its_links_lead_somewhere(
    soups: dict[str, BeautifulSoup], built_site: Path
) -> None:
    marked = 0
    for name, soup in soups.items():
        folder = posixpath.dirname(name)
        for link in soup.select(".sidebar-tree a.internal"):
            target = posixpath.normpath(posixpath.join(folder, str(link["href"])))
            assert (built_site / target).is_file(), (name, link["href"])
        for link in soup.select(".sidebar-tree a[aria-current]"):
            marked += 1
            assert link["aria-current"] == "page"
            assert posixpath.normpath(posixpath.join(folder, str(link["href"]))) == name
            for above in link.find_parents("li"):
                assert "current" in above["class"], (name, above["class"])
                box = above.find("input", recursive=False)
                assert box is None or box.has_attr("checked"), name
    pages = set(soups) - {"index.html", *OUTSIDE} - proofs_of(soups)
    assert marked >= len(pages), "a page is not in the list of chapters"


def test_previous_and_next_join_all_chapters(soups: dict[str, BeautifulSoup]) -> None:
    name, seen = "index.html", ["index.html"]
    while link := soups[name].select_one(".related-pages a.next-page"):
        following = posixpath.join(posixpath.dirname(name), str(link["href"]))
        following = posixpath.normpath(following)
        assert following not in seen, "next goes round in a circle"
        back = soups[following].select_one(".related-pages a.prev-page")
        assert back is not None
        before = posixpath.join(posixpath.dirname(following), str(back["href"]))
        assert posixpath.normpath(before) == name
        name = following
        seen.append(name)
    assert set(seen) == set(soups) - OUTSIDE - proofs_of(soups)


def test_code_that_may_scroll_is_reached_by_keyboard_and_named(
    soups: dict[str, BeautifulSoup],
) -> None:
    found = 0
    for name, soup in soups.items():
        names = []
        for block in soup.select("pre, .table-wrapper"):
            wide = max(map(len, block.get_text().splitlines()), default=0) > 79
            if wide or block.has_attr("tabindex"):
                found += 1
                assert block.get("tabindex") == "0", (name, block.get_text()[:80])
                assert block.get("role") == "region"
                names.append(str(block.get("aria-label")))
        assert len(names) == len(set(names)), f"{name}: names given twice: {names}"
        assert all(names), name
    assert found


def test_what_a_copy_button_takes_is_the_whole_program(
    soups: dict[str, BeautifulSoup],
) -> None:
    seen = set()
    for name, soup in soups.items():
        for source in soup.select(".snippet .copy-source"):
            box = source.find_parent(class_="snippet")
            assert box is not None
            path, pre = box.select(".snippet-path"), source.select("pre")
            assert (len(path), len(pre)) == (1, 1), name
            where = path[0].get_text().strip()
            assert pre[0].get_text() == read(ROOT / where).clean, (name, where)
            seen.add(where)
    assert {path.relative_to(ROOT).as_posix() for path in find()} <= seen


@pytest.fixture(scope="module")
def weights(built_site: Path, pages: list[str]) -> dict[str, Weight]:
    """Return what each page weighs."""
    return {name: weigh(name, built_site) for name in pages}


def test_the_weight_of_every_page(weights: dict[str, Weight]) -> None:
    problems = [
        f"{name}: {problem}" for name in weights for problem in weights[name].problems()
    ]
    assert not problems, "\n".join(problems)


def test_scripts_nobody_needs_are_left_out(weights: dict[str, Weight]) -> None:
    for name, weight in weights.items():
        scripts = {posixpath.basename(file) for file in weight.files}
        scripts = {file for file in scripts if file.endswith(".js")}
        assert scripts <= {"scheme.js", "site.js"}, (name, scripts)
