"""Run a program, note what it printed and did, and keep that as its recording.

A recording is two kinds of file beside the programs: one transcript a role
(`recorded/<name>.txt`, or `<name>.<role>.txt` for a pair) and the events
(`recorded/<name>.json`). They are published as they are, and compared by
meaning: ports, pids and temporary directories are named in the order in which
they are first seen, and what a docstring declares as `Varies:` is left out.

Compared are, lane by lane, the calls, their lines and their results; with a
single thread and no child also the kernel's rows and the descriptors. Not
compared are the order between lanes, whether a call blocked, select() and when an
ACK came: they differ from run to run, and the picture is drawn from the recording
as it was.

A task of asyncio is a lane. What its event loop receives and writes for it is cut
and timed anew in each run: that is compared when joined, and without its line. Of a
WebSocket connection the frames are compared, in words, and the number of bytes;
the bytes themselves hold random masks and keys.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import functools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handbook.problem import Problem, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handbook.snippet import Snippet, Varies

TRACED = Path(__file__).resolve().parent / "traced"
GRACE = 1.0  # seconds in which a helper of the program, such as Python's own, may end
TIMEOUT = 20.0  # seconds a program may take, however busy the machine
FORMAT = 4
TRIES = 4  # of a run, if the kernel picks one port for two sockets
# The calls for which it picks one, if the program has named none: ip(7).
PICKS = ("bind", "connect", "connect_ex", "listen", "sendto", "sendmsg")
EVENT_LOOP = "event loop"  # the lane of what no task is known to have asked for
Event = dict[str, Any]


@dataclass(frozen=True)
class Recording:
    """What one run printed (by role; the role of a lone program is "") and did."""

    snippet: str
    transcripts: dict[str, str]
    lanes: tuple[str, ...]
    events: tuple[Event, ...]
    ports: frozenset[int]
    pids: frozenset[int]
    alone: bool = True  # one thread and no child: then the kernel's rows are compared
    ends: tuple[str, ...] = ()  # of wrong_*: status and last line of stderr, by role
    python: str = ""
    kernel: str = ""


@dataclass(frozen=True)
class Mark:
    """A span of a transcript that differs from run to run, and why."""

    start: int
    end: int
    name: str
    why: str


# Running


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

    def left_behind(self) -> bool:
        """Say whether a child outlives the program by a second, and end it."""
        give_up = time.monotonic() + GRACE
        try:
            while time.monotonic() < give_up:
                os.killpg(self.process.pid, 0)
                if not _alive(self.process.pid):
                    return False
                time.sleep(0.01)  # waits: no event tells that a process group is empty
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
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


def _alive(group: int) -> bool:
    """Say whether a process group has a member that is no zombie (proc(5))."""
    if not Path("/proc/self/stat").exists():
        return True
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, process_group = path.read_text().rpartition(") ")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                return True
    return False


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


def run(
    snippet: Snippet, python: str = sys.executable, timeout: float = TIMEOUT
) -> Recording:
    """Run a program (or a pair, together) and say what it printed and did.

    A run in which the kernel picked one port twice is repeated: ports are known by
    their number, and those two could not be told apart. For the rest see `run_once`.
    """
    for _ in range(TRIES):
        made = run_once(snippet, python, timeout)
        if not picked_twice(made):
            break
    return made


def picked_twice(recording: Recording) -> bool:
    """Say whether the kernel picked one number for two sockets of a run."""
    owners: dict[int, int] = {}
    for event in recording.events:
        local = event.get("local")
        if event["call"] not in PICKS or not isinstance(local, list):
            continue
        if local[1] not in recording.ports or local[1] in _asked_for(event):
            continue
        if owners.setdefault(local[1], event["socket"]) != event["socket"]:
            return True
    return False


def run_once(
    snippet: Snippet, python: str = sys.executable, timeout: float = TIMEOUT
) -> Recording:
    """Run a program (or a pair, together) once.

    A program that hangs, warns, leaves a socket or a child behind, or ends
    with another status than 0 raises Problem. Children are ended in any case.
    `timeout` is in seconds and covers the whole run.
    """
    with tempfile.TemporaryDirectory(prefix="handbook-") as folder:
        path = Path(folder) / "events"
        path.touch()
        env = _environment(path, snippet.root)
        deadline = time.monotonic() + timeout
        with contextlib.ExitStack() as ended:
            if snippet.roles:
                programs = _run_pair(snippet, python, env, deadline, ended, path)
            else:
                argv = [python, snippet.where]
                program = _Program(argv, env, snippet.root)
                ended.callback(program.close)
                if not program.wait(deadline):
                    raise _hung(snippet, path, timeout)
                programs = {"": program}
            left = [name for name, program in programs.items() if program.left_behind()]
        events = [ast.literal_eval(line) for line in path.read_text().splitlines()]
    for name, program in programs.items():
        _judge_end(snippet, name, program)
    _judge_leaks(snippet, events)
    for name, program in programs.items():
        _judge_rest(snippet, name, program, left=name in left)
    roles = {program.process.pid: name for name, program in programs.items()}
    transcripts = {name: program.text() for name, program in programs.items()}
    made = _assemble(snippet, transcripts, events, roles)
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
    template = re.escape(snippet.port or "").replace(r"\{port\}", r"(?P<port>\d+)")
    programs: dict[str, _Program] = {}
    port = ""
    for role in snippet.roles:
        words = [word.replace("{port}", port) for word in role.argv]
        argv = [python, (folder / words[0]).as_posix(), *words[1:]]
        program = _Program(argv, env, snippet.root)
        ended.callback(program.close)
        programs[role.name] = program
        if len(programs) == 1:
            found = program.wait_for(re.compile(template), deadline)
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
        f"{event['call']}() at {_source(snippet, event)} in {event['thread']}"
        for event in waiting.values()
    ]
    return Problem(
        snippet.where,
        f"still running after {timeout:g} s"
        + (": waiting in " + ", ".join(stuck) if stuck else ""),
        "bound every blocking call with a time-out, "
        "and let the program end by itself (a pair: on Ctrl-C)",
    )


def _source(snippet: Snippet, event: Event) -> str:
    path = snippet.root / "snippets" / f"{event['program']}.py"
    return place(snippet.root, path, event["line"])


def _judge_end(snippet: Snippet, role: str, program: _Program) -> None:
    who = f"the {role}" if role else "the program"
    errors = program.text("stderr").strip()
    status = program.process.returncode
    if status != 0 and not snippet.name.startswith("wrong_"):
        last = errors.splitlines()[-1] if errors else "nothing on stderr"
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


def _judge_rest(snippet: Snippet, role: str, program: _Program, *, left: bool) -> None:
    who = f"the {role}" if role else "the program"
    errors = program.text("stderr").strip()
    if snippet.name.startswith("wrong_"):
        return
    if errors:
        what = "warned" if "Warning" in errors else "wrote to stderr"
        raise Problem(
            snippet.where,
            f"{who} {what}: {errors.splitlines()[0]}",
            "close what it opened (with, finally) and print what readers "
            "should see to stdout\n" + errors,
        )
    if left:
        raise Problem(
            snippet.where,
            f"{who} left a child process running (it was ended)",
            "wait for every child, in a finally",
        )


def _judge_leaks(snippet: Snippet, events: list[Event]) -> None:
    if snippet.name.startswith("wrong_"):
        return
    for event in events:
        if event["event"] == "leak":
            raise Problem(
                _source(snippet, event),
                "the socket made here is never closed",
                "use it in a with statement, or close it in a finally",
            )


# Putting the events in order


def _assemble(  # noqa: C901, PLR0912 - an event has many parts, each with its reason
    snippet: Snippet,
    transcripts: dict[str, str],
    events: list[Event],
    roles: dict[int, str],
) -> Recording:
    """Name the lanes, replace clock times by their order, find ports and pids."""
    calls = [event for event in events if event["event"] == "call"]
    pids = {event["pid"] for event in events if "pid" in event}
    calls.sort(key=lambda event: event["begin"])
    calls = _one_select(calls)
    if snippet.roles:
        calls = _one_wait(calls)
    moments = sorted(
        {event[key] for event in calls for key in ("begin", "end")}
        | {event["seen"] for event in calls if "kernel" in event}
    )
    rank = {moment: index for index, moment in enumerate(moments, 1)}
    names = _lane_names(calls, roles)
    lanes = tuple(dict.fromkeys(names[_lane_key(event)] for event in calls))
    numbers: dict[tuple[int, int], int] = {}
    forks = {
        event["pid"]: (event["parent"], event["inherits"])
        for event in events
        if event["event"] == "process" and "inherits" in event
    }
    by_hand: set[int] = set()
    ports: set[int] = set()
    kept = []
    for event in calls:
        program = event["program"]
        path = snippet.root / "snippets" / f"{program}.py"
        entry: Event = {
            "lane": names[_lane_key(event)],
            "line": _with_line(path, event["line"])
            if event["call"] == "close"
            else event["line"],
            "call": event["call"],
            "socket": 0
            if event["call"] == "select"
            else numbers.setdefault(
                _owner(forks, event["pid"], event.get("socket") or event["begin"]),
                len(numbers) + 1,
            ),
            "fd": event.get("fd", -1),
        }
        if program != snippet.id:
            entry["program"] = program
        for key in ("arguments", "result", "error", "local", "peer"):
            if event.get(key) not in (None, []):
                entry[key] = event[key]
        if event["call"] == "socket" and "error" not in event:
            entry["made"] = [event["family"], event["type"]]
        if event["call"] == "accept" and "result" in event:
            accepted = event["result"]
            entry["result"] = dict(
                accepted,
                socket=numbers.setdefault(
                    _owner(forks, event["pid"], accepted["socket"]), len(numbers) + 1
                ),
            )
        for key in ("by", "frames", "stream"):
            if key in event:
                entry[key] = event[key]
        if "frames" in event:  # the bytes themselves are random, and told in words
            for key in entry.keys() & {"arguments", "result"}:
                entry[key] = _sizes(entry[key])
        if event["blocked"]:
            entry["blocked"] = True
        entry["begin"] = rank[event["begin"]]
        entry["end"] = rank[event["end"]]
        if "kernel" in event:
            entry["seen"] = rank[event["seen"]]
            entry["kernel"] = event["kernel"]
        kept.append(entry)
        # Who binds by number a port that the kernel has picked before chose nothing.
        by_hand.update(port for port in _asked_for(event) if port not in ports)
        ports.update(port for port in _picked(event) if port not in by_hand)
    return Recording(
        snippet=snippet.id,
        transcripts=transcripts,
        lanes=lanes,
        events=tuple(kept),
        ports=frozenset(ports),
        pids=frozenset(pids),
        alone=len(lanes) == 1
        and all(e["event"] != "company" and "by" not in e for e in events),
        python=platform.python_version(),
        kernel=f"{platform.system()} {platform.release().split('-')[0]}",
    )


@functools.cache
def _with_headers(path: Path, _time: int) -> tuple[tuple[int, int], ...]:
    """First and last line of the head of each with statement, innermost first."""
    found = [
        (node.lineno, node.body[0].lineno - 1)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.With | ast.AsyncWith)
    ]
    return tuple(sorted(found, key=lambda head: head[1] - head[0]))


def _with_line(path: Path, line: int) -> int:
    """Give the line on which the with statement begins whose end closed a socket.

    Python up to 3.12 names that line itself; later versions name the line of the
    item within the head.
    """
    for first, last in _with_headers(path, path.stat().st_mtime_ns):
        if first <= line <= last:
            return first
    return line


def _one_wait(calls: list[Event]) -> list[Event]:
    """Keep of a pair's waits what every run has.

    A wait that timed out and was begun again at once is one wait.

    A server that looks up from accept() every second does so as often as the
    clock has it, which no two runs share.
    """
    kept: list[Event] = []
    last: dict[LaneKey, Event] = {}
    for event in calls:
        before = last.get(_lane_key(event))
        if (
            before is not None
            and before.get("error", {}).get("type") == "TimeoutError"
            and all(before[key] == event[key] for key in ("line", "call", "socket"))
        ):
            begin = before["begin"]
            before.clear()
            before.update(event, begin=begin, blocked=True)
            continue
        kept.append(event)
        last[_lane_key(event)] = event
    # Ctrl-C may come during the last wait or just before it.
    return [
        event
        for event in kept
        if event.get("error", {}).get("type") != "KeyboardInterrupt"
    ]


def _one_select(calls: list[Event]) -> list[Event]:
    """Make one wait of those that found nothing and were begun again at once."""
    kept: list[Event] = []
    last: dict[LaneKey, Event] = {}
    for event in calls:
        before = last.get(_lane_key(event))
        if (
            before is not None
            and all(each["call"] == "select" for each in (before, event))
            and before["line"] == event["line"]
            and not before["result"]
        ):
            before.update(event, begin=before["begin"], blocked=True)
            continue
        kept.append(event)
        last[_lane_key(event)] = event
    return kept


LaneKey = tuple[int, str, int]


def _lane_key(event: Event) -> LaneKey:
    """Tell a lane by process, thread and task (0: none, -1: the event loop itself)."""
    return event["pid"], event["thread"], event.get("task", {}).get("number", 0)


def _lane_names(calls: list[Event], roles: dict[int, str]) -> dict[LaneKey, str]:
    """Name each task or thread of each process: by itself, its role, what it does."""
    of_lane: dict[LaneKey, list[Event]] = {}
    for event in calls:
        of_lane.setdefault(_lane_key(event), []).append(event)
    names: dict[LaneKey, str] = {}
    for key, events in of_lane.items():
        pid, thread, task = key
        role = roles.get(pid, "")
        unnamed = _TARGET.fullmatch(thread)
        if unnamed and any("by" in event for event in events):
            thread = unnamed[1]
        if thread != "MainThread":
            role = f"{role} {thread}".strip()
        if task:
            name = _task_name(events)
            name = (role or name) if name == "main" else f"{role} {name}".strip()
        else:
            name = role or _what_it_does({event["call"] for event in events})
        base, number = name, 2
        while name in names.values():
            name = f"{base} {number}"
            number += 1
        names[key] = name
    return names


def _what_it_does(calls: set[str]) -> str:
    serves, dials = bool(calls & {"accept", "listen"}), "connect" in calls
    if serves == dials:
        return "program"
    return "server" if serves else "client"


_TARGET = re.compile(r"Thread-\d+ \((\w+)\)")  # a thread that nobody has named


def _task_name(events: list[Event]) -> str:
    """Name a task: as the program does, or by its own function; asyncio's is main."""
    told = [event["task"] for event in events]
    if told[0]["number"] < 0:
        return EVENT_LOOP
    if told[0]["name"]:
        return str(told[0]["name"])
    if any(task["main"] for task in told):
        return "main"
    functions = [task["function"] for task in told if task["function"]]
    return str(functions[0] if functions else told[0]["coroutine"])


