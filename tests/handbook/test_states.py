"""The state machine: its arrows are those that the kernel's rows show."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from handbook import recordings, snippet, states

SVG = "{http://www.w3.org/2000/svg}"
HERE, THERE, ANY = ["127.0.0.1", 1], ["127.0.0.1", 2], ["0.0.0.0", 0]


def row(local: list[Any], peer: list[Any], state: str) -> dict[str, Any]:
    return {"local": local, "peer": peer, "state": state}


def event(call: str, number: int, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"call": call, "socket": number, "line": 1, "kernel": list(rows), **more}


TALK = (
    event("listen", 1, row(HERE, ANY, "LISTEN"), local=HERE),
    event(
        "connect",
        2,
        row(HERE, THERE, "ESTABLISHED"),
        row(THERE, HERE, "ESTABLISHED"),
        local=THERE,
        peer=HERE,
    ),
    event("accept", 1, result={"socket": 3, "local": HERE, "peer": THERE}),
    event("shutdown", 3, row(HERE, THERE, "FIN_WAIT2"), row(THERE, HERE, "CLOSE_WAIT")),
    event("close", 2, row(HERE, THERE, "TIME_WAIT"), row(THERE, HERE, "GONE")),
    event("close", 1, row(HERE, ANY, "GONE")),
)


def recording(*events: dict[str, Any], alone: bool = True) -> recordings.Recording:
    nothing: frozenset[int] = frozenset()
    return recordings.Recording(
        "a/b", {"": ""}, ("program",), events, nothing, nothing, alone=alone
    )


def test_each_change_is_a_step_of_its_own_or_by_the_peer() -> None:
    found = [
        (step.before, step.after, step.call) for step in states.steps(recording(*TALK))
    ]
    assert found == [
        ("CLOSED", "LISTEN", "listen()"),
        ("LISTEN", "ESTABLISHED", "peer: connect()"),
        ("CLOSED", "ESTABLISHED", "connect()"),
        ("ESTABLISHED", "FIN-WAIT-2", "shutdown()"),
        ("ESTABLISHED", "CLOSE-WAIT", "peer: shutdown()"),
        ("FIN-WAIT-2", "TIME-WAIT", "peer: close()"),
        ("CLOSE-WAIT", "GONE", "close()"),
        ("LISTEN", "CLOSED", "close()"),
    ]


def test_the_arrows_are_those_of_the_runs_and_link_to_their_lines() -> None:
    machine = states.draw(
        [recording(*TALK)], title="T & t", link=lambda step: f"#{step.call}"
    )
    svg = ET.fromstring(machine.svg)
    links = {a.get("href"): "".join(a.itertext()) for a in svg.iter(f"{SVG}a")}
    assert links["#shutdown()"] == "shutdown()"
    assert links["#peer: connect()"] == "connect()"
    paths = {
        (before, after): path.get("class", "")
        for (before, after, _), path in zip(
            machine.arrows,
            (p for p in svg.iter(f"{SVG}path") if "chart-step" in p.get("class", "")),
            strict=True,
        )
    }
    # What was seen is drawn solid; what the kernel passed through between, dashed.
    unseen = {ends for ends, kind in paths.items() if "chart-unseen" in kind}
    assert unseen == {
        ("CLOSED", "SYN-SENT"),
        ("SYN-SENT", "ESTABLISHED"),
        ("LISTEN", "SYN-RECEIVED"),
        ("SYN-RECEIVED", "ESTABLISHED"),
        ("ESTABLISHED", "FIN-WAIT-1"),
        ("FIN-WAIT-1", "FIN-WAIT-2"),
        ("CLOSE-WAIT", "LAST-ACK"),
        ("LAST-ACK", "GONE"),
    }
    assert paths.keys() - unseen == {
        ("CLOSED", "LISTEN"),
        ("LISTEN", "CLOSED"),
        ("ESTABLISHED", "CLOSE-WAIT"),
        ("FIN-WAIT-2", "TIME-WAIT"),
    }
    assert "chart-passive" in paths["ESTABLISHED", "CLOSE-WAIT"]
    assert "chart-passive" not in paths["CLOSED", "SYN-SENT"]
    assert "chart-passive" in paths["SYN-SENT", "ESTABLISHED"], "the peer's answer"
    drawn = [a.findall(f"{SVG}path") for a in svg.iter(f"{SVG}a")]
    assert sum(map(len, drawn)) == len(paths), "an arrow without a link"
    assert all(made for _, _, made in machine.arrows)
    assert "chart-passive" not in paths["ESTABLISHED", "FIN-WAIT-1"]
    boxes = {
        text.text: kind
        for text in svg.iter(f"{SVG}text")
        if (kind := text.get("class", "")).startswith(("tl-state", "tl-unowned"))
    }
    assert len(boxes) == 11, "the eleven states of RFC 9293"
    assert boxes["CLOSING"] == "tl-unowned-label", "no run came there"
    assert boxes["TIME-WAIT"] == "tl-state-label"


def test_a_run_of_several_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="a/b has several threads or processes"):
        states.steps(recording(*TALK, alone=False))


def test_a_run_without_a_change_is_refused() -> None:
    with pytest.raises(ValueError, match="no change of state"):
        states.draw([recording()], title="T")


def test_what_is_drawn_stays_within_the_picture() -> None:
    made = recordings.load(snippet.by_id("reference/every_tcp_state"))
    svg = ET.fromstring(states.draw([made], title="T").svg)
    for box in svg.iter(f"{SVG}rect"):
        assert float(box.get("x", 0)) >= 0
        right = float(box.get("x", 0)) + float(box.get("width", 0))
        assert right <= states.WIDTH
        bottom = float(box.get("y", 0)) + float(box.get("height", 0))
        assert bottom <= states.HEIGHT
