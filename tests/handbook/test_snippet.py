"""Reading programs: docstring fields, regions, and what the markers must not do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from handbook import compare, needs, recordings, snippet
from handbook.problem import Problem
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., snippet.Snippet]

MARKED = '''
    """Shows regions.

    Needs: Linux, ss
    Varies: took {int} bytes
    """

    # [outer]
    import socket

    # [inner]
    def talk() -> None:
        # [inmost]
        socket.socket().close()
        # [/inmost]
    # [/inner]

    talk()
    # [/outer]
'''


def test_fields_of_the_docstring_are_read(program: Write) -> None:
    read = program(MARKED)
    assert read.summary == "Shows regions."
    assert read.needs == ("Linux", "ss")
    assert read.varies[0].pattern.search("took 3932160 bytes")
    assert not read.varies[0].pattern.search("took many bytes")


def test_a_number_may_say_what_it_must_at_least_be() -> None:
    took = snippet.Varies.parse("took {seconds>=0.5} s for {int>=1} of {int}")
    text = "took 0.5 s for 0 of 0\ntook 0.49 s for 3 of 9\n"
    values = list(took.values(text))
    assert [text[each.start : each.end] for each in values] == [
        *("0.5", "0", "0", "0.49", "3", "9"),
    ]
    assert [each.enough for each in values] == [True, False, True, False, True, True]
    assert [each.least for each in values[:3]] == [0.5, 1, None]


def test_a_number_that_is_too_small_is_not_left_out(program: Write) -> None:
    read = program('"""Counts.\n\nVaries: {int>=1} half-open\n"""\n')

    def printed(text: str) -> recordings.Recording:
        return recordings.Recording(
            read.id, {"": text}, (), (), frozenset(), frozenset()
        )

    three, four, none = map(
        printed, ("3 half-open\n", "4 half-open\n", "0 half-open\n")
    )
    assert compare.diff(three, four, read) == ""
    assert "-<int> half-open\n  +0 half-open" in compare.diff(three, none, read)
    assert [
        mark.name for mark in compare.marks("3 half-open\n", three, read.varies)
    ] == ["<int>"]
    assert compare.marks("0 half-open\n", none, read.varies) == []


def test_no_reader_sees_a_marker(program: Write) -> None:
    assert "# [" not in program(MARKED).clean


def test_regions_may_nest_and_a_prefix_is_not_the_name(program: Write) -> None:
    read = program(MARKED)
    lines = read.clean.splitlines()

    def text(name: str) -> list[str]:
        first, last = read.region(name)
        return [line.strip() for line in lines[first - 1 : last] if line.strip()]

    assert text("inmost") == ["socket.socket().close()"]
    assert text("inner") == ["def talk() -> None:", "socket.socket().close()"]
    assert text("outer")[0] == "import socket"
    with pytest.raises(Problem, match=r"no region \[in\]; the file has: outer, inner"):
        read.region("in")


def test_a_function_is_found_below_markers(program: Write) -> None:
    read = program(MARKED)
    first, last = read.pyobject("talk")
    assert read.clean.splitlines()[first - 1].startswith("def talk")
    assert last == first + 1


def test_a_decorated_method_begins_at_its_decorator(program: Write) -> None:
    read = program('''
        """Shows a class."""

        class Talk:
            @staticmethod
            def twice() -> int:
                return 2
    ''')
    first, last = read.pyobject("Talk.twice")
    assert read.clean.splitlines()[first - 1].strip() == "@staticmethod"
    assert last - first == 2


def test_a_line_of_the_file_is_found_again_without_markers(program: Write) -> None:
    read = program(MARKED)
    clean = read.clean.splitlines()
    for number, line in enumerate(read.source.splitlines(), 1):
        if line.strip() and "# [" not in line:
            assert clean[read.clean_line(number) - 1] == line


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import socket\n", "example.py:1: no docstring"),
        ('"""Good."""\nprint(\n', "example.py:2: not Python"),
        ('"""Good.\n\nVaries: took bytes\n"""\n', "example.py:3: Varies: no {type}"),
        ('"""Good.\n\nVaries: {float}\n"""\n', "example.py:3: Varies: {float} is no"),
        (
            '"""Good.\n\nVaries: key {hex>=1} made\n"""\n',
            "example.py:3: Varies: {hex>=1} compares what is no number\n  To mend it: "
            "write a literal piece of the line with one of {int}, {seconds}, {hex}, "
            "{text}; a number may say its minimum: {int>=1}",
        ),
        (
            '"""Good.\n\nVaries: took {int>1} bytes\n"""\n',
            "example.py:3: Varies: no {type} in it",
        ),
        ('"""Good."""\n# [a]\n', r"example.py:2: [a] is never closed"),
        ('"""Good."""\n# [/a]\n', r"example.py:2: [/a] closes a region"),
        (
            '"""Good."""\n# [a]\n1\n# [/a]\n# [a]\n# [/a]\n',
            "example.py:5: [a] stands twice",
        ),
        ('"""Good.\n\nPair: server\n"""\n', "is not 'role = program.py arguments'"),
        ('"""Good.\n\nPair: a = b.py\n"""\n', "a pair without its Port: line"),
    ],
)
def test_a_faulty_program_is_named_with_its_line(
    program: Write, source: str, says: str
) -> None:
    with pytest.raises(Problem) as caught:
        program(source)
    assert says in str(caught.value)
    assert "To mend it: " in str(caught.value)


def test_a_wrong_name_lists_what_there_is(program: Write) -> None:
    root = program(MARKED).root
    with pytest.raises(Problem, match="name one of: demo/example"):
        snippet.by_id("demo/exmaple", root)


def test_what_is_missing_here_is_said(program: Write) -> None:
    read = program('"""Good.\n\nNeeds: no-such-tool, other.py\n"""\n')
    assert read.missing() == ["no-such-tool", "other.py"]
    assert program('"""Good.\n\nNeeds: Linux\n"""\n').missing() == (
        [] if sys.platform == "linux" else ["Linux"]
    )


def test_a_package_and_a_page_beside_it_are_needs(
    program: Callable[..., snippet.Snippet],
) -> None:
    read = program(
        '"""Good.\n\nNeeds: pip install no-such-package, pip install pytest\n'
        'Needs: page.html\n"""\n'
    )
    assert read.packages == ("no-such-package", "pytest")
    assert read.companions == ("page.html",)
    assert read.missing() == ["pip install no-such-package", "page.html"]
    page = read.path.with_name("page.html")
    page.write_text("<p>\n  <!-- [here] -->\n  <b>\n  <!-- [/here] -->\n</p>\n")
    assert read.missing() == ["pip install no-such-package"]
    shown = snippet.read(page, read.root)
    assert shown.clean == "<p>\n  <b>\n</p>\n"
    assert shown.region("here") == (2, 2)
    assert shown.id == f"{read.part}/page.html"