def _owner(forks: dict[int, tuple[int, int]], pid: int, serial: int) -> tuple[int, int]:
    """Name a socket by the process that made it: fork() copies no socket."""
    while pid in forks and serial <= forks[pid][1]:
        pid = forks[pid][0]
    return pid, serial


def _asked_for(event: Event) -> Iterator[int]:
    """Yield the port that a bind() asked for by its number."""
    asked = event["arguments"][0] if event.get("arguments") else None
    if event["call"] == "bind" and isinstance(asked, list) and asked[1:2] != [0]:
        yield from (part for part in asked[1:2] if isinstance(part, int))


def _picked(event: Event) -> Iterator[int]:
    """Yield ports that the kernel chose, as this event proves."""
    accepted = event.get("result")
    if event["call"] == "accept" and isinstance(accepted, dict):
        addresses = [accepted["peer"]]  # its program may not be one of ours
    else:
        addresses = [event.get("local")]
    for address in addresses:
        if isinstance(address, list) and address[1]:
            yield address[1]


# The map that keeps identity


class Names:
    """Gives what the kernel picked a name, in the order of first sight."""

    def __init__(
        self,
        ports: frozenset[int],
        pids: frozenset[int],
        varies: tuple[Varies, ...] = (),
    ) -> None:
        """Know the values that may be renamed; nothing else is."""
        self.varies = varies
        self.ports = ports
        self.pids = pids
        self._given: dict[tuple[str, int | str], str] = {}

    def of(self, kind: str, value: int | str) -> str:
        """Name a port, a pid or a temporary directory."""
        key = (kind, value)
        if key not in self._given:
            count = sum(1 for known, _ in self._given if known == kind)
            self._given[key] = f"{kind} {count + 1}"
        return self._given[key]

    def text(self, text: str) -> str:
        """Rename inside a text, such as bytes that were sent or an error's words."""
        for declared in self.varies:
            for match in reversed(list(declared.pattern.finditer(text))):
                for group in reversed(match.groupdict()):
                    start, end = match.span(group)
                    text = f"{text[:start]}<{group.rpartition('_')[0]}>{text[end:]}"
        text = _TEMPORARY.sub(lambda found: self.of("directory", found[0]), text)
        return _NUMBER.sub(
            lambda found: (
                self.of("port", int(found[0]))
                if int(found[0]) in self.ports
                else found[0]
            ),
            text,
        )

    def value(self, value: object) -> object:
        """Rename inside a value of an event."""
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self.of("port", value) if value in self.ports else value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        return value


