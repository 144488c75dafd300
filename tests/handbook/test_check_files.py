"""Files that belong to nothing, lists that disagree, links to no good address."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from handbook import check, check_files, pages

if TYPE_CHECKING:
    from pathlib import Path

IN = "# why\npytest ~= 9.0   # runs\npagefind[bin]  # finds\nPyYAML\n"
LOCK = """\
iniconfig==2.3.1
    # via pytest
pagefind==1.5.2
    # via -r requirements.in
pagefind-bin==1.5.2
    # via pagefind
pytest==9.1.0
    # via
    #   -r requirements.in
    #   pytest-xdist
pyyaml==6.0.3 ; python_version >= '3.11'
    # via -r requirements.in
"""


def written(root: Path, name: str, text: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def told(root: Path) -> str:
    read = pages.gather(root)[0]
    return "\n".join(
        str(problem) for look in check_files.ALL for problem in look(root, read, [])
    )


STRAY = {
    "docs/demo/data.csv": "no page uses this file",
    "docs/demo/page.md~": "left behind by an editor, a patch or a merge",
    "snippets/demo/notes.txt": "belongs to no program",
    "snippets/demo/a.py.orig": "left behind by an editor, a patch or a merge",
    "snippets/demo/a.py.rej": "left behind by an editor, a patch or a merge",
    "snippets/demo/sub/deep.py": "no part of the handbook: nothing runs it",
    "snippets/demo/sub/deep.html": "belongs to no program",
    "snippets/stray.py": "no part of the handbook: nothing runs it",
    "tests/demo/data.bin": "no test uses this file",
    "tests/demo/sub/test_deep.py": "lies too deep",
}
KEPT = (
    *("docs/demo/page.md", "docs/demo/used.csv", "docs/redirects.txt"),
    *("snippets/demo/a.py", "snippets/demo/page.html", "snippets/demo/recorded/a.txt"),
    *("tests/conftest.py", "tests/demo/test_demo.py", "tests/demo/frames.txt"),
    *("tests/reference/told.txt", "tests/support/help.py"),
)


@pytest.mark.parametrize("git", [False, True])
def test_a_file_that_belongs_to_nothing_is_named(tmp_path: Path, *, git: bool) -> None:
    for name in [*STRAY, *KEPT]:
        written(tmp_path, name)
    written(tmp_path, "docs/demo/page.md", "# A page\n\n[data](used.csv)\n")
    written(tmp_path, "tests/demo/test_demo.py", "NAME = 'frames.txt'\n")
    written(tmp_path, "docs/demo/__pycache__/x.pyc")
    if git:
        written(tmp_path, ".gitignore", "__pycache__/\n*.local\n")
        written(tmp_path, "docs/demo/mine.local")
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True, timeout=60)
        subprocess.run(["git", "add", KEPT[0]], cwd=tmp_path, check=True, timeout=60)
    message = told(tmp_path)
    for name, says in STRAY.items():
        assert f"{name}: {says}" in message
    assert message.count("  To mend it: ") == len(STRAY)


def test_links_that_dangle_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    gone = tmp_path / "nowhere"
    for name in ("snippets/demo/a.py", "snippets/demo/a.html", "docs/demo/a.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(gone)
    written(tmp_path, "docs/demo/data.csv")
    message = "\n".join(map(str, check.problems(tmp_path)))
    for name in ("snippets/demo/a.py", "snippets/demo/a.html", "docs/demo/a.md"):
        assert (
            f"{name}: a link to {gone}, which is not there\n  To mend it: delete the "
            "link, or bring back what it leads to"
        ) in message
    assert "docs/demo/data.csv: no page uses this file" in message


def test_what_is_no_text_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    written(tmp_path, "docs/demo/data.csv")
    names = (
        *("snippets/demo/a.py", "snippets/demo/a.html", "docs/demo/a.md"),
        *("tests/reference/told.txt", "docs/redirects.txt", "pyproject.toml"),
        *("requirements.in", "requirements.txt", "README.md"),
    )
    for name in names:
        written(tmp_path, name).write_bytes(b"# one\n# \xe7\n")
    message = "\n".join(map(str, check.problems(tmp_path)))
    for name in names:
        if name != "requirements.txt":  # told of once the other one can be read
            assert f"{name}:2: not UTF-8\n  To mend it: have your editor" in message
    assert "docs/demo/data.csv: no page uses this file" in message
    written(tmp_path, "requirements.in", IN)
    assert "requirements.txt:2: not UTF-8" in told_of_locks(tmp_path)


def told_of_locks(root: Path) -> str:
    return "\n".join(
        str(problem)
        for problem in check.problems(root)
        if problem.where.startswith("requirements")
    )


@pytest.mark.parametrize(
    ("asked", "pinned", "says"),
    [
        (IN, LOCK, ""),
        (
            IN + "furo\n",
            LOCK,
            "requirements.in:5: furo is not in requirements.txt\n  To mend it: make",
        ),
        (
            IN.replace("9.0", "8.0"),
            LOCK,
            "requirements.in:2: asks for pytest~=8.0, and requirements.txt:7 pins "
            "==9.1.0\n  To mend it: make lock",
        ),
        (
            IN,
            LOCK.replace("pytest==9.1.0", "pytest>=9.1.0"),
            "requirements.txt:7: pytest is not pinned with ==",
        ),
        (
            IN.replace("pagefind[bin]  # finds\n", ""),
            LOCK,
            "requirements.txt:3: pagefind is pinned, and nothing in requirements.in "
            "needs it\n  To mend it: make lock; if it is wanted, write it into",
        ),
        (
            IN.replace("pagefind[bin]  # finds\n", ""),
            LOCK,
            "requirements.txt:5: pagefind-bin is pinned, and nothing",
        ),
        (
            IN,
            LOCK + "leftpad==1.0\n    # via -r requirements.in\n",
            "requirements.txt:13: leftpad is pinned, and nothing in requirements.in",
        ),
        (
            IN + "two words\n",
            LOCK,
            "requirements.in:5: 'two words' is no requirement: ",
        ),
    ],
)
def test_what_is_asked_for_is_what_is_pinned(
    tmp_path: Path, asked: str, pinned: str, says: str
) -> None:
    written(tmp_path, "requirements.in", asked)
    written(tmp_path, "requirements.txt", pinned)
    message = told_of_locks(tmp_path)
    assert says in message
    assert bool(says) is bool(message)


def test_a_list_that_is_gone_is_named(tmp_path: Path) -> None:
    written(tmp_path, "requirements.in", IN)
    assert "requirements.txt: cannot be read: No such file" in told_of_locks(tmp_path)


@pytest.mark.parametrize(
    ("link", "says"),
    [
        (
            "[a](http://docs.python.org/3/)",
            "http://docs.python.org/3/ is not encrypted",
        ),
        ("<http://www.rfc-editor.org>", "http://www.rfc-editor.org is not encrypted"),
        ("[a]: http://man7.org/x", "http://man7.org/x is not encrypted"),
        ("[js](javascript:alert(1))", "a javascript: link, which leads to no page"),
        ("[js]( JavaScript:alert(1))", "a javascript: link"),
        ("<javascript:alert(1)>", "a javascript: link"),
        ("[a]: javascript:alert(1)", "a javascript: link"),
        ("[d](data:text/html,x)", "a data: link"),
    ],
)
def test_a_link_that_nobody_should_follow_is_named(
    tmp_path: Path, link: str, says: str
) -> None:
    written(tmp_path, "docs/demo/a.md", f"# A page\n\n{link}\n")
    message = told(tmp_path)
    assert f"docs/demo/a.md:3: {says}" in message
    assert "  To mend it: " in message
    assert "https://" in message


@pytest.mark.parametrize(
    "link",
    [
        *("[a](https://docs.python.org/3/)", "`http://127.0.0.1:8000/`"),
        *("`http://localhost:8000`", "`http://chat.example/`", "http://[::1]:80/"),
        *("http://www.example.com/", "[a](../b.md)", "`javascript:` runs nothing"),
    ],
)
def test_a_link_to_https_or_to_an_example_is_let_be(tmp_path: Path, link: str) -> None:
    written(tmp_path, "docs/demo/a.md", f"# A page\n\n{link}\n")
    assert told(tmp_path) == ""


def test_the_old_addresses_lead_somewhere(tmp_path: Path) -> None:
    written(tmp_path, "docs/demo/a.md", "# A page\n")
    written(
        tmp_path,
        "docs/redirects.txt",
        "# old, new\ndemo/b.md demo/a.md\ndemo/c.md demo/d.md\ndemo/e.md\n",
    )
    message = told(tmp_path)
    assert "docs/redirects.txt:3: leads to demo/d.md, which is not there" in message
    assert (
        "docs/redirects.txt:4: 'demo/e.md' is not an old document and a new" in message
    )
    assert message.count("To mend it") == 2


def test_settings_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    written(tmp_path, "pyproject.toml", "[tool.ruff]\nline-length = \n")
    assert "pyproject.toml:2: not TOML: " in told(tmp_path)


UNFINISHED = {
    "docs/demo/a.md": "# A page\n\n% TODO: say more\n",
    "docs/demo/b.md": "# A page\n\nLorem ipsum dolor sit amet.\n",
    "docs/demo/c.md": "# A page\n\n% todo say more\n",
    "snippets/demo/a.py": '"""Shows it."""\n\n# FIXME: it does not\n',
    "snippets/demo/b.py": '"""Shows it.\n\nXXX more\n"""\n',
    "snippets/demo/c.html": "<!DOCTYPE html>\n\n<!-- TODO: more -->\n",
    "tests/demo/test_a.py": "def test_a() -> None:\n\n    # TODO: assert\n    pass\n",
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_is_still_to_do_is_named(tmp_path: Path, name: str) -> None:
    written(tmp_path, name, UNFINISHED[name])
    (problem,) = check.to_do(tmp_path)
    assert problem.where == f"{name}:3"
    assert problem.what == f"to do: {UNFINISHED[name].splitlines()[2].strip()}"
    assert problem.mend == "do it, and delete the line"


@pytest.mark.parametrize("text", ["MAXXX = 1\n", 'print("TODO")\n', "to_do = 1\n"])
def test_what_only_looks_like_it_is_let_be(tmp_path: Path, text: str) -> None:
    written(tmp_path, "tests/demo/test_a.py", text)
    assert check.to_do(tmp_path) == []
