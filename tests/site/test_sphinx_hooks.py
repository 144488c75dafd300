"""The Sphinx hooks of the site, on small handbooks made for the test."""

from __future__ import annotations

import io
import os
import posixpath
import sys
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

import processes
from handbook import claims, pages
from handbook import sidebar as tree
from handbook.accessible import mend
from handbook.sidebar import Entry, Group, render
from handbook.site import description

CONF = Path(tree.__file__).parents[1]

DOCS = {
    "index.md": "# Top\n\nThe first words.\n\n"
    "```{toctree}\n:caption: Parts\n\none/index\ntwo/index\n```\n",
    "one/index.md": "# One\n\n```{toctree}\na\nb\n```\n",
    "one/a.md": "---\nshort: Short A\n---\n"
    "# The long title of chapter A, for the page\n\nA.\n",
    "one/b.md": "# Title B\n\nB.\n",
    "two/index.md": "# Two\n\n```{toctree}\ninner/index\n```\n",
    "two/inner/index.md": "# Inner\n\n```{toctree}\ndeep\n```\n",
    "redirects.txt": "# old new\none/z.md one/y.md\none/y.md one/a.md\n",
    "two/inner/deep.md": "---\ndescription: What it says.\n---\n# Deep\n\nD.\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small handbook of four levels, not built yet."""
    for name, text in DOCS.items():
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path


def listed(name: str, whole: dict[str, str] | None = None) -> dict[str, str]:
    """Say what the sidebar of a page lists: of other parts the index alone."""
    folder = posixpath.dirname(name)

    def near(target: str) -> bool:
        part = posixpath.dirname(target)
        if target.endswith("/index.html"):
            part = posixpath.dirname(part)  # an index stands one level up
        return part in ("", folder) or folder.startswith(part + "/") or not folder

    return {k: v for k, v in (whole or WHOLE).items() if near(v)}


def build(folder: Path, **settings: Any) -> str:
    """Build the small handbook with the real settings; return the warnings."""
    warnings = io.StringIO()
    with patch_docutils(str(CONF)), docutils_namespace():
        app = Sphinx(
            folder / "docs",
            CONF,
            folder / "html",
            folder / "doctrees",
            "html",
            confoverrides=settings,
            status=None,
            warning=warnings,
        )
        app.build()
    return warnings.getvalue()


def build_apart(folder: Path, **environment: str) -> str:
    """Build it in a process of its own: an extension may start processes that stay."""
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-c", str(CONF)]
    folders = ["-d", str(folder / "doctrees"), str(folder / "docs")]
    status, said = processes.run_apart(
        [*sphinx, *folders, str(folder / "html")],
        # sphinx-sitemap 2.9 still asks the environment for the application.
        os.environ | environment | {"PYTHONWARNINGS": "ignore::DeprecationWarning"},
    )
    assert status == 0, said
    return said


def page(folder: Path, name: str) -> BeautifulSoup:
    """Return a built page, parsed."""
    return BeautifulSoup((folder / "html" / name).read_text("utf-8"), "html.parser")


def sidebar(folder: Path, name: str) -> dict[str, str]:
    """Return the sidebar of a page: each text, and the page it leads to."""
    links = page(folder, name).select(".sidebar-tree a")
    base = posixpath.dirname(name)
    return {
        link.get_text(): posixpath.normpath(posixpath.join(base, str(link["href"])))
        for link in links
    }


def change(folder: Path, name: str, old: str, new: str) -> None:
    """Edit a chapter; its time is moved on, for clocks that are too coarse."""
    path = folder / "docs" / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


WHOLE = {
    "One": "one/index.html",
    "Short A": "one/a.html",
    "Title B": "one/b.html",
    "Two": "two/index.html",
    "Inner": "two/inner/index.html",
    "Deep": "two/inner/deep.html",
}


def test_the_sidebar_is_rendered_once_per_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, plans = [], []

    def counted_render(plan: Any, name: str, uris: Any) -> Any:
        folders.append(name)
        return render(plan, name, uris)

    read = tree.read_plan

    def counted_read(env: Any) -> Any:
        plans.append(env)
        return read(env)

    monkeypatch.setattr(tree, "render", counted_render)
    monkeypatch.setattr(tree, "read_plan", counted_read)
    assert build(folder) == ""
    assert sorted(folders) == ["", "one", "two", "two/inner"]
    assert len(plans) == 1
    for name in ["index.html", "search.html", *WHOLE.values()]:
        assert sidebar(folder, name) == listed(name), name


def test_a_page_lists_its_own_part_and_the_other_parts_alone(folder: Path) -> None:
    build(folder)
    assert list(sidebar(folder, "one/a.html")) == ["One", "Short A", "Title B", "Two"]
    assert list(sidebar(folder, "two/index.html")) == ["One", "Two", "Inner"]
    assert list(sidebar(folder, "two/inner/deep.html")) == [
        *("One", "Two", "Inner", "Deep")
    ]
    assert list(sidebar(folder, "index.html")) == list(WHOLE)


def test_the_page_and_all_above_it_are_marked_at_every_depth(folder: Path) -> None:
    assert build(folder) == ""

    def marked(name: str, what: str) -> list[str]:
        found = page(folder, name).select(f".sidebar-tree {what}")
        return [link.get_text() for item in found if (link := item.find("a"))]

    deep = "two/inner/deep.html"
    assert marked(deep, "li.current") == ["Two", "Inner", "Deep"]
    assert marked(deep, "li.current-page") == ["Deep"]
    assert marked(deep, "li:has(> input[checked])") == ["Two", "Inner"]
    assert marked("one/index.html", "li.current") == ["One"]
    assert marked("one/index.html", "li:has(> input[checked])") == ["One"]
    assert marked("index.html", "li.current") == []
    current = page(folder, deep).select("[aria-current]")
    assert [link.get_text() for link in current] == ["Deep"]


def test_the_page_keeps_its_long_title_where_there_is_room(folder: Path) -> None:
    build(folder)
    following = page(folder, "one/index.html").select_one("a.next-page .title")
    assert following is not None
    assert following.get_text() == "The long title of chapter A, for the page"


def test_a_new_title_reaches_every_page(folder: Path) -> None:
    build(folder)
    change(folder, "one/b.md", "Title B", "Another name")
    build(folder)
    changed = {"Another name" if k == "Title B" else k: v for k, v in WHOLE.items()}
    for name in ["index.html", *WHOLE.values()]:
        assert sidebar(folder, name) == listed(name, changed), name


def test_a_new_order_reaches_every_page(folder: Path) -> None:
    build(folder)
    change(folder, "one/index.md", "a\nb\n", "b\na\n")
    build(folder)
    for name in ["index.html", "one/index.html", "one/a.html", "one/b.html"]:
        titles = list(sidebar(folder, name))
        assert titles.index("Title B") < titles.index("Short A"), name


def test_a_new_short_title_reaches_every_page(folder: Path) -> None:
    build(folder)
    change(folder, "one/a.md", "Short A", "Shorter")
    build(folder)
    assert "Shorter" in sidebar(folder, "one/b.html")
    assert "Shorter" not in sidebar(folder, "two/inner/deep.html")


def test_a_chapter_that_is_gone_leaves_no_page(folder: Path) -> None:
    build(folder)
    assert (folder / "html/one/b.html").exists()
    (folder / "html/one/theirs.html").write_text("not of this handbook")
    (folder / "docs/one/b.md").unlink()
    change(folder, "one/index.md", "a\nb\n", "a\n")
    assert not build(folder)
    assert not (folder / "html/one/b.html").exists()
    for name in ("one/a.html", "search.html", "404.html", "one/theirs.html"):
        assert (folder / "html" / name).exists()


def test_other_edits_rewrite_only_their_page(folder: Path) -> None:
    build(folder)
    others = [folder / "html" / name for name in ("one/a.html", "two/index.html")]
    before = [path.stat().st_mtime_ns for path in others]
    change(folder, "one/b.md", "B.\n", "Other words.\n")
    build(folder)
    assert "Other words." in page(folder, "one/b.html").get_text()
    assert [path.stat().st_mtime_ns for path in others] == before


def test_pages_and_tests_are_read_again_only_after_a_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder)
    read: list[str] = []

    def note(module: Any, name: str) -> None:
        whole = getattr(module, name)

        def noted(root: Path) -> Any:
            read.append(name)
            return whole(root)

        monkeypatch.setattr(module, name, noted)

    note(pages, "read_all")
    note(claims, "gather")
    build(folder)
    assert read == []
    change(folder, "one/b.md", "B.\n", "Other words.\n")
    build(folder)
    assert {"read_all", "gather"} <= set(read)