_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\d)")
# What tempfile makes: its words are eight characters (mkdtemp in Python's docs).
_TEMPORARY = re.compile(
    r"(?<![\w/])(?:"
    + "|".join({"/tmp", re.escape(tempfile.gettempdir())})  # noqa: S108 - only read
    + r")/(?:[\w.-]*-|tmp)?[a-z0-9_]{8}(?![\w.-])"
)


def marks(text: str, recording: Recording, varies: tuple[Varies, ...]) -> list[Mark]:
    """Find what differs from run to run in a transcript of `recording`."""
    found: list[Mark] = []
    for mark in _candidates(text, recording, varies):
        if not any(mark.start < m.end and m.start < mark.end for m in found):
            found.append(mark)
    return sorted(found, key=lambda mark: mark.start)


def _candidates(
    text: str, recording: Recording, varies: tuple[Varies, ...]
) -> Iterator[Mark]:
    """Yield what may differ; of two that overlap the first one counts."""
    for declared in varies:
        for match in declared.pattern.finditer(text):
            for group in match.groupdict():
                kind = group.rpartition("_")[0]
                yield Mark(*match.span(group), f"<{kind}>", _WHY[kind])
    for match in _TEMPORARY.finditer(text):
        yield Mark(*match.span(), f"directory:{match[0]}", _WHY["directory"])
    for match in _NUMBER.finditer(text):
        value = int(match[0])
        if value in recording.ports:
            yield Mark(*match.span(), f"port:{value}", _WHY["port"])
        elif value in recording.pids and _CALLED_PID.search(text[: match.start()]):
            yield Mark(*match.span(), f"pid:{value}", _WHY["pid"])


