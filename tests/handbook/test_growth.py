"""Growth: the chapters are multiplied honestly, and the words are all counted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from handbook.bench import growth
from handbook.bench.build import Bench, rendered_words
from handbook.bench.cost import Cost
from handbook.bench.measure import verdict
from handbook.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path


def test_copies_are_built_without_a_warning_and_listed(
    repository: Path, tmp_path: Path
) -> None:
    bench = Bench(repository, tmp_path / "bench", 1)
    docs = bench.copy / "docs"
    originals = growth.multiply(docs, 7)
    names = sorted(path.stem for path in growth.chapters(docs))
    assert len(names) == 7
    assert {path.stem for path in originals} < set(names)
    bench.build(tmp_path / "site", cold=True)
    last = (tmp_path / "site" / "index.html").read_text("utf-8")
    copies = [name for name in names if "-copy-" in name]
    assert len(copies) == 7 - len(originals)
    assert all(f"/{name}.html" in last for name in copies), "the sidebar lists them"


def test_a_part_without_a_list_is_named(repository: Path) -> None:
    index = repository / "docs" / "sockets" / "index.md"
    index.write_text("# Sockets\n")
    with pytest.raises(Problem, match="the part has no list of chapters") as raised:
        growth.multiply(repository / "docs", 9)
    assert raised.value.where == "docs/sockets/index.md"


def test_growth_is_told_from_100_to_300(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def build(bench: Bench, out: Path, **options: object) -> Cost:
        assert options == {"cold": True, "timeout": growth.TIMEOUT}
        chapters = growth.chapters(bench.copy / "docs")
        sizes.append(len(chapters))
        shutil.rmtree(out, ignore_errors=True)
        for path in chapters:
            page = (out / path.relative_to(bench.copy / "docs")).with_suffix(".html")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text("x" * 10)
        return Cost(len(chapters) ** 2 / 100, 0.0)

    monkeypatch.setattr(Bench, "build", build)
    bench = Bench(repository, tmp_path / "bench", 1)
    before = growth.chapters(bench.copy / "docs")
    found = growth.growth(bench)
    assert sizes == [len(before), 100, 300]
    assert growth.chapters(bench.copy / "docs") == before
    assert found.data["times"] == 9.0
    assert any("9.00 times the CPU seconds, aim 3.3: over" in r for r in found.remarks)
    assert any("1.000 times the bytes" in remark for remark in found.remarks)


def test_the_words_of_articles_are_counted(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        "<header>not these</header><article><h1>Two words</h1><pre>x = 1</pre>"
        "<svg><text>no word</text></svg><script>no()</script> end</article>"
    )
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "x.html").write_text("<article>no page</article>")
    assert rendered_words(tmp_path) == 6


def test_a_figure_stands_to_its_aim() -> None:
    assert verdict(3.3, 3.3) == "aim 3.3: ok"
    assert verdict(1.01, 1.0) == "aim 1: over"
