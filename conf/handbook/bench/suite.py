"""Measure the suite: the CPU seconds of each test, with all that it starts.

This is a plugin for pytest, too: `python -m pytest -p handbook.bench.suite
--cpu-to FILE` notes what the process and its descendants have spent before and after
each test. On Linux /proc tells it of those that still run, a browser for instance;
elsewhere, only those that have ended count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook.bench.cost import clock, environment, progress
from handbook.bench.measure import Measure, verdict
from handbook.columns import table
from handbook.problem import Problem
from handbook.pytest_plugin import BUDGET, spent
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Generator

    from handbook.bench.build import Bench

LONGEST = 10
PROPERTY = "handbook-cpu"
PROC = Path("/proc")


def of_tree() -> float:
    """Give the CPU seconds of this process and of all that it has started."""
    if sys.platform != "linux":
        return spent()
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text("utf-8", "replace")
        except OSError:
            continue  # it has ended meanwhile
        fields = text.rpartition(")")[2].split()  # proc_pid_stat(5), from state on
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
        children.setdefault(int(fields[1]), []).append(int(folder.name))
    total, left = 0, [os.getpid()]
    while left:
        process = left.pop()
        total += ticks.get(process, 0)
        left += children.get(process, [])
    return total / os.sysconf("SC_CLK_TCK")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to write to."""
    parser.addoption("--cpu-to", metavar="FILE", help="write CPU seconds by test")


class _Tests:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up set-up, call and teardown of each test."""
        for name, value in report.user_properties:
            if name == f"{PROPERTY}-{report.when}":
                before = self.seconds.get(report.nodeid, 0.0)
                self.seconds[report.nodeid] = before + float(str(value))

    def pytest_sessionfinish(self) -> None:
        """Write what each test cost."""
        self.path.write_text(json.dumps(self.seconds), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Gather the figures in one process, not in workers."""
    path = config.getoption("--cpu-to")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Tests(Path(path)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what was spent since the last report of this worker."""
    now = of_tree()
    before = item.config.stash.get(_BEFORE, now)
    item.config.stash[_BEFORE] = now
    report = yield
    report.user_properties.append((f"{PROPERTY}-{report.when}", max(0.0, now - before)))
    return report


_BEFORE = pytest.StashKey[float]()


def suite(bench: Bench) -> Measure:
    """Run the whole suite once, and tell what costs most. Problem if a test fails."""
    if not (bench.root / "tests").is_dir():
        return Measure(remarks=["not measured: there are no tests"])
    progress("the whole suite, once")
    file = bench.folder / "suite.json"
    argv = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "worksteal"]
    argv += ["-p", "handbook.bench.suite", "--cpu-to", str(file)]
    with clock() as costs:
        status, said = _run(argv, bench.root)
    if status:
        raise Problem(
            "tests", f"the suite fails (status {status})", f"run make test\n{said}"
        )
    seconds: dict[str, float] = json.loads(file.read_text("utf-8"))
    files: dict[str, float] = {}
    for test, cost in seconds.items():
        name = test.partition("::")[0]
        files[name] = files.get(name, 0.0) + cost
    # What a browser's pages spent is in the tests alone: nobody waits for them.
    minutes = max(costs[0].cpu, sum(seconds.values())) / 60
    return Measure(
        remarks=[
            f"{minutes:.1f} CPU minutes, {verdict(minutes, BUDGET)}",
            *table([("CPU s", "file"), *_rows(files)]),
            *table([("CPU s", "test"), *_rows(seconds)[:LONGEST]]),
        ],
        data={"cpu_minutes": round(minutes, 2), "files": files, "tests": seconds},
    )


def _rows(costs: dict[str, float]) -> list[tuple[str, ...]]:
    most = sorted(costs.items(), key=lambda item: -item[1])
    return [(f"{cost:.1f}", name) for name, cost in most]


def _run(argv: list[str], root: Path) -> tuple[int, str]:
    done = subprocess.run(
        argv,
        cwd=root,
        env=environment(ROOT / "conf"),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, "\n".join((done.stdout + done.stderr).splitlines()[-15:])
