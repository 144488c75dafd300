"""Break it on purpose, and read the message: where, what, and how to mend it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import building
from handbook import check, compare, record, recordings, snippet

if TYPE_CHECKING:
    from pathlib import Path

CHAPTER = "docs/listening/before-accept.md"


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there, once."""
    text = path.read_text()
    assert old in text, f"{old!r} is not in {path}"
    path.write_text(text.replace(old, new, 1))


def line_of(path: Path, words: str) -> int:
    """Give the line on which words first stand."""
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


def told(repository: Path) -> str:
    return "\n".join(map(str, check.problems(repository)))


def test_the_repository_has_no_problem(repository: Path) -> None:
    assert told(repository) == ""


# Each case: the file, what is replaced by what, and what the message must say.
BROKEN = {
    "an include that is not there": (
        (CHAPTER, "listening/listen_returns.py", "listening/listen_return.py"),
        [CHAPTER + ":{}: ../../snippets/listening/listen_return.py is not there"],
    ),
    "lines that drift": (
        (
            CHAPTER,
            "stopped_server.py\n:pyobject: main",
            "stopped_server.py\n:lines: 3-9",
        ),
        [":lines: selects by something that drifts", "use :pyobject:, or :region:"],
    ),
    "words that drift": (
        (
            CHAPTER,
            "stopped_server.py\n:pyobject: main",
            "stopped_server.py\n:start-after: def main",
        ),
        [":start-after: selects by something that drifts"],
    ),
    "a function that is gone": (
        (CHAPTER, ":pyobject: main", ":pyobject: mian"),
        ["snippets/listening/connect_no_accept.py: no function or class mian"],
    ),
    "a region that is gone": (
        (CHAPTER, ":pyobject: main", ":region: dial"),
        ["no region [dial]; the file has: none", "'# [dial]' and '# [/dial]'"],
    ),
    "an output typed by hand": (
        (CHAPTER, "```{recorded} listening/no_listen\n```", "```text\nrefused\n```"),
        [
            "code in the page itself (text): no test runs it",
            "snippets/listening/no_listen.py: no page shows the recorded output",
        ],
    ),
    "fenced Python": (
        (CHAPTER, "## Often said", "```python\nimport socket\n```\n\n## Often said"),
        ["code in the page itself (python)", "use {code-block} with ':fragment: why'"],
    ),
    "a claim that no test makes": (
        (CHAPTER, "{claim}`listen-makes-passive-socket`", "{claim}`listen-makes-tea`"),
        [CHAPTER + ":{}: no test claims listen-makes-tea; near: listen-"],
    ),
    "a claim renamed in its test": (
        (
            "tests/listening/test_before_accept.py",
            '"ready-after-bind"',
            '"ready-after-binding"',
        ),
        ["no test claims ready-after-bind; near:", CHAPTER],
    ),
    "a title too long for the sidebar": (
        (CHAPTER, "short: Before accept()", "short: Before accept() is called at all"),
        [CHAPTER + ":1: the chapter lacks 'short:' in its front matter, at most 28"],
    ),
    "no wrong belief": (
        (CHAPTER, "## Often said\n", "## Beliefs\n"),
        ["the chapter lacks a section '## Often said'", "the-form.md"],
    ),
    "an output without what to notice": (
        (
            CHAPTER,
            "```{recorded} listening/no_listen\n```\n\n```{notice}",
            "```{recorded} listening/no_listen\n```\n\n```{platforms}",
        ),
        [CHAPTER + ":{}: an output without 'What to notice' under it"],
    ),
    "front matter with a colon too much": (
        (CHAPTER, "description: ", "description: Note: "),
        [
            CHAPTER + ":{}: the front matter cannot be read at 'description: Note: ",
            "with one space and no tab; words with ': ' in them stand in quotes",
        ],
    ),
    "front matter that is indented": (
        (CHAPTER, "description: ", "  description: "),
        [CHAPTER + ":{}: the front matter cannot be read at 'description: "],
    ),
    "front matter with a tab": (
        (CHAPTER, "short: ", "short:\t"),
        [CHAPTER + ":2: the front matter cannot be read at 'short:\\tBefore"],
    ),
    "a fence that is not closed": (
        (
            CHAPTER,
            "```{recorded} listening/no_listen\n```",
            "```{recorded} listening/x",
        ),
        [
            CHAPTER + ":",
            ": the fence ```{recorded} is not closed before line ",
            "put a line with ``` alone where it ends",
        ],
    ),
    "a last fence that is not closed": (
        (CHAPTER, "## Elsewhere", "## Elsewhere\n\n````{notice}\n- x\n```\n"),
        [": the fence ````{notice} is not closed before the page ends"],
    ),
    "a quotation that is printed no more": (
        (CHAPTER, "```{notice}\n", "```{notice}\n- `a port … for tea`: it says so.\n"),
        [
            CHAPTER + ":{}: `a port … for tea` stands in no output or program",
            "quote what is printed now",
        ],
    ),
    "a long opening": (
        (CHAPTER, "Because your server", "Because " + "really " * 60 + "your server"),
        ["the opening takes", "answer the title's question first"],
    ),
    "a program that no page shows": (
        (
            CHAPTER,
            "```{literalinclude} ../../snippets/listening/listener_dies.py\n```",
            "",
        ),
        ["snippets/listening/listener_dies.py: no page shows this program"],
    ),
    "a timeline without its program": (
        (CHAPTER, "```{timeline} listening/connect_no_accept", "```{timeline} a/b"),
        ["the timeline links to lines of a/b, which this page does not show"],
    ),
    "a glossary out of order": (
        ("docs/reference/glossary.md", "accept queue\n", "zebra queue\n"),
        ["docs/reference/glossary.md:10: 'backlog' comes after 'zebra queue'"],
    ),
    "a term explained twice": (
        ("docs/reference/glossary.md", "  (백로그)", "  A queue.\n  (백로그)"),
        ["docs/reference/glossary.md:10: a term is explained twice, the second time"],
    ),
    "a term that stands twice": (
        (
            "docs/reference/glossary.md",
            "accept queue\n",
            "accept queue\n  A queue.\n\naccept queue\n",
        ),
        ["docs/reference/glossary.md:", "the term 'accept queue' stands twice in the"],
    ),
    "a conflict that git has marked": (
        (CHAPTER, "## Often said", "<<<<<<< HEAD\n\n## Often said"),
        [CHAPTER + ":{}: a conflict that git has marked: '<<<<<<< HEAD'"],
    ),
    "a program with a byte order mark": (
        ("snippets/listening/demux.py", '"""', '\ufeff"""'),
        ["snippets/listening/demux.py:1: begins with a byte order mark"],
    ),
    "a system in small letters": (
        (
            "snippets/listening/demux.py",
            '"""\n\nimport socket',
            '\nNeeds: linux\n"""\n\nimport socket',
        ),
        ["snippets/listening/demux.py: Needs: linux is taken for a command", "Linux"],
    ),
    "two chapters of one name": (
        (CHAPTER, "short: Before accept()", "short: Two kinds of socket"),
        ["is the name of listening/before-accept, too"],
    ),
    "a recording that is cut off": (
        ("snippets/listening/recorded/demux.json", "{", ""),
        [
            "recorded/demux.json: the recording cannot be read",
            "make record S=listening/demux",
        ],
    ),
    "a sleep": (
        (
            "snippets/listening/demux.py",
            "import socket\n",
            "import socket\nimport time\n\ntime.sleep(1)\n",
        ),
        ["snippets/listening/demux.py:10: a sleep where an event", "# waits: why"],
    ),
    "a port taken for granted": (
        ("snippets/listening/demux.py", '("127.0.0.1", 0)', '("127.0.0.1", 8080)'),
        ["binds port 8080, which may be taken", "bind port 0"],
    ),
    "code by another name": (
        (
            CHAPTER,
            "## Often said",
            "```{Code-Block} python\nimport os\n```\n\n## Often said",
        ),
        ["code in the page itself (python)"],
    ),
    "a file included raw": (
        (
            CHAPTER,
            "## Often said",
            "```{include} x.py\n:literal:\n```\n\n## Often said",
        ),
        ["{include} brings in what no check sees"],
    ),
    "code as HTML": (
        (CHAPTER, "## Often said", "<pre>refused</pre>\n\n## Often said"),
        ["code written as HTML: no test runs it"],
    ),
    "an output among the commands": (
        (
            "docs/sockets/a-conversation.md",
            "--port 7777 hello\n```",
            "--port 7777 hello\nhello\n```",
        ),
        ["'hello' does not look like a command", "show output with {recorded}"],
    ),
    "a sleep by another name": (
        (
            "snippets/listening/demux.py",
            "import socket\n",
            "import socket\nfrom time import sleep\n\nsleep(1)\n",
        ),
        ["snippets/listening/demux.py:10: a sleep where an event"],
    ),
    "a field that is none": (
        ("snippets/listening/four_tuples.py", "Needs: Linux", "Need: Linux"),
        ["four_tuples.py:6: 'Need: Linux' is not read as a field", "'Needs: …'"],
    ),
    "a claim test that is not Python": (
        (
            "tests/listening/test_before_accept.py",
            "def bound_socket",
            "def bound socket",
        ),
        ["tests/listening/test_before_accept.py:", "not Python"],
    ),
    "a program without its docstring": (
        ("snippets/listening/demux.py", '"""', "#"),
        ["snippets/listening/demux.py:"],
    ),
    "a title that names a subject": (
        (
            CHAPTER,
            "# Why did connect() succeed though the server never called accept()?",
            "# Before accept",
        ),
        [CHAPTER + ":{}: 'Before accept' names a subject", "a question or a claim"],
    ),
    "a question without its mark": (
        (CHAPTER, "never called accept()?\n", "never called accept()\n"),
        [CHAPTER + ":{}: 'Why did connect()", "asks, and has no question mark"],
    ),
    "a title that no search shows whole": (
        (CHAPTER, "never called accept()?\n", "never called accept() " * 3 + "?\n"),
        [CHAPTER + ":{}: a title of ", "ask one question"],
    ),
    "a description missing": (
        (CHAPTER, "\ndescription: ", "\nabout: "),
        [CHAPTER + ":1: the chapter lacks 'description:' in its front matter"],
    ),
    "a claim made twice": (
        (
            "tests/listening/test_two_kinds_of_socket.py",
            "from handbook.claims import claim",
            "from handbook.claims import claim, cited\n\n"
            'cited("ready-after-bind", "Twice.", "listen(2)")',
        ),
        [
            "the claim ready-after-bind is proved at tests/listening/test_before_acc",
            "tests/listening/test_two_kinds_of_socket.py:",
            "give one of the two another id",
        ],
    ),
    "a package that is not declared": (
        ("snippets/listening/demux.py", "import socket\n", "import websockets\n"),
        [
            "snippets/listening/demux.py:7: needs the package websockets",
            "write 'Needs: pip install websockets' into its docstring",
        ],
    ),
    "a file beside it that is not declared": (
        ("snippets/listening/demux.py", "import socket\n", "import no_listen\n"),
        [
            "snippets/listening/demux.py:7: imports no_listen.py, which lies beside it",
            "write 'Needs: no_listen.py'",
        ],
    ),
    "a printed time": (
        (
            "snippets/listening/demux.py",
            "import socket\n",
            "import socket\nimport time\n\nprint('at', time.ctime())\n",
        ),
        [
            "snippets/listening/demux.py:10: prints time.ctime(), which no two runs",
            "'Varies: at {text}'",
        ],
    ),
    "a chapter that no index names": (
        ("docs/listening/index.md", "before-accept\n", ""),
        [
            CHAPTER + ":1: no index names this chapter",
            "write before-accept into the {toctree} of docs/listening/index.md",
        ],
    ),
    "a term that the glossary lacks": (
        (CHAPTER, "## Often said", "A {term}`bakclog`.\n\n## Often said"),
        ["the glossary has no 'bakclog'; near: backlog", "docs/reference/glossary.md"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_with_its_mend(repository: Path, name: str) -> None:
    (where, old, new), says = BROKEN[name]
    change(repository / where, old, new)
    message = told(repository)
    for words in says:
        before, brace, after = words.partition("{}")
        if brace:
            assert before in message
            assert after in message
        else:
            assert words in message
    assert "To mend it: " in message


def test_a_recording_left_over_and_one_missing(repository: Path) -> None:
    recorded = repository / "snippets/listening/recorded"
    (recorded / "demux.txt").rename(recorded / "demos.txt")
    message = told(repository)
    assert "recorded/demos.txt: a recording without its program" in message
    assert "make record S=listening/demux" in message


def test_a_fault_elsewhere_hides_none_here_and_makes_no_other(
    repository: Path,
) -> None:
    change(repository / "snippets/sockets/conversation.py", "import socket", "import")
    change(
        repository / "tests/sockets/test_a_conversation.py", "def test_", "def test "
    )
    change(repository / CHAPTER, "## Elsewhere\n", "## Links\n")
    found = [problem.where for problem in check.problems(repository)]
    assert sorted(found) == [
        CHAPTER + ":1",
        "snippets/sockets/conversation.py:8",
        "tests/sockets/test_a_conversation.py:"
        + str(
            line_of(repository / "tests/sockets/test_a_conversation.py", "def test ")
        ),
    ]


def test_names_that_make_no_address(repository: Path) -> None:
    page = repository / "docs/sockets/my page.md"
    page.write_text("# Where does this page stand?\n")  # no directive on it at all
    program = repository / "snippets/sockets/my_\U0001f600.py"
    program.write_text('"""Smiles."""\n')
    message = told(repository)
    assert "docs/sockets/my page.md: 'my page' is no name of a page" in message
    assert "my_\U0001f600.py: 'my_\U0001f600' is no name of a program" in message
    assert message.count("To mend it: rename it") == 2
    assert "docs/sockets/my page.md:1: the chapter lacks a program" in message


def test_a_page_that_is_not_utf_8(repository: Path) -> None:
    page = repository / CHAPTER
    page.write_bytes(page.read_bytes() + "\nça\n".encode("latin-1"))
    line = page.read_bytes().count(b"\n")
    assert f"{CHAPTER}:{line}: not UTF-8\n  To mend it:" in told(repository)


def test_a_program_that_is_not_utf_8_makes_no_other_problem(repository: Path) -> None:
    program = repository / "snippets/sockets/conversation.py"
    program.write_bytes(program.read_bytes() + "\n# ça\n".encode("latin-1"))
    (problem,) = check.problems(repository)
    line = program.read_bytes().count(b"\n")
    assert problem.where == f"snippets/sockets/conversation.py:{line}"
    assert problem.what == "not UTF-8"
    assert problem.mend == "have your editor save the file as UTF-8"


def test_what_cannot_be_read_is_told_on_the_command_line(repository: Path) -> None:
    latin = "\n# ça\n".encode("latin-1")
    names = (
        *("snippets/listening/demux.py", CHAPTER, "docs/reference/glossary.md"),
        *("tests/listening/test_before_accept.py", "tests/conftest.py"),
        *("snippets/listening/recorded/no_listen.json", "tests/reference/told.txt"),
        *("docs/redirects.txt", "pyproject.toml", "requirements.txt"),
    )
    for name in names:
        path = repository / name
        path.write_bytes(path.read_bytes() + latin)
    (repository / "snippets/listening/linked.py").symlink_to("gone.py")
    (repository / "snippets/sockets/conversation.html").symlink_to("gone.html")
    (repository / "tests/sockets/test_linked.py").symlink_to("gone.py")
    (repository / "docs/sockets/linked.md").symlink_to("gone.md")
    said = run(repository, "handbook", "check")
    assert "Traceback" not in said
    for name in (
        *names,
        *("snippets/listening/linked.py", "snippets/sockets/conversation.html"),
        *("tests/sockets/test_linked.py", "docs/sockets/linked.md"),
    ):
        line = next(row for row in said.splitlines() if row.startswith(f"{name}:"))
        assert "UTF-8" in line or "a link to gone." in line or "utf-8" in line


def test_a_program_named_like_a_module(repository: Path) -> None:
    folder = repository / "snippets/listening"
    (folder / "queue.py").write_text('"""Hides a module."""\n')
    assert "hides Python's module queue" in told(repository)


def test_a_program_in_no_part_and_a_part_without_a_ledger(repository: Path) -> None:
    (repository / "snippets/stray.py").write_text('"""Stray."""\n')
    ledger = repository / "docs/reference/claims/listening.md"
    ledger.unlink()
    message = told(repository)
    assert "snippets/stray.py: no part of the handbook: nothing runs it" in message
    assert "the part listening makes claims, and has no page in the ledger" in message


@pytest.mark.skipif(sys.platform != "linux", reason="recordings are of Linux")
def test_a_brief_answer_leans_on_a_claim_and_leads_to_its_chapter(
    repository: Path,
) -> None:
    claim = "not-connected-during-listen"
    page = repository / "docs/reference/questions.md"
    good = (
        "# Questions\n\n## Listen\n\n### When?\n\n"
        f"At once. {{claim}}`{claim}`\n\n"
        "In full: [Before](../listening/before-accept.md)\n\n"
        "## Ports\n\n### Where?\n\n"
        f"Here. {{claim}}`{claim}`\n\n"
        "In full: [Before](../listening/before-accept.md#often-said)\n"
    )
    page.write_text(good)
    assert told(repository) == ""
    change(page, "In full: [Before](../listening/before-accept.md)", "In full: there.")
    assert "questions.md:5: the answer to 'When?' leads to no chapter" in told(
        repository
    )
    page.write_text(good.replace(f"At once. {{claim}}`{claim}`", "At once."))
    assert "questions.md:5: the answer to 'When?' leans on no claim" in told(repository)
    page.write_text(good.replace("Here.", "Here. " * 80))
    assert "questions.md:13: the answer to 'Where?' takes" in told(repository)
    # What no chapter shows may not be shown here.
    chapter = repository / CHAPTER
    shown = [line for line in chapter.read_text().splitlines() if claim in line]
    page.write_text(good)
    for line in shown:
        change(chapter, line, line.replace(claim, "accept-makes-the-connection"))
    assert f"questions.md:7: the claim {claim} stands here alone" in told(repository)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '"server: recv() ->", connection.recv(1024))\n        connection',
            '"server: read() ->", connection.recv(1024))\n        connection',
            ["  -server: recv() -> b'still there?'", "  +server: read() -> b'still"],
        ),
        (
            'client.sendall(b"still there?")',
            'client.send(b"still there?")',
            ["  -line 19: sendall([", "  +line 19: send(["],
        ),
    ],
)
def test_a_changed_output_or_call_names_page_difference_and_command(
    repository: Path, old: str, new: str, says: list[str]
) -> None:
    change(repository / "snippets/listening/close_listener.py", old, new)
    program = snippet.by_id("listening/close_listener", repository)
    difference = compare.diff(recordings.load(program), record.run(program), program)
    message = str(check.stale(repository, program, difference))
    page = repository / "docs/listening/two-kinds-of-socket.md"
    line = line_of(page, "```{recorded} listening/close_listener")
    assert f"docs/listening/two-kinds-of-socket.md:{line}" in message
    assert "make record S=listening/close_listener" in message
    for words in says:
        assert words in message