_CALLED_PID = re.compile(r"(?:pid|process|child|parent) ?[=:]? ?$", re.IGNORECASE)
_WHY = {
    "port": "a port that the kernel picked: another one each run",
    "pid": "a process id: another one each run",
    "directory": "a temporary directory: another one each run",
    "int": "this number differs from run to run",
    "seconds": "this time differs from run to run",
    "hex": "this value differs from run to run",
    "text": "this differs from run to run",
}


def masked(recording: Recording, snippet: Snippet) -> dict[str, Any]:
    """Bring a recording into the form in which two runs are compared."""
    names = Names(recording.ports, recording.pids, snippet.varies)
    transcripts = {}
    for role, text in recording.transcripts.items():
        pieces, last = [], 0
        for mark in marks(text, recording, snippet.varies):
            kind, colon, value = mark.name.partition(":")
            known = value if kind == "directory" else int(value or 0)
            name = f"<{names.of(kind, known)}>" if colon else mark.name
            pieces += [text[last : mark.start], name]
            last = mark.end
        transcripts[role] = "".join([*pieces, text[last:]])
    lanes = {}
    alone = recording.alone
    sockets: dict[int, int] = {}
    for lane in sorted(recording.lanes, key=lambda lane: (_is_loop(lane), lane)):
        events = [
            event
            for event in recording.events
            if event["lane"] == lane
            and event["call"] != "select"
            and not (snippet.roles and _looked_up(event))
        ]
        if OPAQUE & {*snippet.needs}:
            continue
        if any("by" in event for event in events):
            joined = _joined(events, names, sockets)
            lanes[lane] = sorted(joined, key=repr) if _is_loop(lane) else joined
        elif events:
            lanes[lane] = [
                _comparable(event, names, sockets, alone=alone)
                for event in (events if alone else _uncut(events))
            ]
    ends = [names.text(words) for words in recording.ends]
    return {"transcripts": transcripts, "lanes": lanes, "ends": ends}


