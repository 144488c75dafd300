"""make stress: a busy machine, and processes that stop for a moment."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from handbook import offspring, stress
from handbook.problem import Problem
from handbook.snippet import ROOT
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")

TESTS = """
def test_it():
    assert 1 == 1

def test_red():
    assert 1 == 2
"""


def test_a_round_names_what_failed(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    log = tmp_path / "log"
    failed, pauses = stress.one_round(["test_it.py"], 7, log, tmp_path)
    assert failed == ["test_it.py::test_red"]
    assert "1 failed, 1 passed" in log.read_text()
    assert all(stress.SHORTEST <= each <= stress.LONGEST for each in pauses.made)


def test_tests_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        Problem, match=r"make stress: pytest ended with status [45]"
    ) as told:
        stress.one_round(["nothing_here.py"], 7, tmp_path / "log", tmp_path)
    assert "To mend it: choose tests that there are" in str(told.value)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[str]]:
    """Run a process with two children, and end all three, however the test ends."""
    with subprocess.Popen(
        ["sh", "-c", "sleep 1000 & sleep 1000 & echo up; wait"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            yield process
        finally:
            offspring.end(process.pid)
            process.kill()


def until(fits: Callable[[], bool]) -> None:
    """Wait until it is so, a minute at most."""
    give_up = time.monotonic() + PATIENCE
    while not fits():
        assert time.monotonic() < give_up
        time.sleep(0.01)  # waits: no event tells that another process was stopped


def states(pid: int) -> list[bool]:
    return [offspring.is_stopped(each) for each in offspring.below(pid)]


def test_processes_are_paused_and_all_go_on(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress, "BETWEEN", 0.01)
    pauses = stress.Pauses(random.Random(1))  # noqa: S311
    with pauses.below(family.pid):
        until(lambda: any(states(family.pid)))
    until(lambda: states(family.pid) == [False, False])
    assert not offspring.is_stopped(family.pid), "never the one above them"
    assert pauses.made


def test_what_a_test_has_stopped_itself_stays_so(
    family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress, "BETWEEN", 0.01)
    monkeypatch.setattr(stress, "LONGEST", 0.1)
    mine, other = offspring.below(family.pid)
    offspring.send([mine], 19)  # SIGSTOP
    until(lambda: offspring.is_stopped(mine))  # it is on its way for a moment
    pauses = stress.Pauses(random.Random(1))  # noqa: S311
    with pauses.below(family.pid):
        while len(pauses.made) < 3:
            assert offspring.is_stopped(mine)
            until(lambda: offspring.is_stopped(other) or len(pauses.made) >= 3)
            until(lambda: not offspring.is_stopped(other))
    until(lambda: not offspring.is_stopped(other))


def test_the_machine_is_busy_for_as_long_as_the_block() -> None:
    with stress.hogs(2):
        names = [offspring.named(pid) for pid in offspring.below(os.getpid())]
        assert len([name for name in names if "getppid" in name]) == 2
    names = [offspring.named(pid) for pid in offspring.below(os.getpid())]
    assert not any("getppid" in name for name in names)


def test_make_stress_runs_some_rounds_and_says_what_it_did() -> None:
    chosen = "tests/test_recordings.py"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "handbook", "stress", "--rounds", "1"),
            *("--seed", "3", "--hogs", "1", "-k", "port_zero", chosen),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": "conf"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    left_out, line, last = done.stdout.splitlines()
    assert "send_or_sendall]: a signal ends a blocking send()" in left_out
    assert line.startswith("round 1 of 1, seed 3: 0 failed, ")
    assert " s, load " in line
    assert " pauses, together " in line
    assert last == "nothing failed"


def test_the_recordings_and_the_parts_are_run_unless_files_are_named() -> None:
    names = [os.path.relpath(path, ROOT) for path in stress.parts()]
    assert names[0] == "tests/test_recordings.py"
    assert "tests/websockets" in names
    assert not any("handbook" in name for name in names)