@pytest.mark.parametrize("need", ["IPv6", "privileged ports", "SYN cookies"])
def test_a_network_has_ipv6_and_the_like_or_not(
    need: str,
    program: Callable[..., snippet.Snippet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = program(f'"""Good.\n\nNeeds: {need}\n"""\n')
    assert set(read.missing()) <= {need}
    for here in (True, False):
        condition = needs.Condition(partial(bool, here), "buy one")
        monkeypatch.setitem(needs.CONDITIONS, need, condition)
        assert read.missing() == ([] if here else [need])


def broken_node(folder: Path) -> Path:
    """Make a program that fails as Playwright's Node.js does without libatomic1."""
    node = folder / "node"
    node.write_text("#!/bin/sh\necho 'node: no libatomic.so.1' >&2; exit 127\n")
    node.chmod(0o755)
    return node


@pytest.mark.skipif(sys.platform == "win32", reason="a driver made of a shell script")
def test_a_driver_that_does_not_start_is_a_lack(
    program: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not needs.drives_browsers():
        pytest.skip(needs.reason("chromium"))
    node = broken_node(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/chromium")
    both = program('"""Drives.\n\nNeeds: pip install playwright, chromium\n"""\n')
    alone = program('"""Opens.\n\nNeeds: chromium\n"""\n', "demo/alone")
    assert both.missing() == alone.missing() == []
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", str(node))
    needs.drives_browsers.cache_clear()
    try:
        assert both.missing() == ["chromium"]
        assert alone.missing() == []
    finally:
        needs.drives_browsers.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="a driver made of a shell script")
@pytest.mark.parametrize("name", ["buffered_amount", "page_errors", "two_pages"])
def test_without_a_driver_a_program_says_so_in_one_line(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip("playwright")
    node = broken_node(tmp_path)
    done = subprocess.run(
        [sys.executable, snippet.ROOT / f"snippets/websockets/{name}.py"],
        env=os.environ | {"PLAYWRIGHT_NODEJS_PATH": str(node)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "This program needs chromium, and libatomic1 for Playwright's driver.\n"
    )
