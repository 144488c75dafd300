"""Say whether two recordings mean the same, and in what they differ.

Ports, pids and temporary directories are named in the order in which they are
first seen, and what a docstring declares as `Varies:` is left out, unless it is less
than the declaration allows.

Compared are, lane by lane, the calls, their lines and their results; with a
single thread and no child also the kernel's rows and the descriptors. Not
compared are the order between lanes, whether a call blocked, select() and when an
ACK came: they differ from run to run, and the picture is drawn from the recording
as it was.

A task of asyncio is a lane. What its event loop receives and writes for it is cut
and timed anew in each run: that is compared when joined, without its line, and
whether it ended with the other side's FIN or this side's close() is not. Nor is
what a Python or a library chooses: the size of a file's buffer, and a descriptor
that it keeps before the first socket is made. What a docstring declares of a call's
result (`Varies: send() -> {int} of`) is declared of the call as well, and with it how
much the kernel holds unread from then on: it sizes its buffers itself. Of the pings
that a timer sends it counts whether there are any where there were some: a slow
machine brings more. Of a WebSocket connection the frames are compared, in words, and
the number of bytes; the bytes themselves hold random masks and keys.
"""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handbook.recordings import EVENT_LOOP, SEALED, Event, Recording, sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handbook.snippet import Snippet, Varies

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.]*\d)")
# What tempfile makes: its words are eight characters (mkdtemp in Python's docs).
_TEMPORARY = re.compile(
    r"(?<![\w/])(?:"
    + "|".join({"/tmp", re.escape(tempfile.gettempdir())})  # noqa: S108 - only read
    + r")/(?:[\w.-]*-|tmp)?[a-z0-9_]{8}(?![\w.-])"
)
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
_PING = re.compile(r"^(PING|PONG) .*", re.DOTALL)  # libraries fill them at random
_BEATS = {"PING", "PONG"}  # a library's timer sends them
# Which of them a library uses, and for how much at once, is its own affair.
_CALLS_ALIKE = {"recv_into": "recv", "recvmsg": "recv", "sendmsg": "send"}
_SENDS = ("send", "sendmsg")
# io.DEFAULT_BUFFER_SIZE, for which makefile() asks: 131072 since Python 3.14.
_BUFFERS = ([8192], [131_072])
# A browser opens connections as it likes, and what a client library says to its
# server is its own affair, another one with each Python.
OPAQUE = {"chromium", "redis-server"}


@dataclass(frozen=True)
class Mark:
    """A span of a transcript that differs from run to run, and why."""

    start: int
    end: int
    name: str
    why: str


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
            for found in reversed(list(declared.values(text))):
                if found.enough:
                    text = f"{text[: found.start]}<{found.kind}>{text[found.end :]}"
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
        for found in declared.values(text):
            if found.enough:
                kind = found.kind
                yield Mark(found.start, found.end, f"<{kind}>", _WHY[kind])
    for match in _TEMPORARY.finditer(text):
        yield Mark(*match.span(), f"directory:{match[0]}", _WHY["directory"])
    for match in _NUMBER.finditer(text):
        value = int(match[0])
        if value in recording.ports:
            yield Mark(*match.span(), f"port:{value}", _WHY["port"])
        elif value in recording.pids and _CALLED_PID.search(text[: match.start()]):
            yield Mark(*match.span(), f"pid:{value}", _WHY["pid"])


# The form in which two runs are compared

_VARYING = r"<(?:int|seconds|port \d+|pid \d+)>"
_BEFORE = re.compile(rf" {{2,}}(?={_VARYING})")
_AFTER = re.compile(rf"({_VARYING}) {{2,}}")
_CALL = re.compile(r"^(\w+)\(\) -> \{int\b")  # of a template, the call that varies


def _declared(events: list[Event], varies: tuple[Varies, ...]) -> list[Event]:
    """Give the results that the program declares no number, nor what they leave."""
    calls = {found[1] for each in varies if (found := _CALL.match(each.template))}
    if not calls:
        return events
    kept: list[Event] = []
    some = False
    for event in events:
        call = _CALLS_ALIKE.get(event["call"], event["call"])
        if call in calls and isinstance(event.get("result"), int):
            event, some = {**event, "result": "<int>"}, True  # noqa: PLW2901
        if call in calls and "stream" in event:
            event = {**event, "stream": {"bytes": "<int>"}}  # noqa: PLW2901
        if some and "kernel" in event:
            rows = [
                {**row, "unread": "some"} if row.get("unread") else row
                for row in event["kernel"]
            ]
            event = {**event, "kernel": rows}  # noqa: PLW2901
        kept.append(event)
    return kept


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
        told = "".join([*pieces, text[last:]])
        # In a table, a number with fewer digits has more blanks around it.
        transcripts[role] = _AFTER.sub(r"\1 ", _BEFORE.sub(" ", told))
    lanes = {}
    alone = recording.alone
    netlink = {
        event["socket"]
        for event in recording.events
        if "AF_NETLINK" in event.get("made", ())
    }
    events = [
        _in_sizes(event) if event["socket"] in netlink else _of_any_python(event)
        for event in recording.events
    ]
    events = _declared(events, snippet.varies)
    if alone:
        events = _from_three(events)
    sockets: dict[int, int] = {}
    for lane in sorted(recording.lanes, key=lambda lane: (_is_loop(lane), lane)):
        of_lane = [
            event
            for event in events
            if event["lane"] == lane
            and event["call"] != "select"
            and not (snippet.roles and _looked_up(event))
        ]
        if OPAQUE & {*snippet.needs}:
            continue
        if any("by" in event for event in of_lane):
            joined = _joined(of_lane, names, sockets)
            lanes[lane] = sorted(joined, key=repr) if _is_loop(lane) else joined
        elif of_lane:
            lanes[lane] = [
                _comparable(event, names, sockets, alone=alone)
                for event in (of_lane if alone else _uncut(of_lane))
            ]
    ends = [names.text(words) for words in recording.ends]
    return {"transcripts": transcripts, "lanes": lanes, "ends": ends}


