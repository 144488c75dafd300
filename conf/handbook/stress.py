"""Run tests on a machine that is busy on purpose, and stop what they run now and then.

What a program or a test owes to a quiet machine shows here: a time-out that strikes, a
beat that falls into a recording, an order that no event forces. Beside the tests run
programs that only compute, and at random moments one of the processes below pytest is
paused (SIGSTOP) for a moment and goes on (SIGCONT). The tests are chosen as pytest
chooses them; the pauses come from a seed.

A pause is more than slowness: a system call that it interrupts may end early, as with
any signal (signal(7)). What shows just that is left out, and said so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handbook import offspring
from handbook.problem import Problem
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOGS = 4  # programs that compute, for each core
SHORTEST, LONGEST = 0.1, 2.0  # seconds that a process is paused
BETWEEN = 0.5  # seconds from one pause to the next, on average
LIMIT = (
    1200  # seconds that a test may take: twenty minutes, for it is stopped and slowed
)
# It ends with this program, whatever ends that.
COMPUTE = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""
LEFT_OUT = {
    "tests/test_recordings.py::test_program_does_what_its_recording_says"
    "[streams/send_or_sendall]": "a signal ends a blocking send() with a part sent",
}
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass
class Pauses:
    """Pauses processes below another one, until it is told to stop."""

    chance: random.Random
    made: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def below(self, pid: int) -> Iterator[None]:
        """Pause what descends from a process while the block runs; then all go on."""
        thread = threading.Thread(target=self._run, args=(pid,), name="pauses")
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            offspring.send(offspring.below(pid), signal.SIGCONT)

    def _run(self, pid: int) -> None:
        while not self._over.wait(self.chance.expovariate(1 / BETWEEN)):
            # What a test has stopped itself stays stopped.
            living = [p for p in offspring.below(pid) if not offspring.is_stopped(p)]
            if not living:
                continue
            chosen = self.chance.choice(living)
            seconds = self.chance.uniform(SHORTEST, LONGEST)
            offspring.send([chosen], signal.SIGSTOP)
            try:
                self._over.wait(seconds)
            finally:
                offspring.send([chosen], signal.SIGCONT)
            self.made.append(seconds)


@contextlib.contextmanager
def hogs(number: int) -> Iterator[None]:
    """Keep the cores busy while the block runs."""
    running = [
        subprocess.Popen([sys.executable, "-c", COMPUTE, str(os.getpid())])
        for _ in range(number)
    ]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def one_round(
    arguments: list[str], seed: int, log: Path, root: Path = ROOT
) -> tuple[list[str], Pauses]:
    """Run the tests once; the names of those that failed, and the pauses.

    The log holds what pytest prints, as it comes.
    """
    pauses = Pauses(random.Random(seed))  # noqa: S311 - no secret
    command = [
        *(sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal"),
        *(f"--timeout={LIMIT}", f"--randomly-seed={seed}"),
        *(f"--deselect={name}" for name in LEFT_OUT),
        *arguments,
    ]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=root, stdout=output, stderr=subprocess.STDOUT
        ) as tests,
    ):
        try:
            with pauses.below(tests.pid):
                tests.wait()
        finally:
            offspring.end(tests.pid)
            tests.kill()
    said = log.read_text("utf-8", "replace")
    if tests.returncode not in {0, 1}:
        raise Problem(
            "make stress",
            f"pytest ended with status {tests.returncode}: {said.strip()[-2000:]}",
            "choose tests that there are: make stress K=recordings",
        )
    return FAILED.findall(said), pauses


def parts(root: Path = ROOT) -> list[str]:
    """Name what is run unless files are named: the recordings, and the parts' tests."""
    folders = sorted(path.parent for path in (root / "snippets").glob("*/recorded"))
    named = [root / "tests" / folder.name for folder in folders]
    return [str(path) for path in [root / "tests/test_recordings.py", *named]]


def load() -> str:
    """Say how many processes want a core, on average, in this minute."""
    return f"{os.getloadavg()[0]:.1f}"


def main(arguments: list[str]) -> int:
    """Run some rounds and say what failed; the exit status is 0 if nothing did."""
    parser = argparse.ArgumentParser(prog="make stress", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--hogs", type=int, default=HOGS * (os.cpu_count() or 1))
    parser.add_argument("-k", dest="words", default="")
    chosen, rest = parser.parse_known_args(arguments)
    if sys.platform != "linux":
        raise Problem("make stress", "it reads /proc", "run it on Linux")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if not any((ROOT / word.partition("::")[0]).exists() for word in rest):
        rest += parts()
    if chosen.words:
        rest += ["-k", chosen.words]
    folder = ROOT / "build" / "stress"
    folder.mkdir(parents=True, exist_ok=True)
    failures: dict[str, list[int]] = {}
    for name, why in LEFT_OUT.items():
        print(f"left out: {name}: {why}")
    with hogs(chosen.hogs):
        for number in range(chosen.rounds):
            seed = chosen.seed + number
            began = time.monotonic()
            log = folder / f"{seed}.log"
            failed, pauses = one_round(rest, seed, log)
            for name in failed:
                failures.setdefault(name, []).append(seed)
            took = time.monotonic() - began
            print(
                f"round {number + 1} of {chosen.rounds}, seed {seed}: "
                f"{len(failed)} failed, {took:.0f} s, load {load()}, "
                f"{len(pauses.made)} pauses, together {sum(pauses.made):.0f} s; {log}",
                flush=True,
            )
            for name in failed:
                print(f"  {name}", flush=True)
    for name, seeds in sorted(failures.items()):
        times = ", ".join(map(str, seeds))
        print(f"{name}: failed {len(seeds)} of {chosen.rounds}, with seed {times}")
    if not failures:
        print("nothing failed")
    return 1 if failures else 0
