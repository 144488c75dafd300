"""What a measure found, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handbook.columns import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handbook.bench.cost import Cost


@dataclass
class Row:
    """One line of the table: our figure, its floor, and how far apart they may be.

    A figure is the best of its rounds, in seconds; its spread is the distance
    to the worst.
    """

    name: str
    ours: list[float]
    floor: list[float]
    aim: float | None

    @property
    def ratio(self) -> float:
        """Ours in units of the floor."""
        return min(self.ours) / max(min(self.floor), 1e-9)

    @property
    def verdict(self) -> str:
        """Say "ok" or "over"; nothing where there is no aim."""
        if self.aim is None:
            return ""
        return "ok" if self.ratio <= self.aim else "over"

    def cells(self) -> tuple[str, ...]:
        """Give the row as the terminal shows it."""
        aim = "" if self.aim is None else f"{self.aim:.1f}"
        ratio = f"{self.ratio:.2f}"
        return (
            self.name,
            _span(self.ours),
            _span(self.floor),
            ratio,
            aim,
            self.verdict,
        )

    def data(self) -> dict[str, Any]:
        """Give the row as the file keeps it."""
        return {
            "name": self.name,
            "ours_seconds": [round(value, 3) for value in self.ours],
            "floor_seconds": [round(value, 3) for value in self.floor],
            "ratio": round(self.ratio, 3),
            "aim": self.aim,
            "verdict": self.verdict or None,
        }


@dataclass
class Measure:
    """What one measure found: rows for the table, remarks, data for the file."""

    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.2f} s (+{max(values) - min(values):.2f})"


def rows_of(
    name: str,
    ours: list[Cost],
    floor: list[Cost],
    aim: float,
    wall_aim: float | None = None,
) -> list[Row]:
    """Make the rows of a measure: CPU seconds, and seconds by the clock."""
    return [
        Row(f"{name}: CPU", [c.cpu for c in ours], [c.cpu for c in floor], aim),
        Row(f"{name}: wall", [c.wall for c in ours], [c.wall for c in floor], wall_aim),
    ]


def report(found: dict[str, Measure]) -> str:
    """Write the terminal's table, and under it what each measure has to remark."""
    lines: list[str] = []
    rows = [row.cells() for measure in found.values() for row in measure.rows]
    if rows:
        heads = ("best of the rounds (+spread)", "ours", "floor", "ratio", "aim", "")
        lines += table([heads, *rows])
    for name, measure in found.items():
        if measure.remarks:
            lines += ["", f"{name}:", *(f"  {remark}" for remark in measure.remarks)]
    return "\n".join(lines)


def verdict(figure: float, aim: float) -> str:
    """Say how a figure stands to its aim."""
    return f"aim {aim:g}: {'ok' if figure <= aim else 'over'}"
