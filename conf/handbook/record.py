"""Run a program, note what it printed and did, and keep that as its recording.

The program runs in a process of its own, in which `traced/sitecustomize.py` writes
a line for each socket call. `assemble` makes a recording of them, `recordings`
keeps it, and `compare` says whether a second run means the same.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import conduct, printed, recordings
from handbook.assemble import assemble, picked_twice
from handbook.compare import diff
from handbook.problem import Problem

if TYPE_CHECKING:
    import re

    from handbook.recordings import Event, Recording
    from handbook.snippet import Snippet

TRACED = Path(__file__).resolve().parent / "traced"
GRACE = 10.0  # seconds in which a helper of the program, such as Python's own, may end
TIMEOUT = 60.0  # seconds a program may take, however busy the machine
TRIES = 4  # of a run, if the kernel picks one port for two sockets
NO_BROWSER = "chromium did not start"  # says a program that is not at fault


def record(snippet: Snippet, times: int = 5) -> Recording:
    """Run a program several times; Problem if runs differ in what is not declared."""
    first = run(snippet, at_rest=True)
    for _ in range(times - 1):
        again = run(snippet)
        difference = diff(first, again, snippet)
        if difference:
            raise Problem(
                snippet.where,
                "two runs differ in something that is not declared:\n" + difference,
                "force the order with an event, or declare what may vary in the "
                "docstring, for example 'Varies: took {int} bytes'",
            )
    return first


def save(snippet: Snippet, recording: Recording) -> list[Path]:
    """Keep a recording and name the files written; none where it means the same."""
    with contextlib.suppress(Problem):
        old = recordings.load(snippet)
        if not diff(old, recording, snippet):
            return []
    return recordings.write(snippet, recording)


def hear_interrupts() -> None:
    """Let Ctrl-C reach the programs that this process starts.

    A shell's background job ignores SIGINT, and so would they: exec() keeps that
    (signal(7)). Pairs are ended by SIGINT.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(
    snippet: Snippet,
    python: str = sys.executable,
    timeout: float = TIMEOUT,
    *,
    at_rest: bool = False,
) -> Recording:
    """Run a program (or a pair, together) and say what it printed and did.

    A run in which the kernel picked one port twice is repeated: ports are known by
    their number, and those two could not be told apart. So is one whose browser did
    not start, if the program says so. For the rest see `run_once`.
    """
    for _ in range(TRIES - 1):
        try:
            made = run_once(snippet, python, timeout, at_rest=at_rest)
        except Problem as problem:
            if NO_BROWSER not in str(problem):
                raise
        else:
            if not picked_twice(made):
                return made
    return run_once(snippet, python, timeout, at_rest=at_rest)


def run_once(
    snippet: Snippet,
    python: str = sys.executable,
    timeout: float = TIMEOUT,
    *,
    at_rest: bool = False,
) -> Recording:
    """Run a program (or a pair, together) once.

    A program that hangs, warns, does what `conduct` refuses, or ends with another
    status than 0 raises Problem. Children are ended in any case. `timeout` is in
    seconds and covers the whole run; `at_rest` asks also for what only a machine
    without other work can tell.
    """
    with tempfile.TemporaryDirectory(
        prefix="handbook-", ignore_cleanup_errors=True
    ) as folder:
        path = Path(folder) / "events"
        path.touch()
        env = _environment(path, snippet.root)
        if "chromium" in snippet.needs:  # slow to start; it shares no profile
            timeout *= 2
            env |= {"HOME": folder, "TMPDIR": folder}
        deadline = time.monotonic() + timeout
        with contextlib.ExitStack() as ended:
            ended.callback(_end, env)
            if snippet.roles:
                programs = _run_pair(snippet, python, env, deadline, ended, path)
            else:
                argv = [python, snippet.where]
                program = _Program(argv, env, snippet.root)
                ended.callback(program.close)
                if not program.wait(deadline):
                    raise _hung(snippet, path, timeout)
                programs = {"": program}
            left = _left_behind(env, programs)
        events = [ast.literal_eval(line) for line in path.read_text().splitlines()]
    _judge(snippet, programs, events, left, at_rest=at_rest)
    roles = {program.process.pid: name for name, program in programs.items()}
    transcripts = {name: program.text() for name, program in programs.items()}
    made = assemble(snippet, transcripts, events, roles)
    if snippet.name.startswith("wrong_"):
        ends = []
        for name, program in programs.items():
            said = program.text("stderr").strip().splitlines() or [""]
            ends.append(f"{name} {program.process.returncode} {said[-1]}".strip())
        made = dataclasses.replace(made, ends=tuple(ends))
    return made


