"""Let each run of the tests end, and name the test that took longer than its limit.

pytest-timeout says when. Its own way out, in a thread, ends the process: under xdist
that is a worker, which is lost without a word, and a process that the test had forked
keeps the worker's pipe open, so that the run waits for it for ever.
"""

from __future__ import annotations

import faulthandler
import json
import os
import stat
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook import offspring
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = "handbook_limits"  # in `workerinput`: where a worker leaves its last words


def _stacks() -> str:
    """Say where each thread is."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read()


def _told(item: pytest.Item, limit: float, ended: Iterable[str]) -> Problem:
    started = [f"\n    {name}" for name in ended]
    what = f"still running after {limit:g} s, its limit; it was ended"
    if started:
        what += ", with what it had started:" + "".join(started)
    return Problem(
        item.nodeid,
        what,
        "bound what it waits for with a time-out, or give it longer: "
        f"@pytest.mark.timeout({limit * 2:g})",
    )


def _end(item: pytest.Item, settings: Any) -> None:
    """Say which test it was, end what it started, and leave the process."""
    import pytest_timeout  # noqa: PLC0415 - there is none where no limit is set

    if not settings.disable_debugger_detection and pytest_timeout.is_debugging():
        return
    names = [offspring.named(pid) for pid in offspring.below(os.getpid())]
    problem = _told(item, settings.timeout, filter(None, names))
    folder = getattr(item.config, "workerinput", {}).get(FOLDER)
    if folder is None:
        capture = item.config.pluginmanager.getplugin("capturemanager")
        if capture:
            capture.suspend_global_capture(item)
        print(f"\n{problem}", file=sys.stderr)
        offspring.end(os.getpid())
        pytest_timeout.timeout_timer(item, settings)
    else:
        last = {
            "problem": str(problem),
            "stacks": _stacks(),
            "properties": item.user_properties,
        }
        name = f"{item.config.workerinput['workerid']}.json"  # type: ignore[attr-defined]
        Path(folder, name).write_text(json.dumps(last), "utf-8")
        offspring.end(os.getpid())
    os._exit(1)


@pytest.hookimpl(optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Wait in a thread, as pytest-timeout's method of that name does."""
    if settings.method != "thread":
        return None
    timer = threading.Timer(settings.timeout, _end, (item, settings))
    timer.name, timer.daemon = f"limit of {item.nodeid}", True

    def cancel() -> None:
        timer.cancel()
        timer.join()

    item.cancel_timeout = cancel  # type: ignore[attr-defined]
    timer.start()
    return True


def _leave_pipes_to(pipes: list[int]) -> None:
    """In a forked child: hold the worker's pipes no longer, but keep their numbers."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for pipe in pipes:
        os.dup2(nothing, pipe, inheritable=False)
    os.close(nothing)


def _pipes() -> list[int]:
    """List the pipes by which a worker speaks with the run: it has no others yet."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - numbers, not paths
        try:
            mode = os.fstat(int(name)).st_mode
        except OSError:  # the descriptor of the folder itself
            continue
        if int(name) > 2 and stat.S_ISFIFO(mode):
            found.append(int(name))
    return found


class _Run:
    """The process that ends last: the one that gathers the reports of the workers."""

    def __init__(self) -> None:
        offspring.adopt()
        self.folder = tempfile.TemporaryDirectory(prefix="handbook-limits-")
        self.over: list[str] = []

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where to leave its last words."""
        node.workerinput[FOLDER] = self.folder.name

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: Any) -> None:
        """Say of a worker that is lost which limit it was, if it was one."""
        path = Path(self.folder.name, f"{report.node.gateway.id}.json")
        if path.is_file():
            last = json.loads(path.read_text("utf-8"))
            report.longrepr = f"{last['problem']}\n\n{last['stacks']}"
            report.user_properties = [tuple(each) for each in last["properties"]]
            self.over.append(last["problem"])

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the tests that took too long."""
        if self.over:
            terminalreporter.section("over the limit", red=True)
            for told in self.over:
                terminalreporter.line(told)

    def pytest_unconfigure(self) -> None:
        """End what the tests have left: it would hold the terminal, or a pipe."""
        offspring.end(os.getpid())
        self.folder.cleanup()


def pytest_configure(config: pytest.Config) -> None:
    """Take the part of a worker, or that of the run."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Run(), "handbook-limits")
    elif hasattr(os, "register_at_fork"):
        pipes = _pipes()
        os.register_at_fork(after_in_child=lambda: _leave_pipes_to(pipes))
