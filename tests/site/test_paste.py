"""The paste test: what the copy button gives runs in an empty directory.

The text is taken from the built pages, where the button takes it (that it takes
it whole is tested in a real Chromium), and run by the bare interpreter: no
environment variable, no installed package but those it says it needs, nothing
else in the directory.
"""

from __future__ import annotations

import contextlib
import functools
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from bs4 import BeautifulSoup
from bs4.filter import SoupStrainer

from handbook import snippet
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

# As -I, but that a program finds the companion that lies beside it.
BARE = [getattr(sys, "_base_executable", sys.executable), "-E", "-s", "-W", "error"]
BOXES = SoupStrainer(class_="snippet")
PROGRAMS = [f"{path.parent.name}/{path.stem}" for path in snippet.find()]


@functools.cache
def copied(built_site: Path) -> dict[str, set[str]]:
    """Say what the pages' copy buttons give, by `part/name`."""
    found: dict[str, set[str]] = {}
    for path in built_site.rglob("*.html"):
        soup = BeautifulSoup(path.read_text("utf-8"), "html.parser", parse_only=BOXES)
        for box in soup.select(".snippet"):
            link, pre = box.select_one(".snippet-path"), box.select(".copy-source pre")
            assert link is not None
            elsewhere = box.select_one(".snippet-elsewhere a")
            if elsewhere is not None:  # it is copied on a page of its own
                assert (path.parent / str(elsewhere["href"])).is_file(), elsewhere
                assert not pre
                continue
            assert len(pre) == 1, f"{path}: {link.get_text()} has {len(pre)} copies"
            name = link.get_text().removeprefix("snippets/").removesuffix(".py")
            found.setdefault(name, set()).add(pre[0].get_text())
    return found


def bare(folder: Path, *words: str) -> subprocess.Popen[str]:
    file = folder / words[0]
    interpreter = BARE[0]
    if snippet.read(file, folder.parent).packages:
        interpreter = sys.executable
    return subprocess.Popen(
        [interpreter, *BARE[1:], *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def paste(folder: Path, name: str, built_site: Path) -> snippet.Snippet:
    """Put a program, and the companions it names, into a folder."""
    given = copied(built_site)
    program = snippet.by_id(name)
    wanted = [program.path.name, *program.companions]
    wanted += [role.argv[0] for role in program.roles]
    for file in dict.fromkeys(wanted):
        (text,) = given[f"{program.part}/{file.removesuffix('.py')}"]
        (folder / file).write_text(text)
    return program


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_copy_button_gives_runs(
    name: str, built_site: Path, tmp_path: Path
) -> None:
    program = paste(tmp_path, name, built_site)
    file = program.path.name
    if name in snippet.companions_of_pairs():
        # It runs as a role of its pair, in the test of the other one.
        process = bare(tmp_path, file, "--help")
        out, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, errors) == (0, "")
        assert out.startswith("usage: ")
    elif program.roles:
        run_pair(tmp_path, program)
    else:
        process = bare(tmp_path, file)
        with contextlib.ExitStack() as ended:
            ended.callback(process.kill)
            out, errors = process.communicate(timeout=2 * PATIENCE)  # a browser's too
        assert (process.returncode, errors) == (0, ""), out
        assert out


def run_pair(folder: Path, program: snippet.Snippet) -> None:
    """Start the first role, run the others to their end, and press Ctrl-C."""
    first, *others = program.roles
    assert program.port is not None
    pattern = re.escape(program.port).replace(r"\{port\}", r"(\d+)")
    with bare(folder, *first.argv) as server:
        try:
            assert server.stdout is not None
            port = re.search(pattern, server.stdout.readline())
            assert port is not None
            for role in others:
                words = [word.replace("{port}", port[1]) for word in role.argv]
                with bare(folder, *words) as other:
                    out, errors = other.communicate(timeout=PATIENCE)
                assert (other.returncode, errors) == (0, ""), out
            server.send_signal(signal.SIGINT)
            out, errors = server.communicate(timeout=PATIENCE)
            assert (server.returncode, errors) == (0, ""), out
        finally:
            server.kill()
