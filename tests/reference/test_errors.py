"""The numbers of errors that the reference names are those of the systems."""

from __future__ import annotations

import errno
import re
import sys

from handbook.snippet import ROOT

ROW = re.compile(
    r"^\| \[(E[A-Z]+)\]\([^)]*\) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE
)


def test_the_table_of_numbers_is_right_here_and_agrees_with_itself() -> None:
    rows = ROW.findall((ROOT / "docs/reference/errors.md").read_text("utf-8"))
    assert len(rows) > 10
    column = {"linux": 0, "darwin": 1}.get(sys.platform)
    for name, *numbers in rows:
        if column is not None:
            assert int(numbers[column]) == getattr(errno, name), name
        # Windows Sockets took over the numbers of BSD, and so did macOS.
        assert int(numbers[2]) == 10_000 + int(numbers[1]), name
