"""The bench: its floor is honest, its scales are right, its failures are told."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from handbook import (
    bench,
    needs,
    pages,
    record,
    recordings,
    snippet,
)
from handbook.bench import cost, first, programs
from handbook.bench import plain as plain_text
from handbook.bench.build import Bench
from handbook.bench.cost import Cost
from handbook.bench.measure import Measure, Row
from handbook.bench.plain import Plain
from handbook.columns import table
from handbook.problem import Problem
from needing import needing

ROOT = snippet.ROOT
KEPT = ("notice", "platforms", "answer", "often-said", "timeline")
"""The directives whose content is prose."""


def words(text: str) -> str:
    """Return a text's words, without ticks and fences, one space between them."""
    text = re.sub(rf"\s*{pages.ROLE.pattern}", "", text)
    return " ".join(re.sub(r"^\s*(```|:::).*$", "", text, flags=re.MULTILINE).split())


def chapters() -> list[Path]:
    return [page.path for page in pages.read_all(ROOT)]


def name(path: Path) -> str:
    return path.relative_to(ROOT / "docs").as_posix()


@pytest.fixture(scope="module")
def plain() -> Plain:
    return Plain(ROOT)


# The floor's chapters


def test_every_directive_of_the_handbook_is_written_out(plain: Plain) -> None:
    app = MagicMock()
    ours = re.findall(r'"(handbook\.\w+)"', (ROOT / "conf/conf.py").read_text("utf-8"))
    for extension in ours:
        importlib.import_module(extension).setup(app)
    known = {call.args[0] for call in app.add_directive.call_args_list}
    assert set(plain.written) == known, (
        "write it out in Plain, so the floor stays honest"
    )
    assert [call.args[0] for call in app.add_role.call_args_list] == ["claim"]


@pytest.mark.parametrize("chapter", chapters(), ids=name)
def test_no_directive_is_left_and_all_prose_is_kept(
    plain: Plain, chapter: Path, tmp_path: Path
) -> None:
    page = pages.read(chapter, ROOT / "docs")
    written = tmp_path / "page.md"
    written.write_text(plain.markdown(page.text, chapter), "utf-8")
    after = pages.read(written, tmp_path)

    assert after.named(*plain.written) == []
    assert after.claim_roles == ()
    assert after.front == page.front
    kept = [heading.text for heading in after.headings if heading.level < 7]
    assert kept == [heading.text for heading in page.headings]

    text = words(after.text)
    prose = [paragraph for _, paragraph in page.paragraphs]
    prose += [block.body for block in page.named(*KEPT)]
    prose += [block.argument for block in page.named("answer")]
    missing = [piece for piece in prose if words(piece) not in text]
    assert missing == []


@pytest.mark.parametrize("chapter", chapters(), ids=name)
def test_programs_outputs_and_claims_are_written_out(
    plain: Plain, chapter: Path
) -> None:
    page = pages.read(chapter, ROOT / "docs")
    text = plain.markdown(page.text, chapter)
    for block in page.named("literalinclude"):
        program = snippet.read((chapter.parent / block.argument).resolve())
        language = needs.FILES.get(program.path.suffix, "python")
        assert f"```{language}\n{program.clean}```\n" in text
        if "pyobject" in block.options:
            kind = block.options["pyobject"].rpartition(".")[2]
            assert re.search(rf"```python\n(@.*\n)*(async )?(def|class) {kind}\b", text)
    for block in page.named("recorded"):
        recording = recordings.load(snippet.by_id(block.argument))
        transcript = recording.transcripts[block.options.get("role", "")]
        assert f"```text\n{transcript}" in text
    for block in page.named("timeline"):
        recording = recordings.load(snippet.by_id(block.argument))
        assert text.count("\n1. Line ") >= 1, recording.snippet
    for block in page.named("claim", "often-said"):
        assert plain_text.prose(plain.claims[block.argument].sentence) in text
    for block in page.named("ledger"):
        mine = [made for made in plain.claims.values() if made.part == block.argument]
        assert mine
        for made in mine:
            assert plain_text.prose(made.sentence) in text
            assert made.where in text or not made.test
            assert plain_text.prose("; ".join(made.sources)) in text