def test_a_short_title_that_is_too_long_is_named_with_its_line(folder: Path) -> None:
    change(folder, "one/a.md", "Short A", "A short title that is not short at all")
    said = build(folder)
    assert f"one{os.sep}a.md:2: WARNING: the sidebar has room for 28" in said
    assert "shorten `short:`" in said


def test_a_long_title_without_a_short_one_is_named(folder: Path) -> None:
    change(folder, "one/b.md", "Title B", "A title that has more than 28 characters")
    said = build(folder)
    assert f"one{os.sep}b.md:1: WARNING: the sidebar has room for 28" in said
    assert "add `short: …`" in said


def test_the_live_server_has_no_policy(folder: Path) -> None:
    policy = 'meta[http-equiv="Content-Security-Policy"]'
    build(folder)
    assert len(page(folder, "one/a.html").select(policy)) == 1
    build(folder, handbook_live=True)
    assert not page(folder, "one/a.html").select(policy)


def test_a_description_is_said_or_taken_from_the_text(folder: Path) -> None:
    build(folder)

    def described(name: str) -> str:
        tag = page(folder, name).select_one('meta[name="description"]')
        assert tag is not None
        return str(tag["content"])

    assert described("two/inner/deep.html") == "What it says."
    assert described("index.html") == "The first words."
    assert described("one/index.html")  # no text at all: the name of the page


