"""A run of the tests always ends, and the limit names its test."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import processes
from handbook import offspring
from handbook.problem import Problem
from handbook.snippet import ROOT
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are in /proc")

HANGS = '''
import os, signal, subprocess, sys, threading
from pathlib import Path

import pytest

def waits():
    """A process that would keep open whatever pipe it has."""
    signal.pause()

@pytest.mark.timeout(2)
def test_hangs(record_property):
    record_property("claim", "some-claim")
    grandchild = """import os, signal, sys; os.write(1, b"up"); signal.pause()"""
    subprocess.Popen([sys.executable, "-c", grandchild], start_new_session=True)
    if os.fork() == 0:
        if os.fork() == 0:
            Path("orphan").write_text(str(os.getpid()))
            waits()
        os._exit(0)
    os.wait()
    if os.fork() == 0:
        Path("child").write_text(str(os.getpid()))
        waits()
    threading.Event().wait()

def test_passes():
    pass
'''


def pytest_there(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest in a folder; status and all that it printed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "handbook.pytest_limit"),
            *("-p", "no:randomly", "-o", "timeout_method=thread", *arguments),
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "conf")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


@linux
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_limit_names_its_test_and_the_run_ends(
    tmp_path: Path, workers: str
) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    status, said = pytest_there(tmp_path, "-n", workers)
    assert status == 1
    assert "test_it.py::test_hangs: still running after 2 s, its limit" in said
    assert "To mend it: bound what it waits for with a time-out, or give it " in said
    assert "@pytest.mark.timeout(4)" in said
    assert re.search(r"threading.py.* in wait", said), "where it hung"
    assert "import os, signal, sys; os.write(1" in said, "what it had started"
    for left in ("child", "orphan"):
        pid = int((tmp_path / left).read_text())
        assert "pytest" not in offspring.named(pid), left
    if workers == "2":
        assert "FAILED test_it.py::test_hangs" in said
        assert "1 failed, 1 passed" in said
        summary = said.partition(" over the limit ")[2]
        assert "test_it.py::test_hangs: still running after 2 s" in summary


@linux
def test_a_worker_that_dies_otherwise_is_told_as_before(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import os\ndef test_dies():\n    os._exit(3)\n"
    )
    _, said = pytest_there(tmp_path, "-n", "1", "--max-worker-restart=0")
    assert "crashed while running 'test_it.py::test_dies'" in said
    assert "over the limit" not in said


@linux
def test_what_is_left_at_the_end_of_a_run_ends_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import subprocess\n"
        "from pathlib import Path\n"
        "def test_leaves():\n"
        "    left = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    Path('left').write_text(str(left.pid))\n"
        "    left.returncode = 0  # so that Popen does not complain\n"
    )
    status, said = pytest_there(tmp_path, "-n", "1")
    assert status == 0, said
    assert offspring.named(int((tmp_path / "left").read_text())) != "sleep 1000"


NESTED = """
import subprocess, sys, time
if int(sys.argv[1]):
    argv = [sys.executable, __file__, str(int(sys.argv[1]) - 1)]
    subprocess.Popen(argv, start_new_session=True)
else:
    print("all are up", flush=True)
time.sleep(1000)
"""


def within(tmp_path: Path, minutes: float) -> tuple[int, str, str]:
    """Run four nested processes within a time."""
    program = tmp_path / "nested.py"
    program.write_text(NESTED)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "handbook.offspring", str(minutes)),
            *(sys.executable, str(program), "3"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT / "conf")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@linux
def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    status, out, told = within(tmp_path, 0.05)
    assert status == offspring.OUT_OF_TIME
    # The pipes have been read to their end: none of them holds one any more.
    assert out in {"all are up\n", ""}
    assert f"{tmp_path}/nested.py 3: not done after 0.05 min, and ended" in told
    assert "  To mend it: see above which test came last; give a slow machine " in told


@linux
def test_a_status_is_handed_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "handbook.offspring", "1", "sh", "-c", "exit 3"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "conf")},
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 3


@linux
def test_all_that_was_started_is_found_and_ended() -> None:
    script = "sleep 1000 & sleep 1001 & wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as shell:
        give_up = time.monotonic() + PATIENCE
        while len(offspring.below(shell.pid)) < 2 and time.monotonic() < give_up:
            time.sleep(0.01)  # waits: the shell does not tell that it has forked
        names = sorted(map(offspring.named, offspring.below(shell.pid)))
        assert names == ["sleep 1000", "sleep 1001"]
        assert shell.pid in offspring.below(os.getpid())
        assert len(offspring.end(shell.pid)) == 2
        assert offspring.below(shell.pid) == []


def test_the_message_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offspring, "adopt", lambda: None)
    monkeypatch.setattr(offspring, "end", lambda _: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    slow = [sys.executable, "-c", "import time; time.sleep(1000)"]
    with pytest.raises(Problem, match=r"not done after 0\.0\d+ min"):
        offspring.within(0.5, slow)


@linux
def test_a_command_that_runs_apart_ends_with_all_that_it_started() -> None:
    script = "setsid sleep 1000 & echo up"
    status, said = processes.run_apart(["sh", "-c", script], dict(os.environ))
    assert (status, said) == (0, "up\n")
