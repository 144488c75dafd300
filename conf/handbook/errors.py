"""Which errors the recorded programs met: by errno name, or by kind without one.

A page of the handbook says of each error how to provoke it; the recordings say
which programs did. No Sphinx here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handbook import recordings
from handbook.snippet import by_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handbook.recordings import Recording

NUMBERS = "reference/error_numbers"  # the program that prints what follows
OTHERS = ("loop", "library")  # who calls for a program, in its stead
SAME = {"ENOTSUP": "EOPNOTSUPP"}  # one number on Linux, and Python says the former
ROW = re.compile(
    r"^(?P<name>E[A-Z0-9]+) +(?P<number>\d+) +(?P<type>\w+) +(?P<text>.+)$"
)
PRINTED = re.compile(r"\[Errno (?P<number>-?\d+)\](?P<text>[^\n'\"]*)")
WITHOUT = re.compile(
    r"\b(?P<type>[A-Z]\w*Error|gaierror|RemoteDisconnected|BadStatusLine|IncompleteRead)"
    r"(?:: |\(')(?P<text>[^'\n]+)"
)


@dataclass(frozen=True)
class Named:
    """An errno as Python shows it on the machine that recorded."""

    name: str
    number: int
    type: str
    text: str

    @property
    def shown(self) -> str:
        """What stands at the end of a traceback."""
        return f"{self.type}: [Errno {self.number}] {self.text}"


@dataclass
class Seen:
    """Where an error was met: its texts, the calls that raised it, the programs.

    `inside` are those of the programs in which only a library or the event loop met
    it: no line of theirs did, and they print nothing of it.
    """

    texts: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    inside: set[str] = field(default_factory=set)


def numbers(root: Path) -> dict[str, Named]:
    """Read the errnos by name, as the recording of `NUMBERS` has them."""
    text = recordings.load(by_id(NUMBERS, root)).transcripts[""]
    rows = filter(None, map(ROW.match, text.splitlines()))
    return {
        row["name"]: Named(row["name"], int(row["number"]), row["type"], row["text"])
        for row in rows
    }


def seen_in(recording: Recording, by_number: dict[int, str]) -> dict[str, Seen]:
    """Find the errors of one run, in its calls and in what it printed.

    An error without an errno goes by its type: TimeoutError, OverflowError,
    gaierror, or OSError where Python gives no number.
    """
    found: dict[str, Seen] = {}
    own: set[str] = set()
    for event in recording.events:
        error = event.get("error")
        if error is None:
            continue
        name = SAME.get(error["errno"], error["errno"]) or error["type"]
        seen = found.setdefault(name, Seen())
        seen.calls.add(event["call"])
        seen.texts.add(f"{error['type']}: {error['message']}")
        if event.get("by") not in OTHERS:
            own.add(name)
    for name, text in _printed(recording, by_number):
        seen = found.setdefault(name, Seen())
        if text:
            seen.texts.add(text)
        own.add(name)
    for name, seen in found.items():
        seen.programs.add(recording.snippet)
        if name not in own:
            seen.inside.add(recording.snippet)
    return found


def _printed(
    recording: Recording, by_number: dict[int, str]
) -> Iterator[tuple[str, str]]:
    """Yield the errors that a run printed; those of an errno without their text."""
    for text in recording.transcripts.values():
        for match in PRINTED.finditer(text):
            number = int(match["number"])
            if number < 0:  # its numbers are the C library's
                yield "gaierror", f"gaierror: {match[0]}"
            else:  # one that is not known is met all the same: it wants an entry
                yield by_number.get(number, f"errno {number}"), ""
        for match in WITHOUT.finditer(text):
            if not match["text"].startswith("[Errno"):
                yield match["type"], f"{match['type']}: {match['text']}"


def seen(root: Path) -> dict[str, Seen]:
    """Find the errors of all recorded programs but the one that lists them."""
    by_number = {named.number: named.name for named in numbers(root).values()}
    everywhere: dict[str, Seen] = {}
    for snippet, recording in recordings.load_all(root):
        if snippet.id == NUMBERS:
            continue
        for name, here in seen_in(recording, by_number).items():
            known = everywhere.setdefault(name, Seen())
            known.texts |= here.texts
            known.calls |= here.calls
            known.programs |= here.programs
            known.inside |= here.inside
    return everywhere