def test_a_long_description_ends_with_a_whole_word() -> None:
    text = description({"description": "word " * 100}, None)
    assert text.endswith("word …")
    assert len(text) <= 203


def test_address_and_repository_are_used_when_given(folder: Path) -> None:
    said = build_apart(
        folder,
        HANDBOOK_BASEURL="https://example.org/handbook/",
        HANDBOOK_REPOSITORY="https://github.com/some/thing",
    )
    assert said == ""
    soup = page(folder, "one/a.html")
    canonical, edit = (
        soup.select_one("link[rel=canonical]"),
        soup.select_one("[rel=edit]"),
    )
    assert canonical is not None
    assert edit is not None
    assert canonical["href"] == "https://example.org/handbook/one/a.html"
    assert edit["href"] == "https://github.com/some/thing/edit/main/docs/one/a.md"
    sitemap = (folder / "html" / "sitemap.xml").read_text("utf-8")
    assert "<loc>https://example.org/handbook/one/a.html</loc>" in sitemap
    assert "404" not in sitemap
    assert "search" not in sitemap
    report = soup.select_one(".report-error")
    assert report is not None
    assert report["href"] == (
        "https://github.com/some/thing/issues/new?template=mistake.yml"
        "&page=https%3A//example.org/handbook/one/a.html"
    )


def test_an_empty_corner_of_a_table_is_no_heading(folder: Path) -> None:
    change(folder, "one/b.md", "B.\n", "| | one |\n|---|---|\n| two | 2 |\n")
    assert build(folder) == ""
    heads = [head.get_text(strip=True) for head in page(folder, "one/b.html")("th")]
    assert heads == ["one"]


