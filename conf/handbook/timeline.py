"""Draw a recording: lanes from top to bottom, the kernel between them.

Pure functions: a recording in, an SVG and the same in words out. A call is a
bar in its lane, hatched while it waits. Between the lanes stands the kernel:
on the left its socket for the client's end, on the right its sockets for the
server's end, with their TCP state (the names that ss prints), the length of the
accept queue and the bytes that nobody has read. Everything drawn is in the
recording, but for the three segments of the handshake, which no socket call
shows: they are drawn where a connect() succeeded (RFC 9293 section 3.5).
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from handbook.recordings import EVENT_LOOP

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

SHORT = {
    "ESTABLISHED": "ESTAB",
    "SYN_SENT": "SYN-SENT",
    "SYN_RECV": "SYN-RECV",
    "FIN_WAIT1": "FIN-WAIT-1",
    "FIN_WAIT2": "FIN-WAIT-2",
    "TIME_WAIT": "TIME-WAIT",
    "CLOSE": "UNCONN",
    "CLOSE_WAIT": "CLOSE-WAIT",
    "LAST_ACK": "LAST-ACK",
}
AFTER_FIN = ("CLOSE_WAIT", "LAST_ACK", "CLOSING")
SENDS = ("send", "sendall", "sendmsg", "sendto")
RECEIVES = ("recv", "recv_into", "recvfrom", "recvmsg")
UNDRAWN = ("setsockopt",)
BEGUN = ("EINPROGRESS",)  # no failure: connect() has begun, and does not wait
WIDTH_OF_CHARACTER = 6.6
HEAD_CHARACTER = 7.2
PILL_CHARACTER = 6.4


@dataclass
class Moment:
    """One row of the picture: a call, the start of a wait, or the end of one."""

    number: int
    event: Event
    lane: int
    part: str  # "call", "waits" or "returns"
    top: float = 0.0
    height: float = 0.0
    labels: list[tuple[str, str]] = field(default_factory=list)  # text, class
    arrows: list[tuple[str, str]] = field(default_factory=list)  # kind, label
    states: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)
    words: str = ""
    half: str = "left"


@dataclass(frozen=True)
class Timeline:
    """A drawn recording."""

    svg: str
    words: tuple[tuple[int, str, str], ...]  # line of the program, sentence, address
    width: int
    height: int


class _Story:
    """Turns events into rows; knows which socket is which."""

    def __init__(self, recording: Recording, without: frozenset[str]) -> None:
        self.recording = recording
        self.events = recording.events
        self.undrawn = without.union(UNDRAWN)
        self.listeners: set[int] = set()
        self.accepted: set[int] = set()
        self.dialled: set[int] = set()
        self.listening: set[tuple[Any, ...]] = set()
        self.client_ports: set[int] = set()
        self.datagrams = {
            event["socket"]
            for event in recording.events
            if "SOCK_DGRAM" in event.get("made", [])
        }
        self.ends: dict[int, tuple[Any, Any]] = {}  # socket -> (local, peer)
        for event in self.events:
            if "local" in event and "peer" in event:
                self.ends[event["socket"]] = (
                    tuple(event["local"]),
                    tuple(event["peer"]),
                )
            if event["call"] == "accept" and event.get("result", {}).get("local"):
                accepted = event["result"]
                self.ends[accepted["socket"]] = (
                    tuple(accepted["local"]),
                    tuple(accepted["peer"]),
                )
            if event["call"] == "listen" and "error" not in event:
                self.listeners.add(event["socket"])
                if "local" in event:
                    self.listening.add(tuple(event["local"][:2]))
            if event["call"] in ("connect", "connect_ex"):
                self.dialled.add(event["socket"])
                if "local" in event:
                    self.client_ports.add(event["local"][1])
            if event["call"] == "accept" and "result" in event:
                self.accepted.add(event["result"]["socket"])
        self.by_role = len(recording.lanes) == 1
        self.lanes = self._lanes()
        self.connections = len(self.accepted | self.dialled) > 2
        self.drawn: dict[tuple[Any, Any], tuple[str, ...]] = {}

    def _lanes(self) -> list[tuple[str, str]]:
        """Name the lanes, each with its side of the kernel."""
        if self.by_role:
            sides = {self.role(e["socket"]) for e in self.events if e["socket"]}
            names = [("client", "left"), ("server", "right")]
            return [lane for lane in names if lane[0] in sides] or names[:1]
        lanes = []
        for lane in self.recording.lanes:
            calls = {e["call"] for e in self.events if e["lane"] == lane}
            if calls and not calls - self.undrawn:
                continue  # nothing of it would be seen
            client = calls & {"connect", "connect_ex"} or "client" in lane
            server = calls & {"accept", "listen"} or "server" in lane
            lanes.append((lane, "left" if client and not server else "right"))
        left = [lane for lane in lanes if lane[1] == "left"]
        return left + [lane for lane in lanes if lane[1] == "right"]

    def role(self, number: int) -> str:
        """Say whose end a socket is: it listens or was accepted, or it dialled."""
        if number in self.listeners or number in self.accepted:
            return "server"
        if number in self.dialled:
            return "client"
        asked = {e["call"] for e in self.events if e["socket"] == number}
        return "server" if asked & {"accept", "bind"} else "client"

    def lane(self, event: Event) -> int:
        name = self.role(event["socket"]) if self.by_role else event["lane"]
        if event["call"] == "select" and self.by_role:
            return len(self.lanes) - 1  # the one who serves waits for all
        return next(i for i, lane in enumerate(self.lanes) if lane[0] == name)

    def moments(self) -> list[Moment]:
        """Put every begin, end and look at the kernel into one order of rows."""
        rows: list[tuple[int, int, Event, str]] = []
        drawn = [e for e in self.events if e["call"] not in self.undrawn]
        taken = {e["begin"] for e in drawn} | {e["end"] for e in drawn}
        for event in drawn:
            between = any(event["begin"] < rank < event["end"] for rank in taken)
            if event.get("blocked") and between:
                rows.append((event["begin"], 0, event, "waits"))
                rows.append((event["end"], 0, event, "returns"))
            else:
                rows.append((event["begin"], 0, event, "call"))
        rows.sort(key=lambda row: row[:2])
        moments = []
        for number, (_, _, event, part) in enumerate(rows):
            moment = Moment(number, event, self.lane(event), part)
            moment.half = "right" if self.role(event["socket"]) == "server" else "left"
            self._describe(moment)
            moments.append(moment)
        looks = sorted(
            (m for m in moments if m.part != "waits" and "kernel" in m.event),
            key=lambda m: m.event["seen"],
        )
        seen: dict[int, dict[str, Any]] = {}
        for look in looks:
            last = seen.setdefault(self._row_of_look(moments, look).number, {})
            for row in look.event["kernel"]:
                last[f"{row['local']} {row['peer']}"] = row
        for number, last in sorted(seen.items()):
            self._kernel(moments[number], list(last.values()))
        return moments

    def _row_of_look(self, moments: list[Moment], asked: Moment) -> Moment:
        """Find the row at which the kernel was really looked at.

        Other lanes may have gone on between the return of the call and the
        look; then the look belongs to the last row that began before it.
        """
        seen = asked.event["seen"]
        best = asked
        for moment in moments:
            rank = moment.event["end" if moment.part == "returns" else "begin"]
            if moment.number > best.number and rank < seen and moment.part != "waits":
                best = moment
        return best

    def _describe(self, moment: Moment) -> None:
        event, call = moment.event, moment.event["call"]
        who = self.lanes[moment.lane][0]
        name = f"{call}()"
        label = moment.labels
        if moment.part == "waits":
            label += [(name, "call"), ("waits", "muted")]
            moment.words = f"The {who} calls {name} and waits."
            return
        error = event.get("error")
        returned = moment.part == "returns"
        verb = f"The {who}'s {name} returns" if returned else f"The {who} calls {name}"
        if event.get("by") in _OTHERS and not event["line"] and who != EVENT_LOOP:
            verb = f"The {_OTHERS[event['by']]} calls {name} for {who}"
        waited = not returned and event.get("blocked")
        if not returned:
            label.append((name, "call"))
        if waited:
            label.append(("waits", "muted"))
            verb += ", waits, and it returns"
        if error is not None:
            code = error["errno"] or error["type"]
            label.append(
                (f"→ {code}", "muted") if code in BEGUN else (f"✗ {code}", "error")
            )
            moment.words = f"{verb}: {error['type']}, {error['message']}."
            if call == "connect":
                self._lost(moment, error)
            return
        details, sentence = self._outcome(event)
        frames = event.get("frames", [])
        if frames:
            sentence = re.sub(r", (b['\"].*)?$", "", sentence, flags=re.DOTALL)
            sentence += f": {', '.join(frames)}"
            if call in RECEIVES:
                details += [_brief(words) for words in frames]
        if returned:
            gave = [f"→ {each.removeprefix('→ ')}" for each in details[:1]]
            details = [*gave, *details[1:]] if details else [name]
            label += [(details[0], "call"), *((text, "muted") for text in details[1:])]
        else:
            label += [(text, "muted") for text in details]
        moment.words = f"{verb}{sentence}."
        self._arrows(moment)

    def _lost(self, moment: Moment, error: dict[str, Any]) -> None:
        """Draw the SYN of a connect() that nobody answered."""
        unanswered = error["type"] == "TimeoutError" or error["errno"] == "ETIMEDOUT"
        if unanswered and moment.event["socket"] not in self.datagrams:
            moment.arrows.append(("lost", "SYN"))

    def _outcome(  # noqa: C901, PLR0911, PLR0912 - one branch for each call
        self, event: Event
    ) -> tuple[list[str], str]:
        """Say what a call gave, as short lines for the picture and in words."""
        call, result = event["call"], event.get("result")
        if call == "select":
            if not result:
                return ["→ none"], ", until its time is over"
            return [f"→ {result} ready"], f": {result} ready"
        if call == "socket":
            return [f"→ fd {event['fd']}"], f"; it is descriptor {event['fd']}"
        if call == "connect_ex" and result:
            name = errno.errorcode.get(result, str(result))
            mark = "→" if name in BEGUN else "✗"
            return [f"{mark} {name}"], f"; it returns {result}, {name}"
        if call in ("bind", "connect", "connect_ex") and "local" not in event:
            asked = (event.get("arguments") or [""])[0]
            name = asked.rpartition("/")[2] if isinstance(asked, str) else ""
            name = name.replace("\0", "@")  # an abstract name, as ss shows it
            return ([name], f" to {name}") if name else ([], "")
        if call in ("bind", "connect", "connect_ex") and "local" in event:
            address = event["local"] if call == "bind" else event.get("peer")
            if address is None:
                return [], ""
            shown = f"{address[0]} port {address[1]}"
            own = f" from port {event['local'][1]}" if call == "connect" else ""
            return [f":{address[1]}"], f" to {shown}{own}"
        if call == "accept" and isinstance(result, dict):
            fd, peer = result["fd"], result["peer"]
            if isinstance(peer, list):
                return (
                    [f"fd {fd}", f"for :{peer[1]}"],
                    f"; it gives descriptor {fd} for the client at port {peer[1]}",
                )
            return [f"fd {fd}"], f"; it gives descriptor {fd}"
        if call in SENDS:
            data = _sent(event)
            size = data["bytes"]
            if isinstance(result, int) and result != size:
                return (
                    [f"{result} of {size} B"],
                    f" with {size} bytes; it takes {result}",
                )
            return [f"{size} B"], f" with {_bytes(size)}, {_preview(data)}"
        received = _received(event)
        if received is not None:
            if received["bytes"] == 0 and event["socket"] not in self.datagrams:
                return ["b''"], " with b'': the other side has ended its stream"
            return [f"{received['bytes']} B"], (
                f" with {_bytes(received['bytes'])}, {_preview(received)}"
            )
        return [], ""

    def _arrows(self, moment: Moment) -> None:
        event, call = moment.event, moment.event["call"]
        stream = event["socket"] not in self.datagrams
        if call in ("connect", "connect_ex"):
            if "peer" in event and stream and event.get("result") in (None, 0):
                moment.arrows.append(("handshake", ""))
        elif call in SENDS:
            if _sent(event)["bytes"] or not stream:  # no bytes of a stream: nothing
                frames = event.get("frames") or [_preview(_sent(event))]
                text = " + ".join(map(_brief, frames))
                moment.arrows.append(("send", _short(text, 20)))
        elif call in RECEIVES and _received(event) is not None:
            size = (_received(event) or {})["bytes"]
            moment.arrows.append(("recv", f"{size} B" if size or not stream else "end"))
        elif call == "close" and event["socket"] in self.accepted | self.dialled:
            ended = self._ending(event)
            if ended:
                moment.arrows.append(("send", ended))
        elif call == "shutdown" and event["arguments"][0] in (1, 2):
            moment.arrows.append(("send", "FIN"))

    def _ending(self, event: Event) -> str:
        """Say what a close() sent, as far as the recording proves it.

        The proof is what the other end's recv() then gave, or the state in
        which the kernel kept this end's socket afterwards.
        """
        mine = self.ends.get(event["socket"])
        if mine is None:
            return ""
        last = max(
            (
                other["begin"]
                for other in self.events
                if other["call"] in ("close", "shutdown")
                and other["socket"] == event["socket"]
            ),
            default=0,
        )
        if event["begin"] < last:
            return ""  # another descriptor of it is open still, or it ended before
        for later in self.events:
            theirs = self.ends.get(later["socket"])
            if later["end"] < event["begin"] or theirs != (mine[1], mine[0]):
                continue
            if later.get("error", {}).get("errno") == "ECONNRESET":
                return "RST"
            if (_received(later) or {}).get("bytes") == 0:
                return "FIN"
        states = {
            row["state"]
            for row in event.get("kernel", [])
            if (tuple(row["local"]), tuple(row["peer"])) == mine
        }
        sent = {"FIN_WAIT1", "FIN_WAIT2", "LAST_ACK", "CLOSING", "TIME_WAIT"}
        return "FIN" if states & sent else ""

    def _kernel(self, moment: Moment, rows: list[dict[str, Any]]) -> None:
        """Add to a row what changed in the kernel's table."""
        told = []
        for row in rows:
            local, peer = row["local"][1], row["peer"][1]
            key = (tuple(row["local"]), tuple(row["peer"]))
            client = local in self.client_ports and peer not in self.client_ports
            half = "left" if client else "right"
            port = local if client else peer
            name = f":{port}" if self.connections and peer else ""
            whose = f"{_END[half]} end" if peer else "listening socket"
            if name:
                whose += f" (port {port})"
            elif not peer and len(self.listening) > 1:
                ports = {each[1] for each in self.listening}
                name = f":{local}" if len(ports) > 1 else row["local"][0]
                whose += f" ({row['local'][0]} port {local})"
            if row["state"] == "GONE":
                self.drawn.pop(key, None)
                moment.states.append((half, name, [("gone", "gone")]))
                told.append(f"{whose} gone")
                continue
            pills = self._pills(row, half)
            text = tuple(words for words, _ in pills)
            if self.drawn.get(key) == text:
                continue
            before = self.drawn.get(key, ())
            self.drawn[key] = text
            news = [pill for pill in pills[1:] if pill[0] not in before]
            moment.states.append((half, name, [pills[0], *news]))
            told.append(f"{whose} {', '.join(text)}")
        if told:
            moment.words += " The kernel then has: " + "; ".join(told) + "."

    def _pills(self, row: dict[str, Any], half: str) -> list[tuple[str, str]]:
        state = row["state"]
        pills = [(SHORT.get(state, state), "state")]
        unread = row["unread"]
        if state == "LISTEN":
            pills.append((f"queue {unread}", "queue" if unread else "plain"))
            return pills
        if (
            half == "right"
            and not row["owned"]
            and state in ("ESTABLISHED", "CLOSE_WAIT")
        ):
            pills[0] = (pills[0][0], "unowned")
            pills.append(("no fd yet", "plain"))
        if state in AFTER_FIN and unread:
            unread -= 1  # the kernel counts an unread FIN as one
            if unread == 0:
                pills.append(("end unread", "bytes"))
        if unread:
            pills.append((f"{_size(unread)} unread", "bytes"))
        if row["unacked"] > 1 or (row["unacked"] and state == "ESTABLISHED"):
            pills.append((f"{_size(row['unacked'])} unacked", "bytes"))
        return pills


