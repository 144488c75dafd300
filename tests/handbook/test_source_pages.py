"""The pages of the tests: all of a file, and each claim's test under its id."""

from __future__ import annotations

from handbook.source_pages import pieces

FILE = '''\
"""Tests."""

import os


@claim(
    "one",
    "a source",
)
@linux
def test_one() -> None:
    """One."""
    assert os


def helper() -> int:
    return 1


@claim("two", "a source")
def test_two() -> None:
    """Two."""
    assert helper()
'''


def test_a_file_is_cut_at_the_tests_of_its_claims() -> None:
    cut = list(pieces(FILE, {"test_one": "one", "test_two": "two"}))
    assert "".join(text for _, text in cut) == FILE
    one, two = (text for identifier, text in cut if identifier)
    assert one.startswith('@claim(\n    "one"')
    assert one.endswith("    assert os\n")
    assert two.startswith('@claim("two"')
    assert [identifier for identifier, _ in cut] == ["", "one", "", "two", ""]


def test_a_file_without_claims_is_one_piece() -> None:
    assert list(pieces(FILE, {})) == [("", FILE)]
