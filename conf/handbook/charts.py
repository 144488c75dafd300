"""Draw what no run of socket calls shows: numbers, from a recording or a standard.

Pure functions, as in `timeline`: data in, an SVG out. A `Measure` is what a
program measured and printed; a `Band` is a range of numbers, such as ports.
Colours are custom properties of the page (`--tl-*`).
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from html import escape

# Every length is in user units; a phone shows one unit as about one pixel.
WIDTH = 360
AXIS = 8  # the room at each end of an axis
ROW = 34
HEAD = 30
TALL = 400
COLUMN = 30
APART = 28
LOGARITHMIC = 30  # from this ratio of highest to lowest the axis is logarithmic

MEASURE = re.compile(
    r"^(?P<what>\S.*?)\s{2,}(?P<way>\S.*?)\s{2,}(?P<middle>[\d.]+) (?P<unit>\S+)"
    r"\s{2,}(?P<low>[\d.]+) to (?P<high>[\d.]+)\s*$"
)


@dataclass(frozen=True)
class Measure:
    """One row of a measurement: what, by which way, median, unit, spread."""

    what: str
    way: str
    middle: float
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Band:
    """The numbers from `first` to `last`, both included, in a named column."""

    column: str
    name: str
    first: int
    last: int

    @property
    def range(self) -> str:
        """The numbers, as they stand beside the band."""
        return (
            str(self.first) if self.first == self.last else f"{self.first}–{self.last}"
        )


def measures(transcript: str) -> list[Measure]:
    """Read the rows that a program printed, its columns two spaces or more apart.

    >>> measures("round trip   pipe   5.9 us   5.5 to 23.2")[0].middle
    5.9
    """
    found = []
    for line in transcript.splitlines():
        row = MEASURE.match(line)
        if row:
            numbers = (float(row[key]) for key in ("middle", "low", "high"))
            middle, low, high = numbers
            found.append(
                Measure(row["what"], row["way"], middle, row["unit"], low, high)
            )
    return found


def spreads(rows: list[Measure], title: str) -> str:
    """Draw each row's spread as a line and its median as a dot.

    A panel for each thing measured, on an axis of its own that begins at 0, or
    is logarithmic where the rows differ too much for that. The ratio is to the
    first row of its panel. ValueError if a row's numbers are not in order.
    """
    for row in rows:
        if not 0 < row.low <= row.middle <= row.high:
            raise ValueError(f"{row.what}, {row.way}: {row.low} to {row.high}")
    pieces: list[str] = []
    top = 0.0
    for what in dict.fromkeys(row.what for row in rows):
        panel = [row for row in rows if row.what == what]
        top = _panel(what, panel, top, pieces)
    return _svg(pieces, top, title)


def _panel(what: str, rows: list[Measure], top: float, pieces: list[str]) -> float:
    lowest = min(row.low for row in rows)
    highest = max(row.high for row in rows)
    logarithmic = highest / lowest > LOGARITHMIC

    def x(value: float) -> float:
        if logarithmic:
            share = math.log(value / lowest) / math.log(highest / lowest)
        else:
            share = value / highest
        return round(AXIS + share * (WIDTH - 2 * AXIS), 1)

    kind = "logarithmic" if logarithmic else "from 0"
    pieces.append(_text(AXIS, top + 18, f"{what}, {rows[0].unit}", "head"))
    pieces.append(_text(WIDTH - AXIS, top + 18, kind, "sub", "end"))
    top += HEAD
    for row in rows:
        ratio = row.middle / rows[0].middle
        told = f"{row.middle:g} {row.unit}"
        if row is not rows[0]:
            told += f" = {_times(ratio)} ×"
        pieces.append(_text(AXIS, top + 8, row.way, "call-text"))
        pieces.append(_text(WIDTH - AXIS, top + 8, told, "muted-text", "end"))
        y = top + 17
        pieces += [
            f'<line class="tl-lane" x1="{AXIS}" y1="{y:g}" x2="{WIDTH - AXIS}" '
            f'y2="{y:g}"/>',
            f'<line class="chart-spread" x1="{x(row.low):g}" y1="{y:g}" '
            f'x2="{x(row.high):g}" y2="{y:g}"/>',
            f'<circle class="tl-call" cx="{x(row.middle):g}" cy="{y:g}" r="4.5"/>',
        ]
        top += ROW
    return top + 6


def _times(ratio: float) -> str:
    """Write a ratio in few characters: 1.3, 15, 0.75 or 1/1500."""
    if ratio < 0.1:
        return f"1/{float(f'{1 / ratio:.2g}'):.0f}"
    return f"{ratio:.2g}" if ratio < 100 else f"{float(f'{ratio:.2g}'):.0f}"


def number_line(bands: list[Band], title: str) -> str:
    """Draw ranges of numbers from top to bottom, a column for each name.

    All columns share one scale, from the lowest first to the highest last.
    ValueError if a band is empty or two of a column overlap.
    """
    columns = list(dict.fromkeys(band.column for band in bands))
    first = min(band.first for band in bands)
    last = max(band.last for band in bands)
    wide = WIDTH / len(columns)

    def y(number: float) -> float:
        return round(HEAD + (number - first) / (last + 1 - first) * TALL, 1)

    pieces: list[str] = []
    bottom = float(HEAD + TALL)
    for index, column in enumerate(columns):
        left = index * wide + 2
        pieces.append(_text(left, 16, column, "head"))
        rows = sorted(
            (band for band in bands if band.column == column),
            key=lambda band: band.first,
        )
        _in_order(rows)
        pieces.append(
            f'<rect class="tl-kernel" x="{left:g}" y="{HEAD}" width="{COLUMN}" '
            f'height="{TALL}"/>'
        )
        at = -math.inf
        for band in rows:
            top, end = y(band.first), y(band.last + 1)
            pieces.append(
                f'<rect class="chart-band" x="{left:g}" y="{top:g}" '
                f'width="{COLUMN}" height="{max(end - top, 1):g}"/>'
            )
            middle = (top + end) / 2
            at = max(middle, at + APART, HEAD + 8)
            pieces.append(
                f'<path class="chart-leader" d="M{left + COLUMN:g} {middle:g}'
                f'L{left + COLUMN + 10:g} {at:g}"/>'
            )
            x = left + COLUMN + 13
            pieces.append(_text(x, at - 1, band.name, "call-text"))
            pieces.append(_text(x, at + 12, band.range, "muted-text"))
        bottom = max(bottom, at + 14)
    return _svg(pieces, bottom + 8, title)


def _in_order(bands: list[Band]) -> None:
    for band in bands:
        if band.first > band.last:
            raise ValueError(f"{band.name}: {band.first} comes after {band.last}")
    for one, two in itertools.pairwise(bands):
        if two.first <= one.last:
            raise ValueError(f"{one.name} and {two.name} overlap")


def _text(x: float, y: float, text: str, kind: str, anchor: str = "") -> str:
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text class="tl-{kind}" x="{x:g}" y="{y:g}"{where}>{escape(text)}</text>'


def _svg(pieces: list[str], height: float, title: str) -> str:
    return (
        f'<svg class="timeline-svg" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}" '
        f'style="--tl-width:{WIDTH}">{"".join(pieces)}</svg>'
    )
