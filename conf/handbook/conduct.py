"""Refuse a run that did what no program of the handbook may do.

A program that readers copy waits for nobody without end, keeps to loopback, takes no
fixed port, sleeps only where the sleep is the subject, and leaves nothing behind: no
socket, thread, child or file. What a run did is read from the events that `traced/`
wrote of it.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING

from handbook import texts
from handbook.compare import OPAQUE
from handbook.problem import Problem, place
from handbook.snippet import LONGEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handbook.recordings import Event
    from handbook.snippet import Snippet

# In a comment on or right above a statement that is meant so, and after it why:
WAITS, PORT, GOES = "# waits:", "# port:", "# elsewhere:"
CONNECTS = ("connect", "connect_ex", "sendto", "sendmsg")
NAMES_HERE = re.compile(r"(?:.+\.)?localhost\.?", re.IGNORECASE)  # RFC 6761 section 6.3


def refused(
    snippet: Snippet, events: list[Event], *, at_rest: bool = False
) -> Iterator[Problem]:
    """Yield what a run did that it may not; nothing of a program wrong on purpose.

    What a busy machine can bring about is asked `at_rest` only, when the program is
    recorded: that a wait came to nothing, and that the run took long.
    """
    if snippet.name.startswith("wrong_"):
        return
    rules = (leaks, unbounded, elsewhere, fixed_ports, left_running, files)
    for rule in (*rules, *((idle, long) if at_rest else ())):
        yield from rule(snippet, events)


def leaks(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """Every socket is closed by the program itself."""
    for event in events:
        if event["event"] == "leak":
            yield Problem(
                where(snippet, event),
                "the socket made here is never closed",
                "use it in a with statement, or close it in a finally",
            )


def unbounded(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """A call that may wait for the other side has a time-out."""
    for event in events:
        if event.get("unbounded") and not _says(snippet, event, WAITS):
            yield Problem(
                where(snippet, event),
                f"{event['call']}() may wait without end: the socket has no time-out",
                "call settimeout() on it, or give create_connection() a timeout; if "
                f"something else bounds the wait, say what: '{WAITS} why'",
            )


def idle(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """A wait that nothing ends but the clock is the subject, and says so."""
    for event in events:
        if event["event"] == "idle" and not _says(snippet, event, WAITS):
            yield Problem(
                where(snippet, event),
                f"{event['call']}() waited {event['seconds']:g} s, and nothing came: "
                "a sleep where an event could be waited for",
                f"wait for the event; if the wait is the subject, add '{WAITS} why'",
            )


def elsewhere(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """Traffic and questions keep to this machine."""
    for event in events:
        if event["event"] == "call" and event["call"] in CONNECTS:
            host = _target(event)
            told = f"{event['call']}() goes to {host}"
        elif event["event"] == "asks" and "by" not in event:
            host = event["host"]
            if _is_number(host):
                continue
            told = f"the name {host!r} is looked up"
        else:
            continue
        if host and not _is_here(host) and not _says(snippet, event, GOES):
            yield Problem(
                where(snippet, event),
                f"{told}, which leaves loopback",
                "use 127.0.0.1 or localhost; if another address is the subject and "
                f"nothing leaves the machine, say so: '{GOES} why not'",
            )


def fixed_ports(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """No port is taken for granted, however it is written."""
    picked: set[int] = set()
    for event in events:
        if event["event"] != "call":
            continue
        asked = event["arguments"][0] if event.get("arguments") else None
        port = asked[1] if isinstance(asked, list) and len(asked) > 1 else 0
        took = event["call"] == "bind" and "error" not in event
        # Who binds a port that the kernel has picked before took nothing for granted.
        free = took and 1024 <= port <= 65535 and port not in picked
        if free and not _says(snippet, event, PORT):
            yield Problem(
                where(snippet, event),
                f"binds port {port}, which may be taken",
                "bind port 0 and ask getsockname() which port it became; if nobody "
                f"else can have it, say why: '{PORT} why'",
            )
        local = event.get("local")
        if isinstance(local, list) and len(local) > 1:
            picked.add(local[1])


def left_running(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """Threads have ended, and children were waited for."""
    for event in events:
        if event["event"] == "thread":
            yield Problem(
                where(snippet, event),
                f"the thread {event['name']!r} still runs at the end",
                "make it end (an event, a closed socket), and join() it",
            )
        elif event["event"] == "child":
            yield Problem(
                snippet.where,
                f"nobody waited for the child {event['child']}",
                "wait for every child, in a finally: os.waitpid(), or Popen in a with",
            )


def files(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """What it made on the disk is gone."""
    for event in events:
        if event["event"] == "makes" and Path(event["path"]).exists():
            yield Problem(
                snippet.where,
                f"leaves {place(snippet.root, Path(event['path']))} behind",
                "make files in a tempfile.TemporaryDirectory(), in a with statement",
            )


def long(snippet: Snippet, events: list[Event]) -> Iterator[Problem]:
    """A program is over in 3 seconds, or in those that its docstring takes.

    Counted is what does not depend on the machine's other work: processor time, and
    the longest sum of waits that a thread let run to their end.
    """
    if OPAQUE & {*snippet.needs}:
        return
    waited: dict[tuple[int, str], float] = {}
    for event in events:
        key = (event.get("pid", 0), event.get("thread", ""))
        if event["event"] == "idle":
            waited[key] = waited.get(key, 0) + event["seconds"]
        elif (event.get("error") or {}).get("type") == "TimeoutError":
            took = (event["end"] - event["begin"]) / 1e9
            waited[key] = waited.get(key, 0) + took
    cpu = sum(event["seconds"] for event in events if event["event"] == "used")
    total = cpu + max(waited.values(), default=0)
    if total > snippet.takes:
        yield Problem(
            snippet.where,
            f"takes {total:.1f} s ({cpu:.1f} s of them processor time); "
            f"{snippet.takes:g} s are its limit",
            "make it shorter; if the kernel's own timer is the subject, write "
            f"'Takes: {LONGEST:g} seconds' into its docstring",
        )


def where(snippet: Snippet, event: Event) -> str:
    """Name the line of a program that an event comes from."""
    if "program" not in event:
        return snippet.where
    return place(snippet.root, _source(snippet, event), event["line"] or None)


def _source(snippet: Snippet, event: Event) -> Path:
    return snippet.root / "snippets" / f"{event['program']}.py"


def _says(snippet: Snippet, event: Event, words: str) -> bool:
    """Say whether the statement that made a call, or the line above it, says why."""
    if "program" not in event:
        return words in snippet.source
    path = _source(snippet, event)
    return event["line"] in texts.lines_that_say(path.read_text("utf-8"), words)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _target(event: Event) -> str:
    """Give the host that a call names; "" if it names none."""
    arguments = event.get("arguments") or []
    address = arguments[0] if event["call"].startswith("connect") else arguments[-1]
    if isinstance(address, list) and address and isinstance(address[0], str):
        return address[0]
    return ""


def _is_here(host: str) -> bool:
    """Say whether a name or an address is one of this machine."""
    if NAMES_HERE.fullmatch(host):
        return True
    if not _is_number(host):
        return not host
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_loopback or mapped.is_unspecified
