"""What the directives put on a page, and which pages an edit rewrites."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup

from building import SITE, build, sphinx
from handbook import boxes, claims, recordings, snippet

if TYPE_CHECKING:
    from pathlib import Path


def rewritten(repository: Path) -> set[str]:
    """Build again and say which pages were written."""
    out = repository / SITE
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.html")}
    build(repository)
    return {
        path.relative_to(out).as_posix()
        for path in out.rglob("*.html")
        if path.stat().st_mtime_ns != before.get(path)
        and path.name not in ("search.html", "404.html")  # written on every build
    }


def page(out: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((out / f"{name}.html").read_text(), "html.parser")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def marked(built: Path) -> Path:
    """Put a region into a program and show it."""
    program = built / "snippets/listening/demux.py"
    change(
        program,
        '        bob.sendall(b"bob was here")\n'
        '        alice.sendall(b"alice was here")\n',
        '        # [write]\n        bob.sendall(b"bob was here")\n'
        '        alice.sendall(b"alice was here")\n        # [/write]\n',
    )
    change(
        built / "docs/listening/two-kinds-of-socket.md",
        "listening/demux.py\n```",
        "listening/demux.py\n:region: write\n```",
    )
    return built


def test_an_excerpt_shows_its_lines_and_gives_the_whole_program(marked: Path) -> None:
    out = build(marked)
    soup = page(out, "listening/two-kinds-of-socket")
    (box,) = soup.select("#snippet-listening-demux")
    excerpt = box.select_one(":scope > .highlight-python pre")
    whole = box.select_one(".copy-source pre")
    assert excerpt is not None
    assert whole is not None
    assert excerpt.get_text() == (
        'bob.sendall(b"bob was here")\nalice.sendall(b"alice was here")\n'
    )
    clean = (snippet.ROOT / "snippets/listening/demux.py").read_text()
    assert whole.get_text() == clean
    assert (out / "snippets/listening/demux.py").read_text() == clean
    assert "# [" not in soup.get_text()


def test_the_whole_of_a_long_program_has_a_page_of_its_own(marked: Path) -> None:
    program = marked / "snippets/listening/demux.py"
    program.write_text(program.read_text() + "# more\n" * boxes.OWN_PAGE)
    out = build(marked)
    (box,) = page(out, "listening/two-kinds-of-socket").select(
        "#snippet-listening-demux"
    )
    assert not box.select(".copy-source")
    link = box.select_one(".snippet-elsewhere a")
    assert link is not None
    assert link["href"] == "../programs/listening/demux.html"
    whole = page(out, "programs/listening/demux").select_one(".copy-source pre")
    assert whole is not None
    assert whole.get_text() == snippet.read(program, marked).clean
    assert rewritten(marked) == set()
    change(program, "# more\n" * boxes.OWN_PAGE, "")
    build(marked)
    assert not (out / "programs/listening/demux.html").exists()


def test_timeline_links_lead_to_the_lines_that_made_the_calls(built: Path) -> None:
    soup = page(built / SITE, "sockets/a-conversation")
    for step in soup.select("figure.timeline svg a"):
        line = soup.select_one(str(step["href"]))
        assert line is not None, step["href"]
        call = re.search(r": (\w+)\(\)", str(step["aria-label"]))
        assert call is None or call[1] in line.get_text()


def test_what_varies_is_marked_and_only_that(built: Path) -> None:
    soup = page(built / SITE, "listening/two-kinds-of-socket")
    made = recordings.load(snippet.by_id("listening/close_listener", built))
    box = next(
        box for box in soup.select(".recorded") if "still there?" in box.get_text()
    )
    assert box.select_one("pre").get_text() == made.transcripts[""]  # type: ignore[union-attr]
    marked = {mark.get_text() for mark in box.select(".varies")}
    assert marked == {str(port) for port in made.ports} & marked
    assert marked
    assert not page(built / SITE, "sockets/a-conversation").select(".varies:empty")


def test_every_link_of_a_claim_leads_to_its_entry(built: Path) -> None:
    out = built / SITE
    found = 0
    for path in out.rglob("*.html"):
        soup = BeautifulSoup(path.read_text(), "html.parser")
        for tick in soup.select("a.claim-tick"):
            target, _, anchor = str(tick["href"]).partition("#")
            ledger = BeautifulSoup((path.parent / target).read_text(), "html.parser")
            assert ledger.find(id=anchor) is not None, (path, tick["href"])
            found += 1
    assert found > 20


def test_the_ledger_is_never_green_by_default(built: Path) -> None:
    out = built / SITE
    outcomes = page(out, "reference/claims/listening").select(".outcome")
    assert outcomes
    assert {o.get_text() for o in outcomes} == {"not run for this build"}
    made = claims.collect(built)["ready-after-bind"]
    claims.save_results(
        {
            made.id: {
                "outcome": "failed",
                "python": "3.11.0",
                "kernel": "Linux 6",
                "date": "2026-01-01",
                "code": made.fingerprint,
            }
        },
        built,
    )
    assert rewritten(built) >= {"reference/claims/listening.html"}
    soup = page(out, "reference/claims/listening")
    (entry,) = soup.select("#claim-ready-after-bind .outcome")
    assert entry.get_text() == "failed on Python 3.11.0, Linux 6, 2026-01-01"


def test_an_edit_rewrites_the_pages_concerned_and_no_other(built: Path) -> None:
    assert rewritten(built) == set()
    change(built / "snippets/listening/demux.py", "one port,", "one single port,")
    assert rewritten(built) == {
        "listening/two-kinds-of-socket.html",
        "listening/index.html",
    }
    recorded = built / "snippets/sockets/recorded/who_calls_accept.txt"
    change(recorded, "accept()", "accept( )")
    assert rewritten(built) == {
        "sockets/a-conversation.html",
        "sockets/index.html",
    }
    change(built / "conf/handbook/story.py", '"no fd yet"', '"no descriptor"')
    assert "listening/before-accept.html" in rewritten(built)


def test_a_fragment_says_why_and_is_shown_as_code(built: Path) -> None:
    change(
        built / "docs/about/how-to-read.md",
        "## Timelines",
        "```{code-block} python\n:fragment: no such module exists\n\nimport tea\n"
        "```\n\n## Timelines",
    )
    assert "import tea" in page(build(built), "about/how-to-read").get_text()


def test_another_page_of_the_ledger_takes_the_claims_of_a_chapter(
    built: Path,
) -> None:
    folder = built / "docs/reference/claims"
    whole = page(built / SITE, "reference/claims/listening")
    before = {str(entry["id"]) for entry in whole.select(".ledger-entry")}
    (folder / "waiting.md").write_text(
        '---\nshort: "Claims: waiting"\ndescription: "Claims about waiting."\n---\n\n'
        "# Claims: waiting\n\n```{ledger} listening\n:tests: before_accept\n```\n"
    )
    change(folder / "index.md", "\nlistening\n", "\nlistening\nwaiting\n")
    out = build(built)
    rest, taken = (
        {str(entry["id"]) for entry in page(out, name).select(".ledger-entry")}
        for name in ("reference/claims/listening", "reference/claims/waiting")
    )
    assert rest | taken == before
    assert rest
    assert taken
    assert not rest & taken
    ticks = page(out, "listening/before-accept").select("a.claim-tick")
    assert any("claims/waiting.html#" in str(tick["href"]) for tick in ticks)


def test_the_form_names_every_directive_and_no_other() -> None:
    code = "".join(
        path.read_text("utf-8")
        for path in (snippet.ROOT / "conf/handbook").glob("*.py")
    )
    there = set(re.findall(r'add_directive\("([a-z-]+)"', code))
    form = (snippet.ROOT / "docs/about/the-form.md").read_text("utf-8")
    cells = re.findall(r"^\| (`\{[^|]+) \|", form.replace(r"\|", "/"), re.MULTILINE)
    told = set(re.findall(r"`\{([a-z-]+)\}", " ".join(cells)))
    assert there - told == {"code-block"}  # told of in the text
    assert told - there == set()
    lines = [line for line in form.splitlines() if line.startswith(("- ", "| `"))]
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    rows = Counter(re.findall(r"`\{([a-z-]+)\}", cell)[0] for cell in cells)
    assert [name for name, times in rows.items() if times > 1] == []


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_page_waits_for_the_test_of_its_claim(built: Path, processes: str) -> None:
    """Pages read by another process are remembered, too."""
    for number in range(6):  # fewer pages than six are read by one process
        extra = built / f"docs/extra{number}.md"
        extra.write_text(f"---\norphan:\n---\n# Extra {number}\n\nNo words.\n")
    name = "docs/listening/before-accept.md"
    change(built / name, "```{claim} not-connected", "```{claim} nt-connected")

    def said() -> str:
        status, words = sphinx(built, "-j", processes)
        assert status == 0, words
        return words

    assert "no test claims nt-connected-during-listen" in said()
    # In a file of its own: on the others the page depends already.
    (built / "tests/listening/test_later.py").write_text(
        "from handbook.claims import claim\n\n\n"
        '@claim("nt-connected-during-listen", "listen(2)")\n'
        "def test_it_at_last() -> None:\n"
        '    """At last there is a test."""\n'
    )
    assert "no test claims" not in said()
    shown = page(built / SITE, "listening/before-accept")
    assert "At last there is a test." in shown.get_text()
