"""Tests that prove nothing or never run: break one on purpose, and read the message."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from handbook import check, check_tests, sources

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
import sys, threading
from contextlib import suppress
import pytest
from handbook.claims import cited, claim

SIZE = 5
flaky = pytest.mark.xfail


def helper(value):
    assert value.read() == 5


def quiet(value):
    return value
"""


def written(root: Path, body: str, name: str = "demo/test_demo.py") -> Path:
    path = root / "tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}\n{textwrap.dedent(body)}")
    return path


def claimed(root: Path, body: str, marks: str = "") -> Path:
    """Write a claim's test with these statements."""
    head = f'@claim("x", "listen(2)")\n{marks}\ndef test_x(it):\n    """It is so."""\n'
    return written(root, head + textwrap.indent(textwrap.dedent(body), "    "))


def told(root: Path) -> str:
    """Give what the checks of tests say."""
    return "\n".join(
        str(problem) for look in check_tests.ALL for problem in look(root, [], [])
    )


NOTHING = "the test asserts nothing"
CONSTANT = "the test asserts only what is true whatever happens"
EARLY = "the test returns before it asserts anything"
SKIPPED = "the test is skipped on every Linux"
XFAIL = "the test is expected to fail, and its sentence would still be published"

CANNOT_FAIL = {
    "no assertion": ("it.read()", "", NOTHING),
    "true": ("assert True", "", CONSTANT),
    "two literals": ('assert "a" == "a"', "", CONSTANT),
    "a name and itself": ("x = it.read()\nassert x == x", "", CONSTANT),
    "a name and its literal": ('x = "a"\nassert x == "a"', "", CONSTANT),
    "a constant of the file": ("assert SIZE == 5", "", CONSTANT),
    "a truth beside": ("assert it.read() or True", "", CONSTANT),
    "no length below nothing": ("assert len(it.read()) >= 0", "", CONSTANT),
    "a tuple": ('assert (it.read() == 5, "it is")', "", CONSTANT),
    "a function that is not called": ("assert lambda: it.read() == 5", "", CONSTANT),
    "a text": ('assert f"read {it.read()}"', "", CONSTANT),
    "an error that the test raises": (
        "with pytest.raises(OSError):\n    raise OSError",
        "",
        CONSTANT,
    ),
    "a length": ('assert len("abc") == 3', "", CONSTANT),
    "a helper that asserts nothing": ("quiet(it)", "", NOTHING),
    "a function that nobody calls": (
        "def inner():\n    assert it.read() == 5",
        "",
        NOTHING,
    ),
    "an early return": ("return\nassert it.read() == 5", "", EARLY),
    "a return on Linux": (
        'if sys.platform == "linux":\n    return\nassert it.read() == 5',
        "",
        EARLY,
    ),
    "a return on what is no Mac": (
        'if not sys.platform.startswith("darwin"):\n    return\nhelper(it)',
        "",
        NOTHING,
    ),
    "an assertion elsewhere than on Linux": (
        'if sys.platform == "win32":\n    assert it.read() == 5',
        "",
        NOTHING,
    ),
    "a loop over nothing": ("for x in ():\n    assert x == it.read()", "", NOTHING),
    "an assertion swallowed": (
        "with suppress(AssertionError):\n    assert it.read() == 5",
        "",
        CONSTANT,
    ),
    "an assertion caught": (
        "try:\n    assert it.read() == 5\nexcept Exception:\n    pass",
        "",
        NOTHING,
    ),
    "marked xfail": ("helper(it)", "@pytest.mark.xfail", XFAIL),
    "marked xfail with a reason": (
        "helper(it)",
        '@pytest.mark.xfail(reason="no")',
        XFAIL,
    ),
    "marked by another name": ("helper(it)", "@flaky", XFAIL),
    "a case marked xfail": (
        "helper(it)",
        '@pytest.mark.parametrize("it", [pytest.param(1, marks=pytest.mark.xfail)])',
        XFAIL,
    ),
    "xfail called": ('helper(it)\npytest.xfail("no")', "", XFAIL),
    "marked skip": ("helper(it)", "@pytest.mark.skip", SKIPPED),
    "marked skip where it is true": (
        "helper(it)",
        '@pytest.mark.skipif(sys.platform == "linux", reason="no")',
        SKIPPED,
    ),
    "skipped at once": ('pytest.skip("no")\nhelper(it)', "", SKIPPED),
    "no case": (
        "helper(it)",
        '@pytest.mark.parametrize("it", [])',
        "the test has no case, so pytest never runs it",
    ),
}


