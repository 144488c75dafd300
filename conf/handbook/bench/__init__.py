"""Measure first minutes, builds, growth, the suite, and what Lighthouse says.

Each figure stands beside its floor, measured in the same run: the same chapters
as plain Markdown under bare Sphinx, a build in which nothing changed, the
programs run without any test. The two sides take turns, so that whatever else
the machine does hits both. A slow figure is shown and fails nothing; a build or
a test that fails is a Problem.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from handbook.bench import build, first, growth, lighthouse, programs, suite
from handbook.bench.build import Bench
from handbook.bench.measure import Measure, report
from handbook.problem import Problem
from handbook.snippet import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path("build") / "bench.json"

MEASURES: dict[str, Callable[[Bench], Measure]] = {
    "first": first.first,
    "cold": build.cold,
    "edit": build.edit,
    "growth": growth.growth,
    "tests": programs.tests,
    "suite": suite.suite,
    "ipc": programs.ipc,
    "ws": programs.ws,
    "lighthouse": lighthouse.lighthouse,
}


def main(arguments: list[str], root: Path = ROOT) -> int:
    """Measure, print the table and write build/bench.json.

    The exit status is 1 if a build, a test or a program fails, and 0 however
    slow they are.
    """
    parser = argparse.ArgumentParser(
        prog="python -m handbook bench",
        description="Measure builds, tests and pages against their floors.",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of each side (3)")
    parser.add_argument(
        "--only", action="append", choices=MEASURES, help="measure this, not all"
    )
    chosen = parser.parse_args(arguments)
    if chosen.rounds < 1:
        parser.error("--rounds takes 1 or more")
    begin, loads = time.perf_counter(), [os.getloadavg()[0]]
    found: dict[str, Measure] = {}
    problems: dict[str, Problem] = {}
    with tempfile.TemporaryDirectory(prefix="handbook-bench-") as folder:
        bench = Bench(root, Path(folder), chosen.rounds)
        for name, measure in MEASURES.items():
            if chosen.only is None or name in chosen.only:
                try:
                    found[name] = measure(bench)
                except Problem as problem:
                    problems[f"{problem.where}: {problem.what}"] = problem
    loads.append(os.getloadavg()[0])
    print(report(found))
    print(f"\nload {loads[0]:.1f} before, {loads[1]:.1f} after, {os.cpu_count()} cores")
    if problems:
        print(*problems.values(), sep="\n", file=sys.stderr)
        return 1
    path = root / RESULTS
    path.parent.mkdir(exist_ok=True)
    data = {
        "date": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
        "sphinx": version("sphinx"),
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in loads],
        "rounds": chosen.rounds,
        "seconds": round(time.perf_counter() - begin, 1),
        "measures": {
            name: {**measure.data, "rows": [row.data() for row in measure.rows]}
            for name, measure in found.items()
        },
    }
    path.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print(f"\n{RESULTS}: written, after {data['seconds']} s")
    return 0
