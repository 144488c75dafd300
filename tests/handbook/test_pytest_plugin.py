"""Skips: told once for each kind, and on the machines of CI a fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handbook import needs
from handbook.pytest_plugin import OF_MAKE
from handbook.snippet import ROOT
from needing import needing
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

TESTS = f"""
import pytest

@pytest.mark.parametrize("number", range(3))
def test_tool(number):
    pytest.skip({needs.reason("nginx")!r})

@pytest.mark.skipif(True, reason={needs.reason("root")!r})
def test_right():
    pass

def test_network():
    pytest.skip({needs.reason("IPv6")!r})

def test_purpose():
    pytest.skip("it is late")
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the tests above without CI and with it; what pytest says of each."""
    folder = tmp_path_factory.mktemp("skips")
    (folder / "test_it.py").write_text(TESTS)

    def run(ci: str) -> str:
        plugins = ("-p", "handbook.pytest_plugin", "-p", "no:cacheprovider")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, "-n", "2"],
            cwd=folder,
            env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "conf")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout

    return {"here": run(""), "ci": run("true")}


def test_each_kind_of_skip_is_told_once_with_what_would_run_it(
    told: dict[str, str],
) -> None:
    rows = [row for row in told["here"].splitlines() if row.startswith("SKIPPED")]
    assert rows == [
        "SKIPPED [1] it is late",
        "SKIPPED [1] needs IPv6; to run it: sysctl -w net.ipv6.conf.all.disable_ipv6=0",
        "SKIPPED [3] needs nginx; to run it: apt install nginx-light (Debian, Ubuntu)",
        f"SKIPPED [1] needs root; to run it: {needs.AS_ROOT}",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="CI runs on Linux")
def test_a_skip_is_a_failure_under_ci(told: dict[str, str]) -> None:
    assert "name the package in .ci/packages; CI skips nothing" in told["ci"]
    assert "CI skips nothing: take the skip away" in told["ci"]
    as_root = os.geteuid() == 0
    assert ("let CI run as root" in told["ci"]) is as_root
    ended = "4 failed, 1 skipped, 1 error" if as_root else "4 failed, 2 skipped"
    assert ended in told["ci"]


@pytest.mark.parametrize("need", [*needs.CONDITIONS, *needs.DEBIAN, "Linux", "lsof"])
def test_a_reason_says_what_is_missing_and_what_brings_it(need: str) -> None:
    reason = needs.reason(need)
    assert needs.lacking(reason) == [need]
    assert needs.remedy(need) in reason


def test_packages_that_a_reason_names_are_those_of_ci() -> None:
    packages = (ROOT / ".ci/packages").read_text().split("\n")
    for need in needs.DEBIAN:
        assert {*needs.DEBIAN[need].split()} <= {*packages}, need


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_newcomers_are_told_all_packages_that_ci_installs(page: str) -> None:
    rows = (ROOT / ".ci/packages").read_text().splitlines()
    assumed = {"make", "git", "python3", "python3-venv", "ca-certificates"}
    wanted = {row for row in rows if not row.startswith("#")} - assumed
    assert wanted <= {*re.split(r"[\s`)]+", (ROOT / page).read_text())}


def run(folder: Path, *words: str) -> str:
    """Run the tests of a folder with the plugin, and return what pytest said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "handbook.pytest_plugin", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "conf")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needing("make")
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
        timeout=PATIENCE,
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
