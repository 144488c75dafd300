"""Measure the programs: their tests against them alone, and what they print."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import charts, record
from handbook.bench.cost import (
    TIMEOUT,
    Cost,
    alternate,
    clock,
    environment,
    progress,
    spend,
)
from handbook.bench.measure import Measure, rows_of
from handbook.columns import table
from handbook.problem import Problem
from handbook.snippet import Snippet, by_id, companions_of_pairs, find
from handbook.snippet import read as read_snippet

if TYPE_CHECKING:
    from handbook.bench.build import Bench

RECORDINGS_TEST = Path("tests") / "test_recordings.py"
# The programs whose rows are measured against each other.
IPC = "loopback/compare"
WS = "websockets/ws_speed"
CORES = 2  # of the test run and of the bare programs beside it
TESTS_AIM = 3.0


def tests(bench: Bench) -> Measure:
    """Measure the tests of all programs against the programs, run bare."""
    if not (bench.copy / RECORDINGS_TEST).is_file():
        return Measure(remarks=[f"not measured: there is no {RECORDINGS_TEST}"])
    argv = [sys.executable, "-m", "pytest", "-q", "-n", str(CORES)]
    argv += ["-p", "no:cacheprovider", str(RECORDINGS_TEST)]
    partners = companions_of_pairs(bench.copy)
    programs = [read_snippet(path, bench.copy) for path in find(bench.copy)]
    programs = [program for program in programs if program.id not in partners]

    def tested() -> Cost:
        return spend(
            argv,
            bench.copy,
            bench.copy / "conf",
            fails=(
                str(RECORDINGS_TEST),
                "the tests of the programs fail",
                "run make test K=test_recordings, and mend what it names first",
            ),
        )

    def bare() -> Cost:
        with clock() as costs, ThreadPoolExecutor(CORES) as pool:
            list(pool.map(run_bare, programs))
        return costs[0]

    ours, floor = alternate("program tests", bench.rounds, tested, bare)
    return Measure(
        rows_of("program tests / bare", ours, floor, TESTS_AIM, TESTS_AIM),
        [f"{len(programs)} programs and pairs, {CORES} at a time"],
        {"programs": len(programs)},
    )


def ipc(bench: Bench) -> Measure:
    """Measure the ways between two processes, in units of the first one."""
    return _ratios(bench, "ipc", IPC)


def ws(bench: Bench) -> Measure:
    """Measure the echo of WebSocket messages, in units of the library."""
    return _ratios(bench, "ws", WS)


def _ratios(bench: Bench, measure: str, identifier: str) -> Measure:
    """Compare the rows that a program prints with the first of their kind.

    Each ratio is taken within one run, since runs differ more than ways do.
    """
    program = by_id(identifier, bench.copy)
    ratios: dict[tuple[str, str], list[float]] = {}
    for number in range(1, bench.rounds + 1):
        progress(f"{measure}: round {number} of {bench.rounds}")
        with contextlib.ExitStack() as ended:
            process = _start(program, [program.where], ended)
            told, _ = process.communicate(timeout=TIMEOUT)
            if process.returncode:
                raise _failed(program, f"ended with status {process.returncode}")
        floors: dict[str, float] = {}
        for row in charts.measures(told):
            floor = floors.setdefault(row.what, row.middle)
            key = (row.what, row.way)
            ratios.setdefault(key, []).append(row.middle / floor)
    cells = [
        (
            f"{what}, {way}",
            f"{min(values):.2f}",
            f"{statistics.median(values):.2f}",
            f"{max(values):.2f}",
            "",
        )
        for (what, way), values in ratios.items()
    ]
    heads = ("ratio to the first of its kind", "lowest", "median", "highest", "")
    return Measure(
        remarks=table([heads, *cells]),
        data={
            "ratios": {
                f"{what}, {way}": [round(value, 3) for value in values]
                for (what, way), values in ratios.items()
            }
        },
    )


# Programs without tests


def run_bare(program: Snippet) -> None:
    """Run a program, or a pair together, as a reader would; Problem if it fails."""
    if program.missing() and program.roles:
        return
    with contextlib.ExitStack() as ended:
        if not program.roles:
            _ended(program, _start(program, [program.where], ended))
            return
        folder = Path(program.where).parent
        server, port = None, ""
        for role in program.roles:
            words = [word.replace("{port}", port) for word in role.argv]
            process = _start(
                program, [(folder / words[0]).as_posix(), *words[1:]], ended
            )
            if server is None:
                server, port = process, _port(program, process)
            else:
                _ended(program, process)
        if server is not None:
            server.send_signal(signal.SIGINT)
            _ended(program, server)


def _start(
    program: Snippet, words: list[str], ended: contextlib.ExitStack
) -> subprocess.Popen[str]:
    """Start a process that is killed when its time is over or the stack ends."""
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=program.root,
        env=environment(None),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def kill() -> None:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def close() -> None:
        watch.cancel()
        watch.join()
        kill()
        process.wait(5)
        if process.stdout is not None:
            process.stdout.close()

    watch = threading.Timer(record.TIMEOUT, kill)
    watch.start()
    ended.callback(close)
    return process


def _port(program: Snippet, process: subprocess.Popen[str]) -> str:
    said = ""
    for line in process.stdout or ():
        said += line
        found = program.announces.search(line)
        if found:
            return found["port"]
    raise _failed(
        program, f"never printed {program.port!r}; it printed: {said.strip()}"
    )


def _ended(program: Snippet, process: subprocess.Popen[str]) -> None:
    said = process.communicate()[0].strip()
    if process.returncode == -signal.SIGKILL:
        raise _failed(program, f"was still running after {record.TIMEOUT:g} s")
    if process.returncode != 0 and not program.name.startswith("wrong_"):
        last = said.splitlines()[-1] if said else "nothing printed"
        raise _failed(program, f"ended with status {process.returncode}: {last}")


def _failed(program: Snippet, what: str) -> Problem:
    mend = f"run it by hand: python {program.where}"
    return Problem(program.where, f"the program {what}", mend)
