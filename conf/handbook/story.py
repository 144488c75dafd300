"""Tell a recording as rows: what each call did, and what the kernel had then.

A recording in, rows in order out: each has the labels and arrows that the timeline
draws, the kernel's sockets with their TCP state (the names that ss prints), the length
of the accept queue and the bytes that nobody has read, and the same in a sentence.
Everything told is in the recording, but for the three segments of the handshake, which
no socket call shows: they stand where a connect() succeeded (RFC 9293 section 3.5).
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from handbook.recordings import EVENT_LOOP

if TYPE_CHECKING:
    from handbook.recordings import Event, Recording

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


class Story:
    """Turns events into rows; knows which socket is which."""

    def __init__(self, recording: Recording, without: frozenset[str]) -> None:
        """Look through a recording; calls named in `without` are left out."""
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
        """Give the number of the lane in which an event stands."""
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
                moment.arrows.append(("send", short(text, 20)))
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


def short(text: str, most: int) -> str:
    """Cut a text to at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
