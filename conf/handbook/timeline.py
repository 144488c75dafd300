"""Draw a recording: lanes from top to bottom, the kernel between them.

Pure functions: a recording in, an SVG and the same in words out. `story` tells what
happened, row by row; here the rows get their places. A call is a bar in its lane,
hatched while it waits. Between the lanes stands the kernel: on the left its socket
for the client's end, on the right its sockets for the server's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from handbook.story import BEGUN, Moment, Story, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from handbook.recordings import Event, Recording

# Every length is in user units; a phone shows one unit as about one pixel.
LANE = 110
BAR = 8
GAP = 5
KERNEL = 150
TOP = 34
LINE = 13
PILL = 15
PAD = 7
HANDSHAKE = 42
WIDTH_OF_CHARACTER = 6.6
HEAD_CHARACTER = 7.2
PILL_CHARACTER = 6.4


@dataclass(frozen=True)
class Timeline:
    """A drawn recording."""

    svg: str
    words: tuple[tuple[int, str, str], ...]  # line of the program, sentence, address
    width: int
    height: int


def draw(
    recording: Recording,
    *,
    title: str,
    link: Callable[[Event], str] = lambda _: "",
    line: Callable[[Event], int] = lambda event: int(event["line"]),
    id: str = "timeline",  # noqa: A002 - the word that HTML uses
    without: frozenset[str] = frozenset(),
) -> Timeline:
    """Draw a recording.

    `line` gives the line of the program as readers see it, and `link` its
    address; `id` makes the picture's own ids unique on its page; calls named in
    `without` are left out. The SVG takes its colours from custom
    properties of the page (`--tl-*`).
    """
    story = Story(recording, without)
    moments = story.moments()
    geometry = _Geometry(story.lanes)
    _place(moments)
    height = (moments[-1].top + moments[-1].height if moments else TOP) + PAD
    pieces = [
        f'<svg class="timeline-svg" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {geometry.width} {height:g}" role="group" '
        f'aria-label="{escape(title)}" style="--tl-width:{geometry.width}">',
        f'<defs><pattern id="{id}-wait" width="5" height="5" '
        'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="tl-wait-ground" width="5" height="5"/>'
        '<rect class="tl-wait-line" width="2" height="5"/></pattern>'
        f'<marker id="{id}-tip" viewBox="0 0 6 6" refX="5.4" refY="3" '
        'markerWidth="6" markerHeight="6" orient="auto">'
        '<path class="tl-tip" d="M0 0.4 6 3 0 5.6z"/></marker></defs>',
        *geometry.ground(height),
        *_lifelines(moments, geometry),
        *_waits(moments, geometry, id),
    ]
    for moment in moments:
        pieces += _row(moment, geometry, id, link, line)
    pieces.append("</svg>")
    svg = "".join(pieces).replace(' text-anchor="start"', "")  # the default
    words = tuple(
        (_line(moment, line), moment.words, _link(moment, link)) for moment in moments
    )
    return Timeline(svg, words, geometry.width, int(height))


def _line(moment: Moment, line: Callable[[Event], int]) -> int:
    """Give the line that readers see; 0 for what no line of the program did."""
    return line(moment.event) if moment.event["line"] else 0


def _link(moment: Moment, link: Callable[[Event], str]) -> str:
    return link(moment.event) if moment.event["line"] else ""


class _Geometry:
    """Where the lanes and the kernel stand."""

    def __init__(self, lanes: list[tuple[str, str]]) -> None:
        self.lanes = lanes
        left = sum(1 for _, side in lanes if side == "left")
        right = len(lanes) - left
        self.kernel = left * (LANE + GAP) + (0 if left else GAP)
        self.width = self.kernel + KERNEL + right * (LANE + GAP) + (0 if right else GAP)
        self.left = self.kernel + KERNEL * 0.25
        self.right = self.kernel + KERNEL * 0.75

    def bar(self, lane: int) -> float:
        """Left edge of a lane's bar."""
        lefts = [i for i, (_, side) in enumerate(self.lanes) if side == "left"]
        if lane in lefts:
            return (lane + 1) * (LANE + GAP) - GAP - BAR
        return self.kernel + KERNEL + GAP + (lane - len(lefts)) * (LANE + GAP)

    def side(self, lane: int) -> str:
        return self.lanes[lane][1]

    def ground(self, height: float) -> Iterable[str]:
        yield (
            f'<rect class="tl-kernel" x="{self.kernel:g}" y="0" width="{KERNEL}" '
            f'height="{height:g}" rx="4"/>'
        )
        middle = self.kernel + KERNEL / 2
        yield (
            f'<text class="tl-head" x="{middle:g}" y="14" '
            'text-anchor="middle">kernel</text>'
        )
        for x, name in ((self.left, "client’s"), (self.right, "server’s")):
            yield (
                f'<text class="tl-sub" x="{x:g}" y="27" text-anchor="middle">'
                f"{name} end</text>"
            )
        for lane, (name, side) in enumerate(self.lanes):
            x = self.bar(lane)
            anchor = "end" if side == "left" else "start"
            at = x + BAR if side == "left" else x
            name = re.sub(r"[\x00-\x1f\x7f]", "?", name)  # noqa: PLW2901
            first, _, rest = name.partition(" ")
            if len(name) * HEAD_CHARACTER <= LANE - BAR:
                first, rest = name, ""
            yield (
                f'<text class="tl-head" x="{at:g}" y="14" text-anchor="{anchor}">'
                f"{escape(first)}</text>"
            )
            if rest:
                yield (
                    f'<text class="tl-sub" x="{at:g}" y="26" text-anchor="{anchor}">'
                    f"{escape(short(rest, 16))}</text>"
                )
            yield (
                f'<line class="tl-lane" x1="{x + BAR / 2:g}" y1="{TOP - 8}" '
                f'x2="{x + BAR / 2:g}" y2="{height:g}"/>'
            )