def _run_pair(  # noqa: PLR0917 - all that one run is made of
    snippet: Snippet,
    python: str,
    env: dict[str, str],
    deadline: float,
    ended: contextlib.ExitStack,
    events: Path,
) -> dict[str, _Program]:
    folder = Path(snippet.where).parent
    programs: dict[str, _Program] = {}
    port = ""
    for role in snippet.roles:
        words = [word.replace("{port}", port) for word in role.argv]
        argv = [python, (folder / words[0]).as_posix(), *words[1:]]
        program = _Program(argv, env, snippet.root)
        ended.callback(program.close)
        programs[role.name] = program
        if len(programs) == 1:
            found = program.wait_for(snippet.announces, deadline)
            if found is None:
                said = program.text() + program.text("stderr")
                raise Problem(
                    snippet.where,
                    f"the {role.name} never printed {snippet.port!r}; "
                    f"it printed: {said.strip() or 'nothing'}",
                    "print that line (flushed) once it listens, or mend the Port: line",
                )
            port = found
        elif not program.wait(deadline):
            raise _hung(snippet, events, TIMEOUT)
    first = programs[snippet.roles[0].name]
    _wait_until_idle(first.process.pid, events, deadline)
    first.process.send_signal(signal.SIGINT)
    if not first.wait(deadline):
        raise _hung(snippet, events, TIMEOUT)
    return programs


def _wait_until_idle(pid: int, events: Path, deadline: float) -> None:
    """Wait until a server has closed every connection that it accepted.

    Ctrl-C would otherwise meet it now in the middle of a client, now after it.
    """
    while time.monotonic() < deadline:
        open_now = set()
        for line in events.read_text().splitlines():
            event = ast.literal_eval(line)
            if event["event"] != "call" or event["pid"] != pid:
                continue
            if event["call"] == "accept" and "result" in event:
                open_now.add(event["result"]["socket"])
            elif event["call"] == "close":
                open_now.discard(event["socket"])
        if not open_now:
            return
        time.sleep(0.01)  # waits: the events come in a file, which cannot be waited on


def _hung(snippet: Snippet, events: Path, timeout: float) -> Problem:
    waiting: dict[tuple[int, str], Event] = {}
    for line in events.read_text().splitlines():
        event = ast.literal_eval(line)
        key = (event.get("pid", 0), event.get("thread", ""))
        if event["event"] == "waits":
            waiting[key] = event
        elif event["event"] == "call":
            waiting.pop(key, None)
    stuck = [
        f"{event['call']}() at {conduct.where(snippet, event)} in {event['thread']}"
        for event in waiting.values()
    ]
    return Problem(
        snippet.where,
        f"still running after {timeout:g} s"
        + (": waiting in " + ", ".join(stuck) if stuck else ""),
        "bound every blocking call with a time-out, "
        "and let the program end by itself (a pair: on Ctrl-C)",
    )


def _judge(
    snippet: Snippet,
    programs: dict[str, _Program],
    events: list[Event],
    left: str,
    *,
    at_rest: bool,
) -> None:
    """Raise a Problem for what a run did, printed or left that it may not."""
    for name, program in programs.items():
        _judge_end(snippet, name, program)
    for problem in conduct.refused(snippet, events, at_rest=at_rest):
        raise problem
    if snippet.name.startswith("wrong_"):
        return
    for name, program in programs.items():
        _judge_rest(snippet, name, program)
    if left:
        raise Problem(
            snippet.where,
            f"left a child process running (it was ended): {left}",
            "wait for every child, in a finally",
        )
    for program in programs.values() if at_rest else ():
        for what in printed.refused(program.text(), snippet.varies):
            raise Problem(
                snippet.where,
                f"{what}: no other run has it so, or no reader can read it",
                "print something else, or declare in the docstring what varies",
            )