def test_what_is_not_ours_stands_as_it_was(plain: Plain) -> None:
    page = (
        "# A title\n\n(a-label)=\n## Second {claim}`server-call-order`\n\n"
        "~~~python\nx = '{claim}`stays: this is code`'\n~~~\n\n"
        "```{glossary}\nterm\n  Its meaning. {claim}`server-call-order`\n```\n\n"
        "```{toctree}\n:maxdepth: 2\n\none\ntwo\n```\n"
    )
    assert plain.markdown(page, ROOT / "docs" / "a.md") == page.replace(
        " {claim}`server-call-order`", ""
    )


def test_directives_are_written_out_where_they_stand(plain: Plain) -> None:
    page = (
        "- An item\n\n"
        "  ```{notice}\n  - Look here. {claim}`server-call-order`\n  ```\n\n"
        "> ```{platforms}\n> The same everywhere.\n> ```\n\n"
        "1. ```{answer} Who asks?\n   Nobody.\n   ```\n\n"
        "::::{note}\n:class: wide\n:::{platforms}\nOn `Linux`.\n:::\n::::\n"
    )
    text = plain.markdown(page, ROOT / "docs" / "a.md")
    assert "  What to notice\n\n  - Look here.\n" in text
    assert "> Other systems\n>" in text.replace("> \n", ">\n")
    assert "> The same everywhere.\n" in text
    assert "1. Who asks?\n\n   Nobody.\n" in text
    assert ":::{note}\n:class: wide\n" in text
    assert "On `Linux`.\n" in text
    assert "{claim}" not in text
    assert "{platforms}" not in text


def test_a_fence_is_longer_than_those_inside_it() -> None:
    inner = "text\n````python\nx\n````\n"
    assert plain_text.fence("text", inner) == f"`````text\n{inner}`````\n"
    assert plain_text.fence("text", "x") == "```text\nx\n```\n"


def test_a_sentence_says_the_same_as_markdown() -> None:
    said = "accept() takes *one* of SO_REUSEPORT [sic]; `x_y` is code."
    assert plain_text.prose(said) == (
        r"`accept()` takes \*one\* of SO\_REUSEPORT \[sic\]; `x_y` is code."
    )


def test_the_plain_chapters_build_with_bare_sphinx_and_no_warning(
    repository: Path, tmp_path: Path
) -> None:
    measured = Bench(repository, tmp_path / "bench", 1)
    floor = measured.make_floor()
    assert measured.build_floor(floor).cpu > 0
    built = {path.relative_to(floor / "site") for path in floor.rglob("site/**/*.html")}
    for page in pages.read_all(repository):
        assert Path(f"{page.docname}.html") in built


# The scales


def test_the_cost_of_a_run_is_that_of_its_whole_tree(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    parent = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    )
    spent = cost.spend(
        [sys.executable, "-c", parent, burn], tmp_path, None, fails=("", "", "")
    )
    assert spent.cpu >= 0.3