@pytest.mark.parametrize("name", CANNOT_FAIL)
def test_a_claim_whose_test_cannot_fail_is_refused(tmp_path: Path, name: str) -> None:
    body, marks, says = CANNOT_FAIL[name]
    claimed(tmp_path, body, marks)
    message = told(tmp_path)
    assert message.startswith("tests/demo/test_demo.py:")
    assert f"the claim x proves nothing: {says}\n  To mend it: " in message


CAN_FAIL = {
    "an assertion": ("assert it.read() == 5", ""),
    "a helper of the file": ("helper(it)", ""),
    "a helper of the support": ("let_arrive(it, 5)", ""),
    "an error that must come": ("with pytest.raises(OSError):\n    it.read()", ""),
    "what a thread asserts": (
        "threading.Thread(target=helper, args=(it,)).start()",
        "",
    ),
    "a function of the test": (
        "def inner():\n    assert it.read() == 5\ninner()",
        "",
    ),
    "a list that grows": ("seen = []\nit.read(seen.append)\nassert seen == [5]", ""),
    "a count": ("n = 0\nfor _ in it:\n    n += 1\nassert n == 5", ""),
    "a skip where something is missing": (
        'if not it.there():\n    pytest.skip("no")\nhelper(it)',
        "",
    ),
    "a skip elsewhere": (
        "helper(it)",
        '@pytest.mark.skipif(sys.platform != "linux", reason="Linux")',
    ),
    "an assertion that an error passes": (
        "try:\n    helper(it)\nexcept Exception:\n    raise",
        "",
    ),
    "a loop that must end": (
        "while it.read():\n    pass\nelse:\n    assert it.closed",
        "",
    ),
}


@pytest.mark.parametrize("name", CAN_FAIL)
def test_a_claim_whose_test_can_fail_is_let_be(tmp_path: Path, name: str) -> None:
    body, marks = CAN_FAIL[name]
    path = claimed(tmp_path, body, marks)
    path.write_text(f"from arrival import let_arrive\n{path.read_text()}")
    support = tmp_path / "tests" / "support" / "arrival.py"
    support.parent.mkdir()
    support.write_text("def let_arrive(sock, size):\n    assert sock.wait(size)\n")
    assert "proves nothing" not in told(tmp_path)


def test_a_helper_counts_only_where_it_is_imported(tmp_path: Path) -> None:
    claimed(tmp_path, "let_arrive(it, 5)")
    support = tmp_path / "tests" / "support" / "arrival.py"
    support.parent.mkdir()
    support.write_text("def let_arrive(sock, size):\n    assert sock.wait(size)\n")
    assert NOTHING in told(tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        *("the Internet", "Stack Overflow", "common knowledge", "RFC", "RFC 9293"),
        *("Wikipedia: TCP", "listen", "Linux", "Python docs", "POSIX", "a book"),
        *("RFC section 3", "WHATWG", "Python docs: "),
    ],
)
def test_a_source_that_names_no_place_is_refused(tmp_path: Path, source: str) -> None:
    written(
        tmp_path, f'@claim("x", "{source}")\ndef test_x(it):\n    "So."\n    helper(it)'
    )
    message = told(tmp_path)
    assert (
        f"the claim x has a source that nobody can look up: {source!r}\n  To mend it: "
        "name the section in one of these forms: RFC 9293 section 3.5; "
    ) in message


@pytest.mark.parametrize(
    "source",
    [
        *("RFC 9293 section 3.5", "RFC 6455 sections 1.2, 5.4 and 5.6", "listen(2)"),
        *("RFC 9112 appendix C.2.2", "RFC 768 Fields", "socket(7) NOTES"),
        *("proc(5), /proc/net/tcp", "POSIX listen()", "PEP 446", "FreeBSD lo(4)"),
        *("Linux net/ipv4/tcp.c, tcp_recvmsg", "Linux include/net/tcp_states.h"),
        *("Linux ip-sysctl.rst, tcp_retries2", "Python docs: socket.listen"),
        *("WHATWG HTML section 9.2", "WHATWG WebSockets, close()"),
        *("nginx docs: proxy_read_timeout", "CPython Lib/http/client.py"),
        "websockets 17.4 asyncio/client.py: connect.__aiter__()",
    ],
)
def test_a_source_that_names_a_place_is_taken(source: str) -> None:
    assert sources.names_something(source)


