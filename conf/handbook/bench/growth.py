"""Measure how the build and the pages grow with the number of chapters.

The chapters are copied under other names, beside the originals and into the same
lists, until there are enough; each copy is built from nothing. The tests of the
claims and the programs stay as many as they are.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from handbook import audit, pages
from handbook.bench.cost import progress
from handbook.bench.measure import Measure, verdict
from handbook.columns import table
from handbook.problem import Problem
from handbook.weight import gzipped

if TYPE_CHECKING:
    from pathlib import Path

    from handbook.bench.build import Bench

SIZES = (100, 300)  # chapters, beside as many as there are
GROWTH_AIM = 3.3  # from the first size to the last
TIMEOUT = 1500.0  # seconds that the largest build may take

_TARGET = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)
_TOCTREE = re.compile(r"^(```\{toctree\}\n)(.*?)^```$", re.MULTILINE | re.DOTALL)


def chapters(docs: Path) -> list[Path]:
    """Return the chapters: what belongs to a part, and is neither list nor table."""
    return [
        page.path
        for page in pages.read_all(docs.parent)
        if audit.kind(f"{page.docname}.html") == "chapter"
        and page.path.with_name("index.md").is_file()
    ]


def multiply(docs: Path, size: int) -> list[Path]:
    """Copy chapters until there are `size`; returns the ones that were there before."""
    originals = chapters(docs)
    if not originals:
        raise Problem("docs", "there is no chapter", "write one; see CONTRIBUTING.md")
    added: dict[Path, list[str]] = {}
    for number in range(size - len(originals)):
        path = originals[number % len(originals)]
        name = f"{path.stem}-copy-{number // len(originals) + 1}"
        text = _TARGET.sub("", path.read_text("utf-8"))  # a label stands once
        path.with_name(f"{name}.md").write_text(text, "utf-8")
        added.setdefault(path.with_name("index.md"), []).append(name)
    for index, names in added.items():
        text = index.read_text("utf-8")
        more = "".join(f"{name}\n" for name in names)
        text, count = _TOCTREE.subn(rf"\g<1>\g<2>{more}```", text, count=1)
        if not count:
            raise Problem(
                index.relative_to(docs.parent).as_posix(),
                "the part has no list of chapters",
                "give it a {toctree}",
            )
        index.write_text(text, "utf-8")
    return originals


def growth(bench: Bench) -> Measure:
    """Build the chapters as many as they are, and multiplied, each once and cold."""
    docs, kept = bench.copy / "docs", bench.folder / "docs-as-they-are"
    shutil.copytree(docs, kept)
    now = len(chapters(docs))
    site = bench.folder / "grown"
    seconds: dict[int, float] = {}
    weights: dict[int, int] = {}
    try:
        for size in (now, *(size for size in SIZES if size > now)):
            originals = multiply(docs, size)
            progress(f"growth: {size} chapters")
            seconds[size] = bench.build(site, cold=True, timeout=TIMEOUT).cpu
            weights[size] = sum(
                gzipped(
                    (site / path.relative_to(docs)).with_suffix(".html").read_bytes()
                )
                for path in originals
            ) // len(originals)
            shutil.rmtree(docs)
            shutil.copytree(kept, docs)
    finally:
        shutil.rmtree(site, ignore_errors=True)
    first, last = sorted(seconds)[-2:]
    times = seconds[last] / seconds[first]
    each = (seconds[last] - seconds[first]) / (last - first)
    cells = [
        (str(size), f"{seconds[size]:.1f}", f"{weights[size] / 1000:.2f}", "")
        for size in seconds
    ]
    return Measure(
        remarks=[
            *table(
                [("chapters", "CPU s, cold", "kB of a chapter, gzipped", ""), *cells]
            ),
            f"{first} to {last} chapters: {times:.2f} times the CPU seconds, "
            f"{verdict(times, GROWTH_AIM)}; {each:.2f} s for each chapter more",
            f"a chapter's page: {weights[last] / weights[first]:.3f} times the bytes",
        ],
        data={
            "cpu_seconds": {str(size): round(s, 2) for size, s in seconds.items()},
            "bytes_of_a_chapter": {str(size): w for size, w in weights.items()},
            "times": round(times, 3),
            "aim": GROWTH_AIM,
        },
    )
