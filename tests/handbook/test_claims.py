"""The ledger: claims are read from the tests, and results are never guessed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handbook import claims, snippet
from handbook.problem import Problem
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "from handbook.claims import cited, claim\n\n\n"
GOOD = '''@claim("bytes-arrive", "RFC 9293 section 2.2", often_said="They do not.")
def test_bytes_arrive() -> None:
    """What is sent
    arrives."""
    assert True
'''


def written(root: Path, text: str, name: str = "demo/test_demo.py") -> Path:
    path = root / "tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + text)
    return path


def test_a_claim_is_its_docstring_with_its_sources(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    made = claims.collect(tmp_path)["bytes-arrive"]
    assert made.sentence == "What is sent arrives."
    assert made.sources == ("RFC 9293 section 2.2",)
    assert made.often_said == "They do not."
    assert made.part == "demo"
    assert made.where == "tests/demo/test_demo.py:5"
    assert made.code.startswith("@claim(")


def test_reading_runs_nothing(tmp_path: Path) -> None:
    written(tmp_path, f"raise SystemExit\n\n\n{GOOD}")
    assert list(claims.collect(tmp_path)) == ["bytes-arrive"]


def test_a_cited_claim_has_no_test(tmp_path: Path) -> None:
    written(tmp_path, 'cited("a-word", "A host is an end system.", "RFC 1122 1.1.1")\n')
    made = claims.collect(tmp_path)["a-word"]
    assert made.test == ""
    assert made.sentence == "A host is an end system."


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD + "\n\n" + GOOD, "the claim bytes-arrive is proved at tests/demo"),
        (GOOD.replace('"bytes-arrive"', '"Bytes_arrive"'), "is no claim id"),
        (GOOD.replace(', "RFC 9293 section 2.2"', ""), "names no source"),
        (GOOD.replace('"bytes-arrive"', "NAME"), "they are read, not run"),
        (GOOD.replace("def test_", "def check_"), "pytest does not run it"),
        (GOOD.replace('"bytes-arrive", ', "1, "), "a claim takes strings"),
        (
            '@claim("x", "y")\ndef test_x() -> None:\n    assert True\n',
            "has no sentence",
        ),
        ('cited("x", "A sentence.")\n', "an id, a sentence and a source"),
    ],
)
def test_a_malformed_claim_is_named(tmp_path: Path, text: str, says: str) -> None:
    written(tmp_path, text)
    with pytest.raises(Problem, match=r"tests/demo/test_demo.py:\d+: ") as caught:
        claims.collect(tmp_path)
    assert says in str(caught.value)


def run(root: Path, *arguments: str) -> dict[str, dict[str, str]]:
    (root / "pyproject.toml").write_text(
        f'[tool.pytest.ini_options]\npythonpath = ["{snippet.ROOT / "conf"}"]\n'
        'addopts = ["-p", "handbook.pytest_plugin"]\n'
    )
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=root,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "PYTHONPATH": str(snippet.ROOT / "conf"),
        },
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return claims.results(root)


def test_a_run_leaves_its_results_for_the_ledger(tmp_path: Path) -> None:
    written(
        tmp_path,
        GOOD
        + "\n\n"
        + GOOD.replace("bytes-arrive", "lost")
        .replace("test_bytes", "test_lost")
        .replace("assert True", "assert False"),
    )
    found = run(tmp_path)
    assert found["bytes-arrive"]["outcome"] == "passed"
    assert found["lost"]["outcome"] == "failed"
    made = claims.collect(tmp_path)["bytes-arrive"]
    result = claims.result_of(made, found)
    assert result is not None
    assert result.python == ".".join(map(str, sys.version_info[:3]))


def test_parallel_workers_report_too(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    assert run(tmp_path, "-n", "2")["bytes-arrive"]["outcome"] == "passed"


def test_a_part_of_the_tests_keeps_the_other_results(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD.replace("bytes-arrive", "other"), "demo/test_other.py")
    assert set(run(tmp_path)) == {"bytes-arrive", "other"}
    assert set(run(tmp_path, "tests/demo/test_other.py")) == {"bytes-arrive", "other"}


def test_a_result_is_not_shown_for_a_test_that_changed_since(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    found = run(tmp_path)
    path.write_text(path.read_text().replace("assert True", "assert 1"))
    assert claims.result_of(claims.collect(tmp_path)["bytes-arrive"], found) is None


def test_without_results_there_are_none(tmp_path: Path) -> None:
    assert claims.results(tmp_path) == {}
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "claims.json").write_text("{not json")
    assert claims.results(tmp_path) == {}
    (tmp_path / "build" / "claims.json").write_text(json.dumps([1]))
    assert claims.results(tmp_path) == {}


def test_nothing_is_skipped_on_the_machines_of_ci(tmp_path: Path) -> None:
    written(
        tmp_path,
        GOOD.replace("    assert True", "    pytest.skip('no root')").replace(
            "@claim", "import pytest\n\n\n@claim"
        ),
    )
    before = os.environ.get("CI")
    try:
        os.environ["CI"] = "true"
        outcome = run(tmp_path)["bytes-arrive"]["outcome"]
        del os.environ["CI"]
        elsewhere = run(tmp_path)["bytes-arrive"]["outcome"]
    finally:
        os.environ.pop("CI", None)
        if before is not None:
            os.environ["CI"] = before
    assert elsewhere == "skipped"
    assert outcome == ("failed" if sys.platform == "linux" else "skipped")
