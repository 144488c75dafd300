"""The state machine of TCP, drawn from the states that recorded runs passed through.

Where the eleven states stand is fixed here; which arrows there are, and what
made them, is read from recordings. Pure functions, as in `timeline`.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from handbook.recordings import Event, Recording

# Every length is in user units; a phone shows one unit as about one pixel.
WIDTH, HEIGHT = 360, 446
WIDE, TALL = 94, 22
# RFC 9293 section 3.3.2. CLOSED stands at both ends of a connection's life.
PLACES = {
    "CLOSED": (180, 16),
    "SYN-SENT": (55, 96),
    "LISTEN": (305, 66),
    "SYN-RECEIVED": (305, 132),
    "ESTABLISHED": (180, 186),
    "FIN-WAIT-1": (55, 250),
    "CLOSE-WAIT": (305, 250),
    "CLOSING": (126, 304),
    "FIN-WAIT-2": (55, 352),
    "LAST-ACK": (305, 342),
    "TIME-WAIT": (55, 430),
    "GONE": (196, 430),
}
# The kernel's names (include/net/tcp_states.h) for those of the standard.
STANDARD = {
    "SYN_SENT": "SYN-SENT",
    "SYN_RECV": "SYN-RECEIVED",
    "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2",
    "CLOSE_WAIT": "CLOSE-WAIT",
    "LAST_ACK": "LAST-ACK",
    "TIME_WAIT": "TIME-WAIT",
}
# The calls by which a program changes its own socket's state. By a recv() it makes
# room, and what comes then is the peer's doing.
ACTS = ("connect", "listen", "close", "shutdown")
# What the arrows would otherwise run through: how far each is bent to the side.
BENT = {
    ("CLOSED", "LISTEN"): 50,
    ("LISTEN", "CLOSED"): -50,
    ("CLOSING", "TIME-WAIT"): 22,
    ("ESTABLISHED", "GONE"): 24,
}
# Steps in which the kernel passes through a state too fast to be seen in it; RFC
# 9293 figure 5 has no other way. A connection's socket begins in LISTEN if it was
# dialled: by its peer, that is.
BETWEEN = {
    ("ESTABLISHED", "FIN-WAIT-2"): "FIN-WAIT-1",
    ("CLOSE-WAIT", "GONE"): "LAST-ACK",
    ("CLOSED", "ESTABLISHED"): "SYN-SENT",
    ("LISTEN", "ESTABLISHED"): "SYN-RECEIVED",
}


@dataclass(frozen=True)
class Step:
    """One socket's way from a state to another, and the call after which it stood."""

    before: str
    after: str
    snippet: str
    event: Event
    own: bool  # the call was made on this socket, not on its peer

    @property
    def call(self) -> str:
        """The call that was made, and by whom."""
        return f"{'' if self.own else 'peer: '}{self.event['call']}()"


@dataclass(frozen=True)
class Machine:
    """The drawn states, and each arrow in words: from, to, and its steps."""

    svg: str
    arrows: tuple[tuple[str, str, tuple[Step, ...]], ...]


def steps(recording: Recording) -> list[Step]:
    """Find each change of state that the kernel's rows of a recording show.

    A socket begins in CLOSED, and ends in GONE when the kernel has it no more. A
    state that passed between two looks at the kernel does not show. ValueError for
    a run of several threads or processes: there another one may have made the change.
    """
    if not recording.alone:
        raise ValueError(f"{recording.snippet} has several threads or processes")
    found = []
    states: dict[Any, str] = {}
    ends: dict[int, Any] = {}
    for event in recording.events:
        _note_ends(event, ends)
        for row in event.get("kernel", []):
            key = (tuple(row["local"]), tuple(row["peer"]))
            before = states.get(key, "CLOSED")
            own = ends.get(event["socket"], key[0]) in (key, key[0])
            if before == "CLOSED" and row["state"] != "LISTEN" and not own:
                before = "LISTEN"  # the kernel made it for a listening socket
            after = STANDARD.get(row["state"], row["state"])
            if (before, after) == ("LISTEN", "GONE"):
                after = "CLOSED"  # it had no connection whose life could end
            if before != after and after in PLACES:
                found.append(Step(before, after, recording.snippet, event, own))
            if after in ("GONE", "CLOSED"):
                states.pop(key, None)
            else:
                states[key] = after
    return found


def _note_ends(event: Event, ends: dict[int, Any]) -> None:
    """Note which addresses a socket has: both, or its own alone."""
    if "local" in event:
        local = tuple(event["local"])
        ends[event["socket"]] = (
            (local, tuple(event["peer"])) if "peer" in event else local
        )
    accepted = event.get("result")
    if event["call"] == "accept" and isinstance(accepted, dict):
        ends[accepted["socket"]] = (tuple(accepted["local"]), tuple(accepted["peer"]))