def _in_sizes(event: Event) -> Event:
    """Leave the bytes out: those of netlink(7) hold numbers of descriptors."""
    return {
        **event,
        "arguments": sizes(event.get("arguments", [])),
        "result": sizes(event.get("result")),
    }


def _of_any_python(event: Event) -> Event:
    """Give a file's buffer no size: Python chooses it."""
    if event["call"] == "recv_into" and event["arguments"] in _BUFFERS:
        return {**event, "arguments": ["io.DEFAULT_BUFFER_SIZE"]}
    return event


def _from_three(events: list[Event]) -> list[Event]:
    """Number descriptors as if the first socket got 3, the first that is free.

    A library may keep one open before, as libffi does with itself since 3.5.
    """
    used = [event["fd"] for event in events if event.get("fd", -1) >= 0]
    shift = 3 - min(used, default=3)

    def moved(holder: Event) -> Event:
        fd = holder.get("fd", -1)
        return {**holder, "fd": fd + shift} if fd >= 0 else holder  # -1: closed

    given = ((event, event.get("result")) for event in events)
    return [
        moved({**event, "result": moved(result)} if isinstance(result, dict) else event)
        for event, result in given
    ]


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
            if call == "close" and "by" in event:
                kept["line"] = 0  # unknown, or not, while an exception passes
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
            kept["frames"] = _beats_once([*before.get("frames", []), *frames])
        if kept["frames"] and call == "send":  # the words say more than the last size
            kept |= {"arguments": [], "result": None}
        kept.pop("program", None)  # which was the last one is up to the clock
        if received:
            kept |= _received(event, kept["frames"], before)
        rest[key] = kept
    for key in [key for key in rest if _is_empty_read(rest[key])]:
        del rest[key]
    return own + list(rest.values())


def _beats_once(frames: list[str]) -> list[str]:
    """Say only whether there were pings and pongs: how many, and when, is a timer's."""
    once = sorted(_BEATS & {*frames})
    return [words for words in frames if words not in _BEATS] + once


def _forget_new_beats(
    before: dict[str, list[Event]], after: dict[str, list[Event]]
) -> None:
    """Leave out the pings and pongs that only the second run has.

    A connection that lives for longer than its timer, on a slow machine, has some.
    """
    for lane, events in after.items():
        old = {_place(event): event for event in before.get(lane, [])}
        kept = []
        for event in events:
            known = old.get(_place(event), {})
            new = _BEATS & {*event.get("frames", [])} - {*known.get("frames", [])}
            if new and not event["line"]:  # not the program's own
                event["frames"] = [w for w in event["frames"] if w not in new]
                if "stream" in event and "stream" in known:
                    event["stream"] = known["stream"]
                if not known and not event["frames"]:
                    continue
            kept.append(event)
        after[lane] = sorted(kept, key=repr) if _is_loop(lane) else kept


def _place(event: Event) -> tuple[object, ...]:
    """Give what a joined event is known by."""
    which = repr(event["result"]) if event["call"] == "accept" else ""
    return event["socket"], event["call"], event["line"], which


def _received(event: Event, frames: list[str], before: Event) -> Event:
    """Say what a loop or a library has received until now, however it was cut.

    Whether it reads the other side's FIN before it closes is a race.
    """
    sums = event.get("stream")
    told: Event = {"arguments": [], "result": None}
    if frames[:1] == SEALED:
        return told | {"frames": SEALED, "stream": {}}
    if _BEATS & {*frames}:
        return told | {"stream": {}}
    if sums is None:  # a read that brought nothing
        return told | {"stream": before.get("stream", {})}
    return told | {"stream": sums["bytes"] if frames else sums}


def _is_empty_read(kept: Event) -> bool:
    """Say whether all that a loop or a library received was the end."""
    return "error" not in kept and kept.get("stream") == {} and not kept["frames"]


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
        event = {**event, "arguments": sizes(event.get("arguments", []))}
        event["result"] = sizes(event.get("result"))
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


# What differs, in words


def diff(old: Recording, new: Recording, snippet: Snippet) -> str:
    """Say in a few lines how two runs differ in meaning; empty if they do not."""
    before, after = masked(old, snippet), masked(new, snippet)
    if before != after:
        _forget_new_beats(before["lanes"], after["lanes"])
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
