"""Keep the outcome of every claim's test for the ledger."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from handbook import claims, needs, record

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from handbook.problem import Problem

OF_MAKE = (
    *("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "MAKE_TERMOUT"),
    *("ARGS", "BASE", "C", "K", "NAME", "PART", "PORT", "PYTHON", "ROUNDS", "S"),
)
"""What `make test K=echo ARGS=-x` leaves in the environment of all that it starts.
A make that a test starts would take it for its own."""
BUDGET = 10.0  # CPU minutes of the whole suite
_RANK = {"passed": 0, "skipped": 1, "failed": 2}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Let a test's reports carry the id of its claim, across processes too."""
    known: dict[str, claims.Claim] | None = None
    wrong: list[Problem] = []
    for item in items:
        identifier = getattr(getattr(item, "function", None), "__claim__", None)
        if identifier is None:
            continue
        if known is None:
            # What is wrong in a file that does not run here is told by its own tests.
            known, wrong = claims.gather(item.config.rootpath)
        told = [str(each) for each in wrong if each.where.startswith(_file_of(item))]
        if told:
            raise pytest.UsageError(told[0])
        if identifier not in known:
            raise pytest.UsageError(
                f"{item.nodeid}: the claim {identifier} cannot be read from the file\n"
                "  To mend it: write '@claim(…)' above a function at the file's top "
                "level, imported by 'from handbook.claims import claim'"
            )
        item.user_properties.append(("claim", identifier))


def _file_of(item: pytest.Item) -> str:
    return item.path.relative_to(item.config.rootpath).as_posix() + ":"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[
    None, pytest.TestReport, pytest.TestReport
]:
    """Let nothing be skipped on the machines of CI: there, a lack is a fault.

    But for what a network is like, and for the rights of a plain user: no package
    brings them.
    """
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and os.environ.get("CI") == "true"
        and sys.platform == "linux"
    ):
        told = _reason(report)
        if needs.excused(told):
            return report
        report.outcome = "failed"
        report.longrepr = f"{told}\n  To mend it: {_remedy_in_ci(told)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    found = report.longrepr
    told = found[2] if isinstance(found, tuple) else str(found)
    return told.removeprefix("Skipped: ")


def _remedy_in_ci(told: str) -> str:
    lacking = needs.lacking(told)
    if not lacking:
        return (
            "CI skips nothing: take the skip away, or say what the test needs with "
            "tests/support/needing.py"
        )
    if {*lacking} & {*needs.RIGHTS}:
        return "let CI run as root, in a container that may (--privileged)"
    return "name the package in .ci/packages; CI skips nothing"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each kind of thing what was skipped, and what would run it."""
    kinds = Counter(map(_reason, terminalreporter.stats.get("skipped", [])))
    for told, count in sorted(kinds.items()):
        terminalreporter.write_line(f"SKIPPED [{count}] {told}")


class _Outcomes:
    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the worst outcome of a claim's test (it may be parametrised)."""
        for name, identifier in report.user_properties:
            if name != "claim":
                continue
            before = self.found.get(str(identifier), "passed")
            worst = max(before, report.outcome, key=_RANK.__getitem__)
            self.found[str(identifier)] = worst

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the outcomes beside those of earlier runs."""
        if not self.found:
            return
        known, _ = claims.gather(session.config.rootpath)
        here: dict[str, Any] = {
            "python": platform.python_version(),
            "kernel": f"{platform.system()} {platform.release().split('-')[0]}",
            "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        }
        claims.save_results(
            {
                identifier: {
                    **here,
                    "outcome": outcome,
                    "code": known[identifier].fingerprint,
                }
                for identifier, outcome in self.found.items()
                if identifier in known
            },
            session.config.rootpath,
        )


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C reach the programs; gather reports in one process, not in workers."""
    record.hear_interrupts()
    for name in OF_MAKE:
        os.environ.pop(name, None)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Outcomes(), "handbook-outcomes")
        config.pluginmanager.register(_Cost(), "handbook-cost")


def spent() -> float:
    """Give the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])  # getrusage() is not on every system


class _Cost:
    """Tells what a run cost: workers and programs are its children.

    A browser's pages are not in it, for nobody waits for their processes; make bench
    has them from /proc, which takes too long for every run. Workers are waited for
    before the summary is written, when xdist hears that the session is finished.
    """

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the CPU minutes; they fail nothing."""
        terminalreporter.write_line(
            f"CPU: {spent() / 60:.1f} minutes of {BUDGET:g}, browsers apart"
        )
