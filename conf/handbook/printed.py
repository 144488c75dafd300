"""What a recorded output may not hold, because no other run or machine prints it."""

from __future__ import annotations

import datetime
import platform
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from handbook.snippet import Varies

LONGEST = 1000  # characters of a line that somebody still reads
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
NAMED = {"\x1b": "an escape sequence", "\x07": "a bell (BEL)"}
HOMES = re.compile(r"(?<![\w/])(?:/home/|/Users/|[A-Z]:\\Users\\)[\w.-]+|/root\b")


def refused(
    text: str,
    declared: Iterable[Varies] = (),
    today: datetime.date | None = None,
    *,
    fresh: bool = True,
) -> list[str]:
    """Say what of an output must not be recorded; empty if nothing.

    Left out is what the docstring declares as `Varies:`, unless it is less than the
    declaration allows. `today` is this machine's date if none is given, in UTC. An
    output that is not `fresh` was recorded on another day or machine: what only this
    one would print is not looked for.
    """
    declared = tuple(declared)
    found = list(_too_small(text, declared))
    plain = _without(text, declared)
    for number, line in enumerate(plain.splitlines(), 1):
        if len(line) > LONGEST:
            found.append(f"line {number} has {len(line)} characters")
        for sign in dict.fromkeys(CONTROL.findall(line)):
            name = NAMED.get(sign, "a control character")
            found.append(f"line {number} has {name}: {sign!r}")
        if match := HOMES.search(line):
            found.append(f"line {number} has a home folder: {match[0]}")
        if fresh:
            found += [f"line {number} has {what}" for what in _of_here(line, today)]
    return found


def _too_small(text: str, declared: Iterable[Varies]) -> Iterator[str]:
    for each in declared:
        for value in each.values(text):
            if not value.enough:
                line = text.count("\n", 0, value.start) + 1
                yield (
                    f"line {line} has {text[value.start : value.end]}, where "
                    f"'Varies: {each.template}' asks for {value.least:g} or more"
                )


def _without(text: str, declared: Iterable[Varies]) -> str:
    spans = sorted(
        (value.start, value.end) for each in declared for value in each.values(text)
    )
    for start, end in reversed(spans):
        text = text[:start] + text[end:]
    return text


def _of_here(line: str, today: datetime.date | None) -> Iterator[str]:
    """Name what only this machine prints, or only today."""
    host = socket.gethostname()
    # A name that is a plain word, such as server, is one in other outputs, too.
    if re.search(r"[\d.-]", host) and host != "localhost" and _has(line, host):
        yield f"the name of this machine: {host}"
    home = str(Path.home())
    if len(home) > 1 and _has(line, home) and not HOMES.search(line):
        yield f"your home folder: {home}"
    python = platform.python_version()
    if _has(line, python):
        yield f"the version of this Python: {python}"
    for day in _days(today):
        if _has(line, day):
            yield f"today's date: {day}"
            break


def _has(line: str, words: str) -> bool:
    return bool(re.search(rf"(?<![\w-]){re.escape(words)}(?![\w-])", line))


def _days(today: datetime.date | None) -> Iterator[str]:
    """Yield today's date as programs write it: ISO 8601, RFC 9110, ctime(3), words."""
    day = today or datetime.datetime.now(datetime.UTC).date()
    yield day.isoformat()
    for month in (day.strftime("%b"), day.strftime("%B")):
        yield f"{day.day:02} {month} {day.year}"
        yield f"{day.day} {month} {day.year}"
        yield f"{month} {day.day}, {day.year}"
        yield f"{month} {day.day:2}"
    yield f"{day:%d.%m.%Y}"
    yield f"{day:%d/%m/%Y}"
    yield f"{day:%m/%d/%Y}"
    yield f"{day:%Y%m%d}"