def _place(moments: list[Moment]) -> None:
    """Give each row its height: labels beside the bar, arrows above the states."""
    top = float(TOP)
    for moment in moments:
        labels = len(moment.labels) * LINE
        if moment.part == "call" and moment.event.get("blocked"):
            labels += LINE
        arrows = sum(
            HANDSHAKE if kind == "handshake" else 16 for kind, _ in moment.arrows
        )
        halves = {"left": 0, "right": 0}
        for half, name, pills in moment.states:
            halves[half] += len(pills) * PILL + (LINE - 2 if name else 0) + 3
        moment.top = top
        moment.height = max(labels, arrows + max(halves.values()), LINE) + PAD
        top += moment.height


def _lifelines(moments: list[Moment], geometry: _Geometry) -> Iterable[str]:
    for half, x in (("left", geometry.left), ("right", geometry.right)):
        rows = [m for m in moments if any(state[0] == half for state in m.states)]
        if rows:
            yield (
                f'<line class="tl-life" x1="{x:g}" y1="{rows[0].top:g}" '
                f'x2="{x:g}" y2="{rows[-1].top + rows[-1].height - PAD:g}"/>'
            )


def _waits(
    moments: list[Moment],
    geometry: _Geometry,
    id: str,  # noqa: A002
) -> Iterable[str]:
    for moment in moments:
        if moment.part != "waits":
            continue
        end = next(
            m for m in moments if m.event is moment.event and m.part == "returns"
        )
        x = geometry.bar(moment.lane)
        yield (
            f'<rect class="tl-wait" x="{x:g}" y="{moment.top:g}" width="{BAR}" '
            f'height="{end.top + 10 - moment.top:g}" rx="2" fill="url(#{id}-wait)"/>'
        )