def draw(
    recordings: list[Recording],
    *,
    title: str,
    link: Callable[[Step], str] = lambda _: "",
    id: str = "states",  # noqa: A002 - the word that HTML uses
) -> Machine:
    """Draw the machine with the arrows that these recordings took.

    `link` gives the address of a step's line; `id` makes the picture's own ids
    unique on its page. ValueError if no recording shows a change of state.
    """
    taken: dict[tuple[str, str], list[Step]] = {}
    passed: dict[tuple[str, str], list[Step]] = {}
    behind: dict[tuple[str, str], list[Step]] = {}  # their second halves
    for recording in recordings:
        for step in steps(recording):
            middle = BETWEEN.get((step.before, step.after))
            if middle is None:
                taken.setdefault((step.before, step.after), []).append(step)
            else:
                passed.setdefault((step.before, middle), []).append(step)
                behind.setdefault((middle, step.after), []).append(step)
    seen = frozenset(taken)
    for ends, made in passed.items():
        taken[ends] = taken.get(ends, []) + made
    # What leads out of a state that passed is the peer's answer to the same call.
    answers = behind.keys() - taken.keys()
    taken |= {ends: behind[ends] for ends in answers}
    if not taken:
        raise ValueError("no change of state was recorded")
    order = list(PLACES)
    arrows = sorted(taken, key=lambda ends: (order.index(ends[0]), ends))
    pieces = [
        f'<svg class="timeline-svg" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" role="group" aria-label="{escape(title)}" '
        f'style="--tl-width:{WIDTH}"><defs><marker id="{id}-tip" viewBox="0 0 6 6" '
        'refX="5.4" refY="3" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tl-tip" d="M0 0.4 6 3 0 5.6z"/></marker></defs>'
    ]
    pieces += [
        _arrow(ends, taken[ends], id, link, seen=ends in seen, answer=ends in answers)
        for ends in arrows
    ]
    reached = {end for ends in arrows for end in ends}
    pieces += [_state(name, taken=name in reached) for name in PLACES]
    pieces.append("</svg>")
    return Machine(
        "".join(pieces),
        tuple((before, after, tuple(taken[before, after])) for before, after in arrows),
    )


def _state(name: str, *, taken: bool) -> str:
    x, y = PLACES[name]
    kind = "state" if taken else "unowned"
    shown = "CLOSED" if name == "GONE" else name
    return (
        f'<rect class="tl-{kind}" x="{x - WIDE / 2:g}" y="{y - TALL / 2:g}" '
        f'width="{WIDE}" height="{TALL}" rx="4"/>'
        f'<text class="tl-{kind}-label" x="{x}" y="{y + 4}" '
        f'text-anchor="middle">{shown}</text>'
    )


def _edge(
    towards: tuple[float, float], place: tuple[float, float]
) -> tuple[float, float]:
    """Give the point of a state's box that faces another point."""
    x, y = place
    dx, dy = towards[0] - x, towards[1] - y
    scale = min(
        WIDE / 2 / abs(dx) if dx else float("inf"),
        TALL / 2 / abs(dy) if dy else float("inf"),
    )
    return x + dx * scale, y + dy * scale


def _arrow(
    ends: tuple[str, str],
    made: list[Step],
    id: str,  # noqa: A002
    link: Callable[[Step], str],
    *,
    seen: bool,
    answer: bool,
) -> str:
    start, end = PLACES[ends[0]], PLACES[ends[1]]
    bend = BENT.get(ends, 0)
    middle = ((start[0] + end[0]) / 2 + bend, (start[1] + end[1]) / 2)
    (x1, y1), (x2, y2) = _edge(middle, start), _edge(middle, end)
    calls = list(dict.fromkeys(f"{step.event['call']}()" for step in made))
    # The curve's own middle lies half way to its control point.
    x = (x1 + x2) / 4 + middle[0] / 2
    y = (y1 + y2) / 4 + middle[1] / 2
    acts = any(step.own and step.event["call"] in ACTS for step in made)
    active = acts and not answer
    kind = "" if active else " chart-passive"
    kind += "" if seen else " chart-unseen"
    text = (
        f'<path class="chart-step{kind}" d="M{x1:.4g} {y1:.4g}'
        f"Q{middle[0]:.4g} {middle[1]:.4g} {x2:.4g} {y2:.4g}"
        f'" marker-end="url(#{id}-tip)"/>'
    )
    for index, call in enumerate(calls):
        text += (
            f'<text class="tl-segment-text" x="{x:.4g}" '
            f'y="{y + 4 + (index - (len(calls) - 1) / 2) * 12:.4g}" '
            f'text-anchor="middle">{escape(call)}</text>'
        )
    address = link(made[0])
    if not address:
        return text
    return f'<a href="{escape(address)}">{text}</a>'