def _judge_end(snippet: Snippet, role: str, program: _Program) -> None:
    who = f"the {role}" if role else "the program"
    errors = program.text("stderr").strip()
    status = program.process.returncode
    if status != 0 and not snippet.name.startswith("wrong_"):
        last = errors.splitlines()[-1] if errors else "nothing on stderr"
        if last.startswith("EOFError"):
            raise Problem(
                snippet.where,
                f"{who} reads the keyboard, and nobody types while it is recorded",
                "put what it asks for into the program",
            )
        raise Problem(
            snippet.where,
            f"{who} ended with status {status}: {last}",
            f"run it by hand: python {snippet.where}\n{errors}",
        )
    said = program.text()
    for words in (str(snippet.root), "sitecustomize"):
        if words in said:
            raise Problem(
                snippet.where,
                f"{who} printed {words!r}, a place on this machine",
                "print the error, not the traceback, and no absolute path",
            )


def _judge_rest(snippet: Snippet, role: str, program: _Program) -> None:
    who = f"the {role}" if role else "the program"
    errors = program.text("stderr").strip()
    if errors:
        what = "warned" if "Warning" in errors else "wrote to stderr"
        raise Problem(
            snippet.where,
            f"{who} {what}: {errors.splitlines()[0]}",
            "close what it opened (with, finally) and print what readers "
            "should see to stdout\n" + errors,
        )


# Processes


class _Program:
    """A running process whose output is gathered as it comes."""

    def __init__(self, argv: list[str], env: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            start_new_session=True,
        )
        self._grown = threading.Condition()
        self._texts = {"stdout": b"", "stderr": b""}
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True)
            for name in self._texts
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        stream = getattr(self.process, name)
        while data := os.read(stream.fileno(), 65536):
            with self._grown:
                self._texts[name] += data
                self._grown.notify_all()
        with self._grown:
            self._grown.notify_all()

    def text(self, name: str = "stdout") -> str:
        return self._texts[name].decode("utf-8", "backslashreplace")

    def wait_for(self, pattern: re.Pattern[str], deadline: float) -> str | None:
        """Wait until a line of the output matches; its `port` group, or None."""
        with self._grown:
            while True:
                match = pattern.search(self.text())
                if match:
                    return match["port"]
                left = deadline - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    return None
                self._grown.wait(min(left, 0.2))

    def wait(self, deadline: float) -> bool:
        """Wait for the end; False if the deadline came first."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """End whatever still runs and let go of the pipes."""
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(5)
        for reader in self._readers:
            reader.join(5)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def _left_behind(env: dict[str, str], programs: dict[str, _Program]) -> str:
    """Say which process outlives the programs by `GRACE`; "" if none does."""
    give_up = time.monotonic() + GRACE
    groups = {program.process.pid for program in programs.values()}
    while running := _running(env, groups):
        if time.monotonic() > give_up:
            return next(iter(running.values()))
        time.sleep(0.02)  # waits: no event tells that a process of another is gone
    return ""


def _end(env: dict[str, str]) -> None:
    """End whatever a run has started and not ended, in other sessions, too."""
    for process in _running(env, set()):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def _running(env: dict[str, str], groups: set[int]) -> dict[int, str]:
    """Find the processes of a run that are no zombies: their ids, and what they run.

    They are known by their environment, which names the file of this run's events
    (proc(5)), or by the process groups of the programs. Where there is no /proc, only
    a group can be asked.
    """
    found = {}
    mark = f"HANDBOOK_EVENTS={env['HANDBOOK_EVENTS']}".encode()
    if not Path("/proc/self/stat").exists():
        for group in groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, 0)
                found[-group] = "one of its process group"
        return found
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = folder.joinpath("stat").read_text().rpartition(") ")[2]
            state, _, its_group = told.split()[:3]
            if state in "ZX":
                continue
            of_run = mark in folder.joinpath("environ").read_bytes().split(b"\0")
            if of_run or int(its_group) in groups:
                words = folder.joinpath("cmdline").read_bytes().split(b"\0")
                found[int(folder.name)] = b" ".join(words).decode(errors="replace")
    return found


def _environment(events: Path, root: Path) -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR", "LD_LIBRARY_PATH")
    }
    return kept | {
        "PYTHONPATH": str(TRACED),
        "PYTHONWARNINGS": "default",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "HANDBOOK_EVENTS": str(events),
        "HANDBOOK_PROGRAMS": str(root / "snippets"),
    }
