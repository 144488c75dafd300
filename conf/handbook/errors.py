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
    from pathlib import Path

    from handbook.recordings import Recording

NUMBERS = "reference/error_numbers"  # the program that prints what follows
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
    """Where an error was met: its texts, the calls that raised it, the programs."""

    texts: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)


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
    for event in recording.events:
        error = event.get("error")
        if error is None:
            continue
        name = SAME.get(error["errno"], error["errno"])
        seen = found.setdefault(name or error["type"], Seen())
        seen.calls.add(event["call"])
        seen.texts.add(f"{error['type']}: {error['message']}")
    for text in recording.transcripts.values():
        for match in PRINTED.finditer(text):
            number = int(match["number"])
            # One that is not among the known is met all the same: it wants an entry.
            unknown = "gaierror" if number < 0 else f"errno {number}"
            name = by_number.get(number, unknown)
            seen = found.setdefault(name, Seen())
            if name == "gaierror":  # its numbers are the C library's
                seen.texts.add(f"{name}: {match[0]}")
        for match in WITHOUT.finditer(text):
            if not match["text"].startswith("[Errno"):
                seen = found.setdefault(match["type"], Seen())
                seen.texts.add(f"{match['type']}: {match['text']}")
    for seen in found.values():
        seen.programs.add(recording.snippet)
    return found


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
            known.programs |= {snippet.id}
    return everywhere