def run(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=repository,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
            "PYTHONPATH": str(repository / "conf"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_a_claim_that_no_longer_holds_goes_red(repository: Path) -> None:
    path = repository / "tests/listening/test_before_accept.py"
    bound = (
        "    server = bound_socket(sockets)\n    with pytest.raises(ConnectionRefused"
    )
    change(path, bound, bound.replace("\n", "\n    server.listen()\n", 1))
    said = run(
        repository,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "takes_no_connections",
    )
    assert "Failed: DID NOT RAISE" in said
    assert "test_before_accept.py::test_a_bound_socket_takes_no_connections" in said


def test_a_claim_that_cannot_be_read_is_not_run_unnoticed(repository: Path) -> None:
    path = repository / "tests/listening/test_before_accept.py"
    change(
        path,
        '@claim(\n    "ready-after-bind',
        '@linux\n@(lambda: claim)()(\n    "ready-after-bind',
    )
    said = run(repository, "pytest", "-q", "-p", "no:cacheprovider", "tests/listening")
    assert "the claim ready-after-bind cannot be read from the file" in said


def refused(repository: Path) -> str:
    """Build what is broken, strictly; what was said of it."""
    status, said = building.strictly(repository)
    assert status != 0
    return said


def test_the_build_names_the_line_of_each_fault_and_its_mend(built: Path) -> None:
    page, other = built / CHAPTER, built / "docs/sockets/a-conversation.md"
    change(page, "listening/listen_returns.py", "listening/listen_return.py")
    gone = "[a](#gone) [b](two-kinds-of-socket.md#gone) [c](nope.md)"
    change(page, "## Often said", f"{gone} {{term}}`nope`\n\n## Often said")
    change(
        page, "## Often said", "{trem}`SYN`\n\n```{notise}\n- x\n```\n\n## Often said"
    )
    change(page, "```{claim} not-connected", "```{claim} nt-connected")
    (built / "snippets/listening/recorded/listen_returns.txt").unlink()
    change(other, ":waits: accept, recv", ":waits: accept, bind")
    said = refused(built)

    # An include of what is not there
    assert f"before-accept.md:{line_of(page, 'listen_return.py')}: " in said
    assert "is no program of snippets/" in said
    assert "To mend it: name a file there" in said
    # Links to what is gone
    line = line_of(page, gone)
    for words in (
        "cross-reference target not found: 'gone'\n",
        "local id not found in doc 'listening/two-kinds-of-socket': 'gone'\n",
        "cross-reference target not found: 'nope.md'\n",
        "term not in glossary: 'nope'\n",
    ):
        assert f"before-accept.md:{line}: WARNING: " in said
        _, found, after = said.partition(words)
        assert found, words
        assert after.startswith("  To mend it: ")
    # Names that are none
    for words in ('text role "trem"', "directive type: 'notise'"):
        assert "  To mend it: take " in said.partition(words)[2].partition("WARNING")[0]
    # An unknown claim, and a recording that is missing
    assert "no test claims nt-connected-during-listen" in said
    assert "make record S=listening/listen_returns" in said
    # A wait that the recorded run did not have
    line = line_of(other, "{timeline} sockets/conversation")
    assert f"a-conversation.md:{line}: :waits: bind, which did not wait" in said
    assert "make record S=sockets/conversation" in said


def test_the_build_reports_a_faulty_program_and_claim_and_does_not_crash(
    repository: Path,
) -> None:
    change(repository / "snippets/listening/demux.py", "import socket", "import")
    change(
        repository / "tests/listening/test_before_accept.py",
        '"ready-after-bind"',
        '"Ready after bind"',
    )
    said = refused(repository)
    assert "snippets/listening/demux.py:7: not Python" in said
    assert "'Ready after bind' is no claim id" in said
    assert "Please also report" not in said


def test_a_page_waits_for_what_it_names(built: Path) -> None:
    program = built / "snippets/listening/listen_returns.py"
    test = built / "tests/listening/test_before_accept.py"
    text, claims = program.read_text(), test.read_text()
    program.unlink()
    change(test, '"ready-after-bind"', '"bound-is-enough"')
    refused(built)
    program.write_text(text)
    test.write_text(claims)
    site = building.build(built)
    page = (site / "listening/before-accept.html").read_text()
    assert "snippet-listening-listen_returns" in page
    assert "#claim-ready-after-bind" in page
