"""What a page tells of itself: minutes, programs, what to read first, its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handbook import claims, facts, pages

if TYPE_CHECKING:
    from pathlib import Path

MAY = claims.Result("passed", "3.11.7", "Linux 6.8.0", "2026-05-03")
JUNE = claims.Result("passed", "3.12.1", "Linux 6.9.0", "2026-06-30")
RED = claims.Result("failed", "3.11.7", "Linux 6.8.0", "2026-05-03")


def handbook(root: Path, **chapters: str) -> list[pages.Page]:
    """Write a part of chapters a and b, and read the pages."""
    docs = root / "docs"
    (docs / "part").mkdir(parents=True)
    (root / "snippets" / "part").mkdir(parents=True)
    (docs / "index.md").write_text("# Top\n\n```{toctree}\npart/index\n```\n")
    (docs / "part/index.md").write_text("# Part\n\n```{toctree}\na\nb\n```\n")
    for name in ("a", "b"):
        (docs / f"part/{name}.md").write_text(chapters.get(name, f"# {name}\n"))
    return pages.read_all(root)


def test_the_foot_says_where_and_when_all_passed() -> None:
    assert facts.told([MAY, JUNE], cited=1) == (
        "2 tested claims, 1 cited; all passed on Python 3.12.1, Linux 6.9.0, "
        "30 June 2026."
    )


def test_what_failed_or_did_not_run_is_not_called_passed() -> None:
    assert "; 1 passed on" in facts.told([MAY, RED])
    assert "; 1 passed on" in facts.told([MAY, None])
    assert facts.told([None]) == "1 tested claim; not run for this build."
    assert facts.told([]) == ""


def test_minutes_and_programs_are_counted(tmp_path: Path) -> None:
    shown = "```{literalinclude} ../../snippets/part/x.py\n```\n"
    text = f"---\nfirst: part/a\n---\n# b\n\n{'word ' * 400}\n\n{shown}{shown}"
    handbook(tmp_path, b=text)
    assert facts.of_all(tmp_path)["part/b"] == facts.Facts(3, 1, ("part/a",), "")


def test_the_order_is_that_of_the_toctrees(tmp_path: Path) -> None:
    by_name = {page.docname: page for page in handbook(tmp_path)}
    assert facts.in_order(by_name) == ["index", "part/index", "part/a", "part/b"]


def test_a_chapter_cannot_build_on_what_is_not_there(tmp_path: Path) -> None:
    read = handbook(tmp_path, b="---\nshort: B\nfirst: part/c\n---\n# b\n")
    (problem,) = facts.wrong(tmp_path, read)
    assert str(problem).startswith(
        "docs/part/b.md:3: there is no chapter 'part/c' to read first"
    )


def test_a_chapter_cannot_build_on_what_comes_later(tmp_path: Path) -> None:
    read = handbook(tmp_path, a="---\nfirst: part/b\n---\n# a\n")
    (problem,) = facts.wrong(tmp_path, read)
    assert "part/b comes after this chapter" in str(problem)
