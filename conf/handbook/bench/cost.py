"""What a run costs, and two sides that take turns.

CPU seconds are those of the whole tree of processes (getrusage(2),
RUSAGE_CHILDREN), wall seconds those of a clock that only goes forward.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHARE = 45.0  # seconds of one measure after which it begins no further round
TIMEOUT = 300.0  # seconds that one build or test run may take


@dataclass(frozen=True)
class Cost:
    """Seconds that a run took."""

    cpu: float
    wall: float


@contextlib.contextmanager
def clock() -> Iterator[list[Cost]]:
    """Note what the child processes that end in the block cost."""
    costs: list[Cost] = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    yield costs
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    costs.append(Cost(cpu, wall))


def environment(python_path: Path | None) -> dict[str, str]:
    """Give a child process our environment without what steers Python or the tests."""
    env = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HANDBOOK_", "PYTHON", "PYTEST_", "SPHINX"))
    }
    if python_path is not None:
        env["PYTHONPATH"] = str(python_path)
    return env


def spend(
    argv: list[str],
    folder: Path,
    python_path: Path | None,
    *,
    fails: tuple[str, str, str],
    timeout: float = TIMEOUT,
) -> Cost:
    """Run a command in `folder` to its end and say what it cost.

    A status other than 0, or no end within `timeout` seconds, is a Problem made
    of `fails` (where, what, how to mend it) and the command's last words.
    """
    with clock() as costs:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment(python_path),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = process.communicate(timeout=timeout)[0]
            status = f"status {process.returncode}"
        except subprocess.TimeoutExpired:
            said, status = b"", f"no end after {timeout:g} s"
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
    if status != "status 0":
        where, what, mend = fails
        text = said.decode("utf-8", "backslashreplace")
        text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
        tail = "\n".join(text.strip().splitlines()[-15:]) or "it printed nothing"
        raise Problem(where, f"{what} ({status})", f"{mend}\n{tail}")
    return costs[0]


def progress(text: str) -> None:
    """Say on standard error what is being done."""
    print(text, file=sys.stderr, flush=True)


def alternate(
    name: str, rounds: int, ours: Callable[[], Cost], floor: Callable[[], Cost]
) -> tuple[list[Cost], list[Cost]]:
    """Run both sides in turn, each first every other time."""
    found: tuple[list[Cost], list[Cost]] = ([], [])
    begin = time.perf_counter()
    for number in range(rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        for side in order:
            found[side].append((ours, floor)[side]())
        a, b = found[0][-1], found[1][-1]
        progress(
            f"{name}, round {number + 1} of {rounds}: "
            f"{a.cpu:.2f} against {b.cpu:.2f} CPU s, "
            f"{a.wall:.2f} against {b.wall:.2f} s by the clock"
        )
        used = time.perf_counter() - begin
        if number + 1 < rounds and used * (number + 2) / (number + 1) > SHARE:
            progress(f"{name}: no further round, {used:.0f} s are spent")
            break
    return found
