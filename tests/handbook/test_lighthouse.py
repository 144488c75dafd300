"""Lighthouse is asked of the pages that count, and missed without harm."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from handbook import chromium
from handbook.bench import lighthouse
from handbook.bench.build import Bench
from handbook.problem import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from handbook.bench.cost import Cost


def audits(score: float) -> dict[str, Any]:
    known = {"odd": {"score": score, "title": "An odd thing", "scoreDisplayMode": "n"}}
    known["rest"] = {"score": None, "title": "-", "scoreDisplayMode": "notApplicable"}
    for number, name in enumerate(lighthouse.FIGURES.values()):
        known[name] = {"numericValue": number + 0.5}
    return known


def answer(score: float) -> str:
    refs = [{"id": "odd", "weight": 1}, {"id": "rest", "weight": 1}]
    categories = {
        name: {"score": score if name == "seo" else 1, "auditRefs": refs}
        for name in lighthouse.CATEGORIES
    }
    return json.dumps({"categories": categories, "audits": audits(score)})


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of Lighthouse; says.json is what it says."""
    folder = tmp_path / "build" / "lighthouse"
    path = folder / "node_modules" / ".bin" / "lighthouse"
    path.parent.mkdir(parents=True)
    said = tmp_path / "says.json"
    said.write_text(answer(0.92))
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >{said}.argv\ncat {said}\n")
    path.chmod(0o755)
    package = folder / "node_modules" / "lighthouse" / "package.json"
    package.parent.mkdir()
    package.write_text(json.dumps({"version": lighthouse.VERSION}))
    monkeypatch.setattr(chromium, "program", lambda: sys.executable)
    return path


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench whose site is two pages."""

    def build(_: Bench, out: Path, **_options: object) -> Cost | None:
        (out / "a").mkdir(parents=True)
        for name, size in (("index", 1), ("a/short", 1), ("a/long", 99)):
            (out / f"{name}.html").write_text(os.urandom(size).hex())
        return None

    monkeypatch.setattr(Bench, "build", build)
    return Bench(tmp_path, tmp_path / "bench", 1)


def test_the_heaviest_page_of_each_kind_is_judged(bench: Bench, program: Path) -> None:
    found = lighthouse.lighthouse(bench)
    assert list(found.data["pages"]) == ["index.html", "a/long.html"]
    assert found.data["pages"]["index.html"]["scores"]["seo"] == 92
    assert found.data["pages"]["index.html"]["scores"]["performance"] == 100
    assert "index.html: seo: An odd thing" in found.remarks
    given = (program.parents[4] / "says.json.argv").read_text().splitlines()
    assert given[0].endswith("/a/long.html")
    assert any(word.startswith("--chrome-flags=--headless ") for word in given)
    assert 'rules="MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"' in "".join(given)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Aborted", "status 0"),
        (json.dumps({"runtimeError": {"message": "no page there"}}), "no page there"),
    ],
)
def test_what_it_cannot_judge_is_told(
    said: str, told: str, bench: Bench, program: Path
) -> None:
    (program.parents[4] / "says.json").write_text(said)
    found = lighthouse.lighthouse(bench)
    assert found.data["pages"] == {}
    assert any(f"it does not judge a/long.html: {told}" in r for r in found.remarks)


def test_without_node_one_line_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = lighthouse.lighthouse(bench)
    assert found.remarks == ["not measured: no node on this machine (install it)"]


def test_an_installation_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(Problem, match=r"npm does not install it \(status 3\)"):
        lighthouse.installed(tmp_path / "scratch")
