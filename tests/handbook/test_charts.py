"""Charts: what is drawn are the numbers that were printed."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from handbook import charts

SVG = "{http://www.w3.org/2000/svg}"
PRINTED = """\
five rounds of each way
round trip   loopback TCP           20.0 us   10.0 to 40
round trip   pipe                    5.0 us   4.0 to 8.0
throughput   loopback TCP         1500 MB/s   1000 to 2000
"""


def drawn(text: str) -> ET.Element:
    return ET.fromstring(charts.spreads(charts.measures(text), "A <title>"))


def test_rows_are_read_and_other_lines_left_out() -> None:
    rows = charts.measures(PRINTED)
    assert [(row.what, row.way) for row in rows] == [
        ("round trip", "loopback TCP"),
        ("round trip", "pipe"),
        ("throughput", "loopback TCP"),
    ]
    assert rows[1] == charts.Measure("round trip", "pipe", 5.0, "us", 4.0, 8.0)


def test_a_spread_is_as_long_as_its_numbers_say() -> None:
    svg = drawn(PRINTED)
    lines = [n for n in svg.iter(f"{SVG}line") if n.get("class") == "chart-spread"]
    starts = [float(line.get("x1", 0)) - charts.AXIS for line in lines]
    ends = [float(line.get("x2", 0)) - charts.AXIS for line in lines]
    room = charts.WIDTH - 2 * charts.AXIS
    # From 0 to the highest of the panel, which is 40 and then 2000.
    assert starts == pytest.approx([room / 4, room / 10, room / 2], abs=0.1)
    assert ends == pytest.approx([room, room / 5, room], abs=0.1)
    dots = [float(n.get("cx", 0)) - charts.AXIS for n in svg.iter(f"{SVG}circle")]
    assert dots == pytest.approx([room / 2, room / 8, room * 3 / 4], abs=0.1)


def test_the_ratio_is_to_the_first_row_of_the_panel() -> None:
    said = ["".join(node.itertext()) for node in drawn(PRINTED).iter(f"{SVG}text")]
    assert "5 us = 0.25 ×" in said
    assert "20 us" in said
    assert "1500 MB/s" in said


@pytest.mark.parametrize(
    ("ratio", "told"),
    [
        (0.75, "0.75"),
        (1.29, "1.3"),
        (15.4, "15"),
        (2249, "2200"),
        (0.00068, "1/1500"),
        (0.05, "1/20"),
    ],
)
def test_a_ratio_is_written_short(ratio: float, told: str) -> None:
    svg = drawn(
        f"trip  a  1 us  1 to 1\ntrip  b  {ratio:f} us  {ratio:f} to {ratio:f}\n"
    )
    said = ["".join(node.itertext()) for node in svg.iter(f"{SVG}text")]
    assert any(text.endswith(f" = {told} ×") for text in said), said


def test_rows_far_apart_stand_on_a_logarithmic_axis() -> None:
    svg = drawn("trip  a  1 us  1 to 1\ntrip  b  100 us  10 to 100\n")
    assert "logarithmic" in ["".join(n.itertext()) for n in svg.iter(f"{SVG}text")]
    lines = [n for n in svg.iter(f"{SVG}line") if n.get("class") == "chart-spread"]
    middle = float(lines[1].get("x1", 0))
    assert middle == pytest.approx(charts.WIDTH / 2, abs=0.1), "10 is half way to 100"


@pytest.mark.parametrize("row", ["9 us  10 to 20", "5 us  6 to 4", "0 us  0 to 1"])
def test_numbers_out_of_order_are_refused(row: str) -> None:
    with pytest.raises(ValueError, match="trip, a"):
        drawn(f"trip  a  {row}\n")


BANDS = [
    charts.Band("one", "low", 0, 99),
    charts.Band("one", "high", 100, 399),
    charts.Band("two", "some", 200, 299),
]


def test_a_band_is_as_tall_as_its_share_of_the_numbers() -> None:
    svg = ET.fromstring(charts.number_line(BANDS, "Numbers"))
    bands = [n for n in svg.iter(f"{SVG}rect") if n.get("class") == "chart-band"]
    heights = [float(n.get("height", 0)) for n in bands]
    assert heights == [charts.TALL / 4, charts.TALL * 3 / 4, charts.TALL / 4]
    tops = [float(n.get("y", 0)) - charts.HEAD for n in bands]
    assert tops == [0, charts.TALL / 4, charts.TALL / 2]


def test_names_of_small_bands_do_not_overlap() -> None:
    bands = [charts.Band("x", f"b{n}", n * 10, n * 10 + 9) for n in range(5)]
    bands.append(charts.Band("x", "rest", 50, 65535))
    svg = ET.fromstring(charts.number_line(bands, "Numbers"))
    names = [
        float(n.get("y", 0))
        for n in svg.iter(f"{SVG}text")
        if re.fullmatch(r"b\d|rest", "".join(n.itertext()))
    ]
    apart = [two - one for one, two in itertools.pairwise(names)]
    assert min(apart) >= charts.APART
    tall = float((svg.get("viewBox") or "").split()[3])
    assert max(names) < tall


@pytest.mark.parametrize(
    ("bands", "says"),
    [
        (
            [charts.Band("x", "a", 0, 9), charts.Band("x", "b", 9, 20)],
            "a and b overlap",
        ),
        ([charts.Band("x", "a", 9, 0)], "a: 9 comes after 0"),
    ],
)
def test_bands_that_cannot_be_are_refused(bands: list[charts.Band], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        charts.number_line(bands, "Numbers")