def _looked_up(event: Event) -> bool:
    """Say whether a server only looked up from its wait, as one with a tick does.

    How often it does so, until a client comes or a signal ends it, is up to the clock.
    """
    error = event.get("error") or {}
    told = (error.get("type"), error.get("errno"))
    return event["call"] in {"accept", "recv"} and told == ("TimeoutError", None)


def _is_loop(lane: str) -> bool:
    """Say whether a lane is an event loop's own: there, order means nothing."""
    return lane.rstrip(" 0123456789").endswith(EVENT_LOOP)


def _joined(events: list[Event], names: Names, sockets: dict[int, int]) -> list[Event]:
    """Bring a lane into a form in which it counts not how streams were cut.

    What the program's own code called keeps its order and its line. What a loop or a
    library received, or sent and closed in its stead, follows socket by socket.
    """
    own: list[Event] = []
    rest: dict[tuple[int, str, str], Event] = {}
    stalled = {
        event["socket"]
        for event in events
        if event["call"] in _SENDS and _is_partial(event)
    }
    for event in events:
        call = str(_CALLS_ALIKE.get(event["call"], event["call"]))
        kept = _comparable({**event, "call": call}, names, sockets, alone=False)
        by_other = event.get("by") in {"loop", "library"}
        received = call == "recv" and "by" in event
        full = call == "send" and event["socket"] in stalled
        sealed = event.get("frames") == SEALED
        if not (by_other or received or full or sealed):
            own.append(kept)
            continue
        which = repr(kept["result"]) if call == "accept" else ""
        key = (kept["socket"], call, which)
        before = rest.get(key, {})
        kept["line"] = 0
        if sealed:  # keys and signatures differ, and so do the lengths
            kept |= {"arguments": "TLS", "result": None, "frames": SEALED}
        elif full:  # how much went at once is up to the kernel and the other end
            kept |= {"arguments": "as there was room", "result": None, "frames": []}
        else:
            frames = [names.text(words) for words in _whole(event)]
            kept["frames"] = [*before.get("frames", []), *frames]
        if received:
            ended = (event.get("result") or {}).get("bytes") == 0
            sums = event.get("stream")
            if sums is None:  # a read that brought nothing
                kept["stream"] = before.get("stream", {})
            else:
                kept["stream"] = sums["bytes"] if kept["frames"] else sums
            kept |= {"arguments": [], "result": "the end" if ended else "more"}
            if kept["frames"][:1] == SEALED:
                kept |= {"frames": SEALED, "stream": {}}
        rest[key] = kept
    return own + list(rest.values())