def _row(  # noqa: C901 - one branch for each thing that a row may hold
    moment: Moment,
    geometry: _Geometry,
    id: str,  # noqa: A002
    link: Callable[[Event], str],
    line: Callable[[Event], int],
) -> Iterable[str]:
    event = moment.event
    x, top, side = geometry.bar(moment.lane), moment.top, geometry.side(moment.lane)
    address, number = _link(moment, link), _line(moment, line)
    yield f'<g class="tl-event" data-step="{moment.number}" data-line="{number}">'
    if address:
        told = f"Line {number}: {' '.join(text for text, _ in moment.labels)}"
        yield f'<a href="{escape(address)}" aria-label="{escape(told)}">'
    anchor, at = ("end", x - 4) if side == "left" else ("start", x + BAR + 4)
    failed = "error" in event and event["error"]["errno"] not in BEGUN
    if moment.part != "waits":
        height = max(10.0, len(moment.labels) * LINE - 3)
        if any(kind == "handshake" for kind, _ in moment.arrows):
            height = HANDSHAKE - 6
        kind = "tl-failed" if failed else "tl-call"
        if moment.part == "call" and event.get("blocked"):
            # It waited, and nothing else happened meanwhile: only its end is solid.
            height += LINE
            yield (
                f'<rect class="tl-wait" x="{x:g}" y="{top:g}" width="{BAR}" '
                f'height="{height:g}" rx="2" fill="url(#{id}-wait)"/>'
            )
            y, solid = top + height - 10, 10.0
        else:
            y, solid = top, height
        yield (
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BAR}" '
            f'height="{solid:g}" rx="2"/>'
        )
    most = int((LANE - BAR - 4) / WIDTH_OF_CHARACTER)
    for index, (text, kind) in enumerate(moment.labels):
        yield (
            f'<text class="tl-{kind}-text" x="{at:g}" y="{top + 9 + index * LINE:g}" '
            f'text-anchor="{anchor}">{escape(short(text, most))}</text>'
        )
    if address:
        yield "</a>"
    y = top
    edge = x + BAR if side == "left" else x
    # The kernel's end is that of the socket: a server's thread may dial, too.
    near, far = geometry.left, geometry.right
    if moment.half == "right":
        near, far = far, near
    for kind, text in moment.arrows:
        if kind == "handshake":
            yield from _handshake(near, far, y, id)
            y += HANDSHAKE
            continue
        if kind == "lost":
            end = (near * 2 + far * 3) / 5
            yield (
                f'<line class="tl-segment" x1="{near:g}" y1="{y + 3:g}" '
                f'x2="{end:g}" y2="{y + 10:g}"/>'
                f'<text class="tl-segment-text" x="{(near + end) / 2:g}" '
                f'y="{y + 10:g}" text-anchor="middle">{text}</text>'
                f'<text class="tl-error-text" x="{end:g}" y="{y + 15:g}" '
                'text-anchor="middle">✗</text>'
            )
            y += 20
            continue
        start, end = (edge, far) if kind == "send" else (near, edge)
        gap = 2 if end > start else -2
        yield (
            f'<line class="tl-arrow" x1="{start + gap:g}" y1="{y + 11:g}" '
            f'x2="{end - gap:g}" y2="{y + 11:g}" marker-end="url(#{id}-tip)"/>'
        )
        middle = geometry.kernel + KERNEL / 2 if kind == "send" else (start + end) / 2
        yield (
            f'<text class="tl-bytes-text" x="{middle:g}" y="{y + 8:g}" '
            f'text-anchor="middle">{escape(text)}</text>'
        )
        y += 16
    yield from _states(moment, geometry, y)
    yield "</g>"


def _handshake(
    near: float,
    far: float,
    y: float,
    id: str,  # noqa: A002
) -> Iterable[str]:
    """Draw SYN, SYN-ACK and ACK between the two ends."""
    gap = 3 if far > near else -3
    for index, text in enumerate(("SYN", "SYN-ACK", "ACK")):
        start, end = (near, far) if index != 1 else (far, near)
        sign = gap if index != 1 else -gap
        at = y + 2 + index * 12
        yield (
            f'<line class="tl-segment" x1="{start + sign:g}" y1="{at:g}" '
            f'x2="{end - sign:g}" y2="{at + 7:g}" marker-end="url(#{id}-tip)"/>'
            f'<text class="tl-segment-text" x="{(start + end) / 2:g}" y="{at + 7:g}" '
            f'text-anchor="middle">{text}</text>'
        )


def _states(moment: Moment, geometry: _Geometry, y: float) -> Iterable[str]:
    heights = {"left": y, "right": y}
    for half, name, pills in moment.states:
        x = geometry.left if half == "left" else geometry.right
        if name:
            yield (
                f'<text class="tl-sub" x="{x:g}" y="{heights[half] + 9:g}" '
                f'text-anchor="middle">{escape(name)}</text>'
            )
            heights[half] += LINE - 2
        for text, kind in pills:
            width = KERNEL / 2 - 3
            top = heights[half]
            if kind not in ("plain", "gone"):
                yield (
                    f'<rect class="tl-{kind}" x="{x - width / 2:g}" y="{top:g}" '
                    f'width="{width:g}" height="{PILL - 2}" rx="3"/>'
                )
            wide = len(text) * PILL_CHARACTER > width - 4
            squeezed = f' textLength="{width - 6:g}" lengthAdjust="spacingAndGlyphs"'
            yield (
                f'<text class="tl-{kind}-label" x="{x:g}" y="{top + 10:g}" '
                f'text-anchor="middle"{squeezed if wide else ""}>{escape(text)}</text>'
            )
            heights[half] += PILL
        heights[half] += 3
