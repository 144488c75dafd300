"""The scales on which the built pages are laid."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from handbook.problem import Problem
from handbook.weight import Weight, weigh

if TYPE_CHECKING:
    from pathlib import Path


def noise(size: int) -> bytes:
    """Return bytes that gzip cannot make fewer."""
    made = b"".join(
        hashlib.sha256(n.to_bytes(4)).digest() for n in range(size // 32 + 1)
    )
    return made[:size]


PAGE = """<!doctype html>
<html><head><title>A page</title>
<link rel="canonical" href="https://example.org/part/page.html">
<link rel="next" href="other.html">
<link rel="stylesheet" href="../_static/site.css?v=1">
<link rel="icon" href="../_static/icon%20one.png">
<script src="/_static/site.js" defer></script>
<script>let inline = 1;</script>
</head><body>
<img src="picture.png" alt=""><img src="picture.png" alt="again">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">
<a href="other.html">Other</a> <svg><use href="#here"/></svg>
</body></html>
"""
LOOP = '@import "../site.css";'
STYLE = "@import url('deep/more.css');a{background:url(data:image/png;base64,AA)}"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of one page that asks for five files, one of them through another."""
    files = {
        "part/page.html": PAGE.encode(),
        "part/picture.png": noise(3000),
        "_static/site.css": STYLE.encode(),
        "_static/deep/more.css": LOOP.encode(),
        "_static/site.js": b"x" * 5000,
        "_static/icon one.png": noise(200),
        "_static/unused.js": noise(9000),
    }
    for file, content in files.items():
        path = tmp_path / "site" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "site"


def test_a_page_weighs_itself_and_what_it_asks_for_once(site: Path) -> None:
    weight = weigh("part/page.html", site)
    script = weight.files["_static/site.js"]
    assert weight.requests == 6
    assert 0 < script < 100, "5000 equal bytes are few once gzipped"
    assert 200 < weight.html < len(PAGE)
    sizes = (script, 3000, len(STYLE), len(LOOP), 200)
    assert weight.total == weight.html + sum(sizes)
    assert not weight.problems()


def test_a_page_over_any_budget_is_over() -> None:
    def files(size: int, count: int) -> dict[str, int]:
        return {f"{n}.png": size if n == 0 else 0 for n in range(count)}

    def within(size: int, requests: int) -> bool:
        return not Weight("a.html", 5_000, files(size - 5_000, requests - 1)).problems()

    assert within(45_000, 14)
    assert not within(45_001, 14)
    assert not within(45_000, 15)
    assert not Weight("a.html", 18_000).problems()
    assert Weight("a.html", 18_001).problems() == [
        "18001 bytes of HTML, 18000 are the budget"
    ]


def test_another_host_is_a_request(site: Path) -> None:
    page = site / "part" / "page.html"
    before = weigh("part/page.html", site)
    page.write_text(PAGE.replace("</body>", "<img src='//example.org/a.png'></body>"))
    after = weigh("part/page.html", site)
    assert after.requests == before.requests + 1
    assert after.files == before.files | {"//example.org/a.png": 0}


def test_a_missing_file_is_named(site: Path) -> None:
    (site / "_static" / "deep" / "more.css").unlink()
    with pytest.raises(Problem, match=r"asks for deep/more\.css") as raised:
        weigh("part/page.html", site)
    assert raised.value.where == "_static/site.css"