def test_an_old_address_leads_to_where_the_page_has_gone(folder: Path) -> None:
    assert build(folder) == ""
    for old in ("one/y.html", "one/z.html"):
        link = page(folder, old).select_one("link[rel=canonical]")
        assert link is not None
        assert link["href"] == "a.html"


def test_a_redirect_to_nowhere_is_told(folder: Path) -> None:
    change(folder, "redirects.txt", "one/a.md", "one/gone.md")
    assert "one/gone.html does not exist" in build(folder)


def test_titles_are_escaped_and_other_sites_are_linked() -> None:
    plan = [Group("A & B", (Entry("<x>", "https://example.org/?a&b", external=True),))]
    text = render(plan, "one", {}).marked("one/a")
    assert "A &amp; B" in text
    assert 'href="https://example.org/?a&amp;b">&lt;x&gt;</a>' in text


def test_the_page_for_a_wrong_address_works_at_any_address(folder: Path) -> None:
    build(folder, html_baseurl="https://example.org/handbook/")
    soup = page(folder, "404.html")
    base = soup.select_one("base")
    assert base is not None
    assert base["href"] == "/handbook/"
    assert not soup.select('[href^="."], [src^="."]')
    assert sidebar(folder, "404.html") == WHOLE
    assert not page(folder, "one/a.html").select("base")


LONG = "x" * 31

INLINE = (
    '<code class="docutils literal notranslate"><span class="pre">a b</span></code>'
)

LINES = (
    '<pre><span id="a-1"><span class="kn">one</span>\n</span>'
    '<span id="a-2"><span class="n">two</span>\n</span></pre>'
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"<pre>{LONG}</pre>", 'role="region" aria-label="Code">'),
        ("<pre>short</pre>", "<pre>short</pre>"),
        (f"<pre>&lt;{LONG[:28]}&gt;</pre>", "<pre>&lt;"),
        (
            f'<a class="snippet-path" href="#">snippets/a/b.py</a><pre>{LONG}</pre>',
            'aria-label="Program b.py"',
        ),
        (
            '<div class="table-wrapper docutils container">',
            'container" tabindex="0" role="region" aria-label="Table">',
        ),
        ('<p class="caption" role="heading">', '<p class="caption">'),
        # A line that a picture of the page links to keeps its id, others lose it.
        (
            f'<a href="#a-2">line 2</a>{LINES}',
            '<pre><span class="k">one</span>\n<span id="a-2">two\n</span></pre>',
        ),
        (
            '<pre><span class="sa">b</span><span class="s2">&quot;x&quot;</span></pre>',
            '<pre><span class="s">b&quot;x&quot;</span></pre>',
        ),
        (
            INLINE,
            '<code class="literal">a b</code>',
        ),
        (
            '<p title="포트">(리스닝 소켓, 포트) word</p>',
            '<p title="포트">(<span lang="ko">리스닝 소켓</span>, '
            '<span lang="ko">포트</span>) word</p>',
        ),
        ('<aside class="sidebar">', '<aside role="note" class="sidebar">'),
        (
            '<aside class="footnote-list brackets">',
            '<aside role="none" class="footnote-list brackets">',
        ),
        (
            '<aside class="footnote brackets" role="doc-footnote">',
            '<aside class="footnote brackets" role="doc-footnote">',
        ),
    ],
)
def test_a_body_is_mended(body: str, expected: str) -> None:
    assert expected in mend(body)


def test_lines_keep_their_ids_for_links_of_other_pages() -> None:
    assert 'id="a-1"' not in mend(LINES)
    kept = mend(LINES, every_line=True)
    assert '<span id="a-1">' in kept
    assert '<span id="a-2">' in kept


def test_regions_have_names_of_their_own() -> None:
    twice = mend(f"<pre>{LONG}</pre><pre>{LONG}</pre>")
    assert 'aria-label="Code"' in twice
    assert 'aria-label="Code, 2"' in twice
