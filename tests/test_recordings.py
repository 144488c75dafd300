"""Every program still prints and does what its recording says."""

from __future__ import annotations

import sys

import pytest

from handbook import check, compare, needs, record, recordings, snippet
from handbook.problem import Problem

PARTNERS = snippet.companions_of_pairs()
PROGRAMS = [
    f"{path.parent.name}/{path.stem}"
    for path in snippet.find()
    if f"{path.parent.name}/{path.stem}" not in PARTNERS
]


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_does_what_its_recording_says(name: str) -> None:
    try:
        program = snippet.by_id(name)
        recorded = recordings.load(program)
        missing = program.missing()
        now = record.run(program)
    except Problem as problem:
        pytest.fail(str(problem), pytrace=False)
    if missing:
        assert len(now.transcripts[""].splitlines()) == 1
        pytest.skip(needs.reason(*missing))
    if sys.platform != "linux":
        pytest.skip("it ran; recordings are compared on Linux only")
    difference = compare.diff(recorded, now, program)
    if difference:
        pytest.fail(str(check.stale(snippet.ROOT, program, difference)), pytrace=False)


def test_pages_programs_and_claims_agree() -> None:
    found = check.problems()
    if found:
        pytest.fail("\n".join(map(str, found)), pytrace=False)