def _uncut(events: list[Event]) -> list[Event]:
    """Join what one line received of a WebSocket connection in several calls."""
    whole: list[Event] = []
    for event in events:
        last = whole[-1] if whole else {}
        same = all(last.get(key) == event[key] for key in ("call", "line", "socket"))
        if same and "frames" in last and "frames" in event and "recv" in event["call"]:
            size = last["result"]["bytes"] + event["result"]["bytes"]
            frames = [*_whole(last), *_whole(event)]
            whole[-1] = {**event, "result": {"bytes": size}, "frames": frames}
        else:
            whole.append(event)
    return whole


# Which of them a library uses, and for how much at once, is its own affair.
_CALLS_ALIKE = {"recv_into": "recv", "recvmsg": "recv", "sendmsg": "send"}
_SENDS = ("send", "sendmsg")
# A browser opens connections as it likes, and what a client library says to its
# server is its own affair, another one with each Python.
OPAQUE = {"chromium", "redis-server"}
SEALED = ["TLS"]  # what the recorder says of bytes that nobody can read


def _is_partial(event: Event) -> bool:
    """Say whether the kernel had no room for all that was to be sent."""
    if "by" not in event:
        return False
    asked: Any = (event.get("arguments") or [{}])[0]
    pieces = asked if isinstance(asked, list) else [asked]
    size = sum(piece.get("bytes", 0) for piece in pieces)
    return bool(event.get("result") != size)


