"""What a process has started, and what that has started: to list it, and to end it.

Known from Linux's /proc (proc(5)); elsewhere nothing is found. A process whose parent
has ended belongs to nobody (to init), unless an ancestor called `adopt()`.

    python -m handbook.offspring MINUTES COMMAND…

runs a command within a time, and ends all that it started. It needs nothing but Python:
`.ci/run` calls it before there is an environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from handbook.problem import Problem

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
OUT_OF_TIME = 124  # the status that timeout(1) ends with, too


def below(pid: int) -> list[int]:
    """List the living processes that descend from one, parents first."""
    children: dict[int, list[int]] = {}
    living = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(") ")[2].split()[:2]
            number = int(path.parent.name)
            children.setdefault(int(parent), []).append(number)
            if state not in {"Z", "X"}:
                living.add(number)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        of_this = children.get(waiting.pop(0), [])
        found += of_this
        waiting += of_this
    return [each for each in found if each in living]


def is_stopped(pid: int) -> bool:
    """Say whether a process was stopped, by a signal or a tracer."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(") ")[2][:1] in {"T", "t"}
    return False


def send(pids: list[int], number: int) -> None:
    """Send a signal to each that still lives."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end(pid: int, seconds: float = 10) -> list[int]:
    """End all that descends from a process (not itself); list what was ended."""
    ended: list[int] = []
    give_up = time.monotonic() + seconds
    while (living := below(pid)) and time.monotonic() < give_up:
        send(living, signal.SIGKILL)
        ended += [each for each in living if each not in ended]
        time.sleep(0.01)  # waits: nothing tells that another's child has ended
    return ended


def adopt() -> None:
    """Become the parent of each descendant whose own parent ends (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def named(pid: int) -> str:
    """Give the command of a process in a line; empty if it is gone."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()[:100]
    return ""


def within(seconds: float, argv: list[str]) -> int:
    """Run a command and return its status; Problem if it takes longer.

    Whatever it has started ends with it.
    """
    adopt()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return subprocess.run(argv, check=False, timeout=seconds).returncode
    except subprocess.TimeoutExpired as error:
        running = [name for pid in below(os.getpid()) if (name := named(pid))]
        raise Problem(
            " ".join(argv),
            f"not done after {seconds / 60:g} min, and ended. It was running:\n    "
            + "\n    ".join(running[:20] or ["nothing that /proc knows"]),
            "see above which test came last; give a slow machine more: MINUTES=60",
        ) from error
    finally:
        end(os.getpid())


def main(arguments: list[str]) -> int:
    """Run a command within a time."""
    try:
        return within(float(arguments[0]) * 60, arguments[1:])
    except Problem as problem:
        print(problem, file=sys.stderr)
        return OUT_OF_TIME


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