def test_a_run_without_end_is_ended_and_told(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import threading; threading.Event().wait()"]
    fails = ("docs", "it does not build", "run make html")
    with pytest.raises(Problem) as raised:
        cost.spend(argv, tmp_path, None, fails=fails, timeout=0.5)
    assert str(raised.value) == (
        "docs: it does not build (no end after 0.5 s)\n"
        "  To mend it: run make html\nit printed nothing"
    )


def test_the_sides_take_turns() -> None:
    order: list[str] = []

    def side(name: str) -> Cost:
        order.append(name)
        return Cost(float(len(order)), 0.0)

    ours, floor = cost.alternate("x", 3, lambda: side("ours"), lambda: side("floor"))
    assert order == ["ours", "floor", "floor", "ours", "ours", "floor"]
    assert [cost.cpu for cost in ours] == [1.0, 4.0, 5.0]
    assert [cost.cpu for cost in floor] == [2.0, 3.0, 6.0]


def test_a_ratio_is_of_the_best_rounds() -> None:
    row = Row("cold build", [3.0, 2.0, 2.5], [1.0, 4.0, 2.0], 1.5)
    assert row.cells() == (
        "cold build",
        "2.00 s (+1.00)",
        "1.00 s (+3.00)",
        "2.00",
        "1.5",
        "over",
    )
    assert Row("cold build", [1.5], [1.0], 1.5).verdict == "ok"
    assert Row("cold build", [9.0], [1.0], None).verdict == ""


def test_columns_stand_under_each_other() -> None:
    assert table([("name", "ours", ""), ("a", "10", "ok")]) == [
        "name  ours",
        "a       10  ok",
    ]


# What is told, and the exit status


def test_a_slow_figure_is_shown_and_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = Measure([Row("cold build: CPU", [9.0], [1.0], 1.5)], ["a remark"])
    monkeypatch.setitem(bench.MEASURES, "cold", lambda _: slow)
    assert bench.main(["--only", "cold", "--rounds", "1"], tmp_path) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^cold build: CPU .* 9\.00  1\.5  over$", shown, re.MULTILINE)
    assert "a remark" in shown
    data = json.loads((tmp_path / "build" / "bench.json").read_text())
    assert list(data["measures"]) == ["cold"]
    row = data["measures"]["cold"]["rows"][0]
    assert (row["ratio"], row["verdict"]) == (9.0, "over")
    assert {"python", "kernel", "sphinx", "date", "rounds"} <= set(data)


def test_ways_are_compared_within_one_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "snippets" / f"{programs.IPC}.py"
    program.parent.mkdir(parents=True)
    program.write_text(
        '"""Measures."""\n\nimport os\n\nslow = 1 + os.getpid() % 7\n'
        'print("trip", "TCP", f"{slow * 10} us", f"1 to {slow * 20}", sep="   ")\n'
        'print("trip", "pipe", f"{slow * 4} us", f"1 to {slow * 9}", sep="   ")\n'
    )
    assert bench.main(["--only", "ipc", "--rounds", "3"], tmp_path) == 0
    shown = capsys.readouterr().out
    assert re.search(r"trip, pipe +0\.40 +0\.40 +0\.40$", shown, re.MULTILINE)
    data = json.loads((tmp_path / bench.RESULTS).read_text())["measures"]["ipc"]
    assert data["ratios"] == {"trip, TCP": [1.0] * 3, "trip, pipe": [0.4] * 3}
    program.write_text('"""Fails."""\n\nraise SystemExit("no")\n')
    assert bench.main(["--only", "ipc", "--rounds", "1"], tmp_path) == 1
    assert "the program ended with status 1" in capsys.readouterr().err


def test_a_build_that_fails_is_told_in_three_parts(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = repository / "docs" / "sockets" / "a-conversation.md"
    with page.open("a") as file:
        file.write("\n```{claim} nobody-tests-this\n```\n")
    assert bench.main(["--only", "cold", "--rounds", "1"], repository) == 1
    told = capsys.readouterr().err
    assert "docs: the handbook does not build (status 1)\n" in told
    assert "  To mend it: run make html" in told
    assert "nobody-tests-this" in told
    assert "\ndocs/sockets/a-conversation.md" in told, "paths are the repository's"
    assert "handbook-bench-" not in told
    assert not (repository / "build" / "bench.json").exists()


def test_tests_that_fail_are_told(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = repository / programs.RECORDINGS_TEST
    test.write_text("def test_it() -> None:\n    assert 'a' == 'b'\n")
    assert bench.main(["--only", "tests", "--rounds", "1"], repository) == 1
    told = capsys.readouterr().err
    assert told.startswith("tests/test_recordings.py: the tests of the programs fail")
    assert "assert 'a' == 'b'" in told


def test_what_is_not_there_is_not_measured(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / programs.RECORDINGS_TEST).unlink(missing_ok=True)
    assert bench.main(["--only", "tests", "--rounds", "1"], repository) == 0
    assert (
        "not measured: there is no tests/test_recordings.py" in capsys.readouterr().out
    )


def test_an_edit_names_the_pages_it_rewrites(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--only", "edit", "--rounds", "1"], repository) == 0
    data = json.loads((repository / bench.RESULTS).read_text())["measures"]["edit"]
    page = f"{data['chapter']}.html"
    assert data["rewritten_after_one_edit"][page] == "changed"
    assert page not in data["rewritten_after_none"]
    assert f"{page} (changed)" in capsys.readouterr().out
    original = (ROOT / data["program"]).read_text()
    assert (repository / data["program"]).read_text() == original, "a copy is edited"


def test_a_page_that_misses_an_edit_is_told(
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = "<html>the same</html>"

    def build(_: Bench, out: Path, **_options: object) -> Cost:
        out.mkdir(exist_ok=True)
        (out / "index.html").write_text(page)
        return Cost(1.0, 1.0)

    monkeypatch.setattr(Bench, "build", build)
    assert bench.main(["--only", "edit", "--rounds", "1"], repository) == 1
    assert "the page is not built anew when snippets/" in capsys.readouterr().err


# The suite


def test_the_cost_of_each_test_is_told_with_what_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text(
        "import pytest, subprocess, sys\n"
        "BURN = 'import time\\nwhile time.process_time() < 0.5: pass\\n'\n"
        "def test_cheap():\n    pass\n"
        "def test_dear():\n    subprocess.run([sys.executable, '-c', BURN])\n"
        "@pytest.fixture(scope='session')\n"
        "def running():\n"
        "    argv = [sys.executable, '-c', BURN + 'print(1, flush=True); input()']\n"
        "    pipe = subprocess.PIPE\n"
        "    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as process:\n"
        "        yield process\n"
        "        process.communicate(b'1')\n"
        "def test_that_leaves_something_running(running):\n"
        "    running.stdout.readline()\n"
        "def test_after_it():\n    pass\n"
    )
    assert bench.main(["--only", "suite"], tmp_path) == 0
    data = json.loads((tmp_path / bench.RESULTS).read_text())["measures"]["suite"]
    tests = {name.partition("::")[2]: cost for name, cost in data["tests"].items()}
    assert tests["test_dear"] >= 0.4
    assert sum(tests.values()) == pytest.approx(data["files"]["tests/test_it.py"])
    assert 60 * data["cpu_minutes"] >= 0.9
    if sys.platform == "linux":
        assert tests["test_that_leaves_something_running"] >= 0.4
        assert sum(tests.values()) >= 0.9
    said = capsys.readouterr().out
    assert re.search(r" CPU minutes, aim 10: ok$", said, re.MULTILINE)
    assert re.search(r"^ +[\d.]+ +tests/test_it.py::test_dear$", said, re.MULTILINE)


def test_a_suite_that_fails_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_it.py").write_text("def test_it():\n    assert 1 == 2\n")
    assert bench.main(["--only", "suite"], tmp_path) == 1
    told = capsys.readouterr().err
    assert "tests: the suite fails (status 1)\n  To mend it: run make test\n" in told
    assert "assert 1 == 2" in told


# Programs run bare


def made(tmp_path: Path, source: str, name: str = "example") -> snippet.Snippet:
    path = tmp_path / "snippets" / "demo" / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return snippet.read(path, tmp_path)


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    source = '"""Fails."""\n\nraise ValueError("no such thing")\n'
    with pytest.raises(Problem) as raised:
        programs.run_bare(made(tmp_path, source))
    assert str(raised.value) == (
        "snippets/demo/example.py: the program ended with status 1: "
        "ValueError: no such thing\n"
        "  To mend it: run it by hand: python snippets/demo/example.py"
    )
    programs.run_bare(made(tmp_path, source, "wrong_example"))


def test_a_pair_is_run_together_and_ended() -> None:
    pair = snippet.by_id("sockets/echo_server")
    assert len(pair.roles) > 1
    programs.run_bare(pair)


def test_a_program_without_end_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "TIMEOUT", 1.0)
    source = '"""Waits for ever."""\n\nimport threading\n\nthreading.Event().wait()\n'
    with pytest.raises(Problem, match="was still running after 1 s"):
        programs.run_bare(made(tmp_path, source))


def test_a_server_that_names_no_port_is_told(tmp_path: Path) -> None:
    source = (
        '"""Says nothing of a port.\n\nPair: server = example.py\n'
        'Pair: client = example.py {port}\nPort: listening on port {port}\n"""\n\n'
        'print("hello")\n'
    )
    with pytest.raises(Problem, match=r"never printed 'listening on port \{port\}'"):
        programs.run_bare(made(tmp_path, source))


@needing("make", "git")
def test_the_first_minutes_are_told(repository: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", repository)
    (repository / "requirements.txt").unlink()
    own = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], [*own, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    folder = tmp_path / "bench"
    folder.mkdir()
    told = first.first(Bench(repository, folder, 1))
    # Without requirements.txt there is no set-up: the environment of the tests serves.
    assert {*told.data} == {"clone", "served", "edited"}
    assert "to a served page" in told.remarks[0]
    assert "no set-up" in told.remarks[0]
    page = (folder / "clone/build/live" / f"{first.PAGE}.html").read_text("utf-8")
    assert first.EDIT in page


def test_without_a_clone_there_are_no_first_minutes(tmp_path: Path) -> None:
    told = first.first(Bench(tmp_path, tmp_path, 1))
    assert told.remarks == ["not measured: it takes a clone, git and make"]