def _whole(event: Event) -> list[str]:
    """Give the frames that ended in this call: parts depend on how it was cut."""
    return [
        _PING.sub(r"\1", words)
        for words in event.get("frames", [])
        if not words.startswith("part of ")
    ]


_PING = re.compile(r"^(PING|PONG) .*", re.DOTALL)  # libraries fill them at random


def _sizes(value: object) -> object:
    """Keep of bytes only how many they are."""
    if isinstance(value, list):
        return [_sizes(each) for each in value]
    if isinstance(value, dict) and "starts" in value:
        return {"bytes": value["bytes"]}
    return value


def _comparable(
    event: Event, names: Names, sockets: dict[int, int], *, alone: bool
) -> Event:
    kept: Event = {
        key: event[key]
        for key in ("line", "call", "program", "made", "arguments", "error")
        if key in event
    }
    kept["socket"] = sockets.setdefault(event["socket"], len(sockets) + 1)
    if "frames" in event:
        event = {**event, "arguments": _sizes(event.get("arguments", []))}
        event["result"] = _sizes(event.get("result"))
        kept["frames"] = [
            names.text(_PING.sub(r"\1", words)) for words in event["frames"]
        ]
    for key in ("local", "peer"):
        if key in event:
            kept[key] = names.value(event[key])
    kept["arguments"] = names.value(event.get("arguments", []))
    if "error" in event:
        kept["error"] = names.value(event["error"])
    result = event.get("result")
    if isinstance(result, dict) and "socket" in result:
        number = sockets.setdefault(result["socket"], len(sockets) + 1)
        result = {**result, "socket": number}
        if not alone:
            result.pop("fd", None)
    kept["result"] = names.value(result)
    if alone:
        kept["fd"] = event["fd"]
        if "kernel" in event:
            # `unacked` is not compared: when an ACK comes is up to timers.
            rows = [
                {key: names.value(row[key]) for key in row if key != "unacked"}
                for row in event["kernel"]
            ]
            kept["kernel"] = sorted(rows, key=json.dumps)
    return kept


# Reading, writing and comparing


def paths(snippet: Snippet) -> dict[str, Path]:
    """Where a recording lies: a transcript for each role, and `events`."""
    part, _, name = snippet.recording.partition("/")
    folder = snippet.root / "snippets" / part / "recorded"
    if snippet.roles:
        files = {
            role.name: folder / f"{name}.{role.name}.txt" for role in snippet.roles
        }
    else:
        files = {"": folder / f"{name}.txt"}
    return files | {"events": folder / f"{name}.json"}


def load(snippet: Snippet) -> Recording:
    """Read a recording; Problem if there is none."""
    files = paths(snippet)
    for path in files.values():
        if not path.is_file():
            raise Problem(
                place(snippet.root, path),
                f"{snippet.where} has no recording",
                f"make record S={snippet.id}",
            )
    events_path = files.pop("events")
    try:
        data = json.loads(events_path.read_text(encoding="utf-8"))
        return _from_files(data, files)
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(
            place(snippet.root, events_path),
            f"the recording cannot be read: {error}",
            f"make record S={snippet.id}",
        ) from error


