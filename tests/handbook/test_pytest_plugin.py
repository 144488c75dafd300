"""On the machines of CI nothing is skipped, but for what a network is like."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handbook.pytest_plugin import NETWORK, OF_MAKE
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="CI runs on Linux")
def test_a_skip_is_a_failure_under_ci(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_tool():\n    pytest.skip('no such tool')\n"
        f"def test_network():\n    pytest.skip('x: {NETWORK}IPv6')\n"
    )

    def told(ci: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "handbook.pytest_plugin", "-rs"],
            cwd=tmp_path,
            env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "conf")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout

    assert "2 skipped" in told("")
    under_ci = told("true")
    assert "1 failed, 1 skipped" in under_ci
    assert "no such tool" in under_ci
    assert "To mend it: install it in .ci/run; CI skips nothing" in under_ci


def run(folder: Path, *words: str) -> str:
    """Run the tests of a folder with the plugin, and return what pytest said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "handbook.pytest_plugin", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "conf")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "in a worker"])
def test_what_make_was_given_does_not_reach_a_make_that_a_test_starts(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import subprocess\n"
        "def test_it():\n"
        "    given = subprocess.check_output(['make', '-s', 'shown'], text=True)\n"
        "    assert given == '|||||||||0\\n'\n"
    )
    names = ["ARGS", "BASE", "C", "K", "NAME", "PART", "PORT", "PYTHON", "S"]
    pytest_, words = f"'{sys.executable}' -m pytest", " ".join(workers)
    (tmp_path / "Makefile").write_text(
        f"test:\n\t@{pytest_} -p handbook.pytest_plugin {words} test_it.py\n"
        f"shown:\n\t@echo '{'|'.join(f'$({n})' for n in names)}|$(MAKELEVEL)'\n"
    )
    done = subprocess.run(
        ["make", "test", *(f"{name}=x" for name in names)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "conf")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_that_the_makefile_takes_is_kept_from_tests() -> None:
    taken = re.findall(
        r"^([A-Z_]+) *[?:]?=", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    fixed = {"BIN", "READY", "SHELL", "SOURCES", "SPHINX", "VENV"}
    assert set(taken) - fixed == set(OF_MAKE) & set(taken)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_the_cpu_of_programs_that_tests_run_is_counted(
    tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "import subprocess, sys\n"
        "BURN = 'import time\\nwhile time.process_time() < 4: pass'\n"
        "def test_it():\n    subprocess.run([sys.executable, '-c', BURN])\n"
    )
    told = re.search(
        r"^CPU: ([0-9.]+) minutes of 10, browsers apart$",
        run(tmp_path, *workers),
        re.MULTILINE,
    )
    assert told is not None
    assert float(told[1]) >= 0.1  # with the start of pytest; 4 s alone are 0.07
