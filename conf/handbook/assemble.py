"""Make a recording of what a run left behind: its output and its events.

Lanes get names, clock times become their order, and the ports and pids that the
kernel picked are found. Nothing is run here.
"""

from __future__ import annotations

import ast
import functools
import platform
import re
from typing import TYPE_CHECKING

from handbook.recordings import EVENT_LOOP, Event, Recording, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.snippet import Snippet

# The calls for which it picks one, if the program has named none: ip(7).
PICKS = ("bind", "connect", "connect_ex", "listen", "sendto", "sendmsg")
_TARGET = re.compile(r"Thread-\d+ \((\w+)\)")  # a thread that nobody has named
LaneKey = tuple[int, str, int]


def assemble(  # noqa: C901, PLR0912 - an event has many parts, each with its reason
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
                entry[key] = sizes(entry[key])
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