def _from_files(data: dict[str, Any], files: dict[str, Path]) -> Recording:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, not {FORMAT}")
    return Recording(
        snippet=data["snippet"],
        transcripts={role: path.read_bytes().decode() for role, path in files.items()},
        lanes=tuple(data["lanes"]),
        events=tuple(data["events"]),
        ports=frozenset(data["ports"]),
        pids=frozenset(data["pids"]),
        alone=data["alone"],
        ends=tuple(data["ends"]),
        python=data["python"],
        kernel=data["kernel"],
    )


def save(snippet: Snippet, recording: Recording) -> list[Path]:
    """Write a recording and say which files; none where it means the same."""
    with contextlib.suppress(Problem):
        old = load(snippet)
        if masked(old, snippet) == masked(recording, snippet):
            return []
    files = paths(snippet)
    files["events"].parent.mkdir(exist_ok=True)
    for role, text in recording.transcripts.items():
        files[role].write_bytes(text.encode())
    head = {
        "format": FORMAT,
        "snippet": recording.snippet,
        "python": recording.python,
        "kernel": recording.kernel,
        "lanes": list(recording.lanes),
        "ports": sorted(recording.ports),
        "pids": sorted(recording.pids),
        "alone": recording.alone,
        "ends": list(recording.ends),
    }
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    rows = ",\n".join("    " + json.dumps(event) for event in recording.events)
    lines.append(f'  "events": [\n{rows}\n  ]' if rows else '  "events": []')
    body = "{\n" + ",\n".join(lines) + "\n}\n"
    files["events"].write_text(body, encoding="utf-8")
    return list(files.values())


def record(snippet: Snippet, times: int = 5) -> Recording:
    """Run a program several times; Problem if runs differ in what is not declared."""
    first = run(snippet)
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


def diff(old: Recording, new: Recording, snippet: Snippet) -> str:
    """Say in a few lines how two runs differ in meaning; empty if they do not."""
    before, after = masked(old, snippet), masked(new, snippet)
    if before == after:
        return ""
    pieces = []
    for role in sorted(before["transcripts"].keys() | after["transcripts"].keys()):
        pieces += _lines(
            f"output{' of the ' + role if role else ''}",
            before["transcripts"].get(role, "").splitlines(),
            after["transcripts"].get(role, "").splitlines(),
        )
    if not pieces:
        for lane in sorted(before["lanes"].keys() | after["lanes"].keys()):
            pieces += _lines(
                f"calls of the {lane}",
                [_in_words(event) for event in before["lanes"].get(lane, [])],
                [_in_words(event) for event in after["lanes"].get(lane, [])],
            )
    return "\n".join(pieces) or "  the line endings, or the status or last words"


def _lines(title: str, before: list[str], after: list[str]) -> list[str]:
    changed = list(difflib.unified_diff(before, after, lineterm="", n=1))[2:]
    if not changed:
        return []
    shown = changed[:9]
    more = [f"  … {len(changed) - 9} more lines"] if len(changed) > 9 else []
    return [f"  {title}:", *("  " + line for line in shown), *more]


def _in_words(event: Event) -> str:
    words = f"line {event['line']}: {event['call']}({event['arguments']})"
    outcome = event.get("error") or event.get("result")
    rest = {
        key: event[key]
        for key in ("program", "made", "local", "peer", "fd", "frames", "stream")
        if key in event
    }
    rows = [
        f"{row['local'][0]}:{row['local'][1]}-{row['peer'][0]}:{row['peer'][1]} "
        f"{row['state']} "
        f"unread {row.get('unread', 0)}{'' if row.get('owned', 1) else ' inode 0'}"
        for row in event.get("kernel", [])
    ]
    seen = f" [kernel: {'; '.join(rows)}]" if rows else ""
    told = f"{words} -> {outcome} {rest or ''}{seen}".rstrip()
    return f"{told} (socket {event['socket']})"