_OTHERS = {"loop": "event loop", "library": "library"}
_END = {"left": "client's", "right": "server's"}


def _size(size: int) -> str:
    """Say a number of bytes in at most six characters."""
    if size < 10_000:
        return f"{size} B"
    return f"{size // 1000} kB" if size < 1_000_000 else f"{size / 1e6:.1f} MB"


def _sent(event: Event) -> dict[str, Any]:
    """Give the bytes that a call was to send: sendmsg() takes a list of pieces."""
    first = event["arguments"][0] if event.get("arguments") else None
    given: list[Any] = first if isinstance(first, list) else [first]
    pieces = [piece for piece in given if isinstance(piece, dict)]
    return {
        "bytes": sum(piece["bytes"] for piece in pieces),
        "starts": pieces[0].get("starts", "") if pieces else "",
    }


def _received(event: Event) -> dict[str, Any] | None:
    """Give the bytes that a call received: recvfrom() and recvmsg() return more."""
    if event["call"] not in RECEIVES:
        return None
    result = event.get("result")
    first = result[0] if isinstance(result, list) and result else result
    return first if isinstance(first, dict) and "bytes" in first else None


def _bytes(size: int) -> str:
    return "1 byte" if size == 1 else f"{size} bytes"


def _preview(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    starts = str(data.get("starts", ""))
    return starts if data["bytes"] <= 40 else f"{starts[:20]}…"


def _brief(words: str) -> str:
    """Say what was sent or received where there is little room."""
    return re.sub(r"^HTTP/1\.1 | HTTP/1\.1$| \(deflate\)$", "", words)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


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
    story = _Story(recording, without)
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
                    f"{escape(_short(rest, 16))}</text>"
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
            f'text-anchor="{anchor}">{escape(_short(text, most))}</text>'
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
