"""The EPUB: pages that are XML, links that lead somewhere, pictures declared."""

from __future__ import annotations

import os
import posixpath
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from handbook import archive
from handbook.epub import for_a_book
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
XHTML = "{http://www.w3.org/1999/xhtml}"
OPF = "{http://www.idpf.org/2007/opf}"

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """Build the book of the whole handbook, strictly."""
    out = tmp_path_factory.mktemp("book")
    strict = ["-E", "-n", "-W", "--keep-going", "-q", "-c", "conf"]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "sphinx",
            *strict,
            "-b",
            "epub",
            "-t",
            "epub",
            "docs",
            out,
        ],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if k != "HANDBOOK_BASEURL"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(out / "sockets-ports-websockets.epub") as opened:
        yield opened


def test_the_book_is_whole(book: zipfile.ZipFile) -> None:
    """What epubcheck looks for, as far as it may break here."""
    names = set(book.namelist())
    pages = {name: ET.fromstring(book.read(name)) for name in names if ".xhtml" in name}
    ids = {name: {e.get("id") for e in tree.iter()} for name, tree in pages.items()}
    wrong = []
    for name, tree in pages.items():
        for element in tree.iter():
            link = element.get("href") or element.get("src") or ""
            if not link or "://" in link or link.startswith(("data:", "mailto:")):
                continue
            target, _, anchor = link.partition("#")
            file = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
            file = file if target else name
            if file not in names or (anchor and anchor not in ids[file]):
                wrong.append(f"{name}: {link}")
        wrong += [
            f"{name}: a download" for e in tree.iter(f"{XHTML}a") if e.get("download")
        ]
        wrong += [f"{name}: a script" for _ in tree.iter(f"{XHTML}script")]
    assert not wrong
    package = ET.fromstring(book.read("content.opf"))
    declared = {
        str(item.get("href"))
        for item in package.iter(f"{OPF}item")
        if "svg" in (item.get("properties") or "")
    }
    assert declared == {
        name for name in pages if b"<svg" in book.read(name) and name != "nav.xhtml"
    }
    assert len(declared) > 20
    css = book.read("_static/book.css")
    assert b"var(" not in css
    assert b":has(" not in css


def test_a_link_out_of_the_book_is_whole_or_none() -> None:
    link = '<a href="../programs/sockets/x.html#a">x</a>'
    assert for_a_book(link, "sockets", set(), "") == "<a>x</a>"
    assert for_a_book(link, "sockets", set(), "https://example.org/h/") == (
        '<a href="https://example.org/h/programs/sockets/x.html#a">x</a>'
    )
    inside = '<a href="../ports/b.html#c">x</a>'
    assert for_a_book(inside, "sockets", {"ports/b"}, "") == (
        '<a href="../ports/b.xhtml#c">x</a>'
    )


def test_the_zip_holds_the_site_and_says_how_to_serve_it(
    built_site: Path, tmp_path: Path
) -> None:
    target = tmp_path / "site.zip"
    assert archive.pack_site(built_site, target) == target.stat().st_size
    with zipfile.ZipFile(target) as packed:
        names = {name.removeprefix(f"{archive.NAME}/") for name in packed.namelist()}
        readme = packed.read(f"{archive.NAME}/README.txt").decode()
    assert {"index.html", "pagefind/pagefind.js", "_static/site.css"} <= names
    assert not [name for name in names if "doctree" in name or name.startswith("_so")]
    assert "python3 -m http.server --bind 127.0.0.1" in readme
    again = tmp_path / "again.zip"
    archive.pack_site(built_site, again)
    assert again.read_bytes() == target.read_bytes()


def test_without_a_site_there_is_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no built site is here"):
        archive.pack_site(tmp_path, tmp_path / "x.zip")