NOT_RUN = {
    "within a function": (
        "def outer():\n    def test_in():\n        assert quiet(1)\nouter()",
        "pytest does not run test_in: it stands within another function",
    ),
    "in a class of another name": (
        "class Checks:\n    def test_in(self):\n        assert quiet(1)",
        "pytest does not run test_in: the name of its class Checks does not begin "
        "with Test",
    ),
    "in a class that is made": (
        "class TestIt:\n    def __init__(self):\n        pass\n"
        "    def test_in(self):\n        assert quiet(1)",
        "pytest does not run test_in: its class TestIt has an __init__()",
    ),
    "misspelt": (
        "def tset_it(it):\n    it.read()",
        "tset_it is called by nothing, and pytest does not run it",
    ),
    "a check that nobody makes": (
        "def check_it(it):\n    assert it.read() == 5",
        "check_it is called by nothing, and pytest does not run it",
    ),
    "a check that only calls itself": (
        "def check_it(it):\n    assert it.read() == 5\n    check_it(it)",
        "check_it is called by nothing",
    ),
}


@pytest.mark.parametrize("name", NOT_RUN)
def test_a_test_that_pytest_does_not_run_is_named(tmp_path: Path, name: str) -> None:
    body, says = NOT_RUN[name]
    path = written(tmp_path, f"{body}\n\n\ndef test_a(it):\n    helper(it)")
    line = path.read_text().splitlines().index(HEAD.splitlines()[-1]) + 1
    message = told(tmp_path)
    assert says in message
    assert int(message.partition(":")[2].partition(":")[0]) > line
    assert "  To mend it: " in message


def test_what_pytest_runs_or_calls_is_let_be(tmp_path: Path) -> None:
    body = (
        "class TestIt:\n    def test_in(self):\n        assert quiet(1)\n"
        "@pytest.fixture\ndef made():\n    assert quiet(1)\n"
        "def pytest_configure():\n    assert quiet(1)\n"
        "def test_a(it):\n    helper(it)"
    )
    written(tmp_path, body)
    assert told(tmp_path) == ""


def test_a_file_that_pytest_does_not_collect_is_named(tmp_path: Path) -> None:
    written(tmp_path, "def test_a():\n    helper(1)", "demo/check_it.py")
    written(tmp_path, "def help_all():\n    helper(1)", "support/unused.py")
    message = told(tmp_path)
    for name in ("demo/check_it.py", "support/unused.py"):
        assert (
            f"tests/{name}: pytest does not collect this file, and no test imports it"
            in message
        )
    assert "rename it to test_….py if it holds tests" in message


def test_what_learners_are_told_is_listed_once_and_claimed(tmp_path: Path) -> None:
    claimed(tmp_path, "helper(it)")
    ids = tmp_path / "tests" / "reference" / "told.txt"
    ids.parent.mkdir()
    ids.write_text("# Ids\n\nx\nmoon-is-cheese\nx\n")
    message = told(tmp_path)
    assert (
        "tests/reference/told.txt:4: no test claims moon-is-cheese, which learners are "
        'told\n  To mend it: write its test with @claim("moon-is-cheese", …), or delete'
    ) in message
    assert "told.txt:5: x is listed twice, first on line 3" in message


def test_tests_that_cannot_be_read_are_named_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    claimed(tmp_path, "assert True")
    folder = tmp_path / "tests" / "demo"
    (folder / "test_latin.py").write_bytes('"""Ça."""\n'.encode("latin-1"))
    (folder / "test_gone.py").symlink_to("nowhere.py")
    (folder / "test_null.py").write_bytes(b'"""Null."""\n\0\n')
    (folder / "conftest.py").write_bytes(b"# \xe7\n")
    message = "\n".join(map(str, check.problems(tmp_path)))
    for words in (
        "tests/demo/test_latin.py:1: not UTF-8\n  To mend it: have your editor save",
        "tests/demo/test_gone.py: a link to nowhere.py, which is not there\n",
        "tests/demo/test_null.py:",
        "tests/demo/conftest.py:1: not UTF-8\n",
        f"the claim x proves nothing: {CONSTANT}",
    ):
        assert message.count(words) == 1, message
