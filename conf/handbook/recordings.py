"""Recordings: what a run printed and did, as it is kept beside the programs.

A recording is two kinds of file: one transcript a role (`recorded/<name>.txt`, or
`<name>.<role>.txt` for a pair) and the events (`recorded/<name>.json`). They are
published as they are. `record` makes them, `compare` says whether two mean the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handbook.problem import Problem, place
from handbook.snippet import ROOT, Snippet, find, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 4
EVENT_LOOP = "event loop"  # the lane of what no task is known to have asked for
SEALED = ["TLS"]  # what the recorder says of bytes that nobody can read
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


def sizes(value: object) -> object:
    """Keep of bytes only how many they are."""
    if isinstance(value, list):
        return [sizes(each) for each in value]
    if isinstance(value, dict) and "starts" in value:
        return {"bytes": value["bytes"]}
    return value


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


def load_all(root: Path = ROOT) -> Iterator[tuple[Snippet, Recording]]:
    """Read every program that is recorded, with its recording, in order.

    A companion of a pair has none of its own. What cannot be read is left out: the
    checks tell of it.
    """
    for path in find(root):
        try:
            snippet = read(path, root)
            recording = load(snippet)
        except Problem:
            continue
        yield snippet, recording


def write(snippet: Snippet, recording: Recording) -> list[Path]:
    """Write a recording over the one that is there, and name the files."""
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
