"""The picture: what is drawn is what was recorded, in lines and in words."""

from __future__ import annotations

import errno
import re
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from handbook import recordings, snippet, timeline

SVG = "{http://www.w3.org/2000/svg}"
SERVER, CLIENT = 50001, 50002


def event(call: str, number: int, **more: Any) -> dict[str, Any]:
    rank = more.pop("at")
    return {
        "lane": more.pop("lane", "program"),
        "line": more.pop("line", rank),
        "call": call,
        "socket": number,
        "fd": number + 2,
        "begin": more.pop("begin", 2 * rank),
        "end": 2 * rank + 1,
        **more,
    }


def row(local: int, peer: int, state: str, **more: Any) -> dict[str, Any]:
    return {
        "local": ["127.0.0.1", local],
        "peer": ["127.0.0.1" if peer else "0.0.0.0", peer],
        "state": state,
        "unacked": 0,
        "unread": more.get("unread", 0),
        "owned": more.get("owned", True),
    }


def recording(*events: dict[str, Any], lanes: tuple[str, ...] = ("program",)) -> Any:
    return recordings.Recording(
        "demo/x", {"": ""}, lanes, events, frozenset(), frozenset()
    )


HERE, THERE = ["127.0.0.1", SERVER], ["127.0.0.1", CLIENT]
LISTENING = row(SERVER, 0, "LISTEN")
EARLY = recording(
    event("listen", 1, at=1, local=HERE, kernel=[LISTENING], seen=3),
    event(
        "connect",
        2,
        at=2,
        local=THERE,
        peer=HERE,
        seen=5,
        kernel=[
            row(SERVER, 0, "LISTEN", unread=1),
            row(SERVER, CLIENT, "ESTABLISHED", owned=False),
            row(CLIENT, SERVER, "ESTABLISHED"),
        ],
    ),
    event(
        "send",
        2,
        at=3,
        arguments=[{"bytes": 5, "starts": "b'early'"}],
        result=5,
        seen=7,
        kernel=[
            row(SERVER, 0, "LISTEN", unread=1),
            row(SERVER, CLIENT, "ESTABLISHED", owned=False, unread=5),
            row(CLIENT, SERVER, "ESTABLISHED"),
        ],
    ),
    event(
        "accept",
        1,
        at=4,
        local=HERE,
        result={"socket": 3, "fd": 5, "local": HERE, "peer": THERE},
        seen=9,
        kernel=[
            LISTENING,
            row(SERVER, CLIENT, "ESTABLISHED", unread=5),
            row(CLIENT, SERVER, "ESTABLISHED"),
        ],
    ),
    event("recv", 3, at=5, result={"bytes": 5, "starts": "b'early'"}),
    event(
        "recv",
        3,
        at=6,
        error={"type": "TimeoutError", "errno": None, "message": "timed out"},
    ),
)


def drawn(made: Any = EARLY, **options: Any) -> tuple[timeline.Timeline, ET.Element]:
    picture = timeline.draw(made, title="A <title> & more", **options)
    return picture, ET.fromstring(picture.svg)


def texts(svg: ET.Element) -> list[str]:
    return ["".join(node.itertext()) for node in svg.iter(f"{SVG}text")]


def test_the_picture_is_well_formed_and_named() -> None:
    _, svg = drawn()
    assert svg.get("aria-label") == "A <title> & more"
    assert svg.get("viewBox", "").split()[2] == str(drawn()[0].width)


def test_one_thread_that_drives_both_ends_has_a_lane_for_each() -> None:
    _, svg = drawn()
    assert {"client", "kernel", "server"} <= set(texts(svg))


def test_a_connection_before_accept_is_dashed_and_then_solid() -> None:
    _, svg = drawn()
    kinds = [node.get("class") for node in svg.iter(f"{SVG}rect")]
    assert kinds.count("tl-unowned") == 2
    assert texts(svg).count("no fd yet") == 1
    assert "queue 1" in texts(svg)
    assert "5 B unread" in texts(svg)


def test_the_words_say_what_the_picture_shows() -> None:
    picture, svg = drawn()
    words = " ".join(said for _, said, _ in picture.words)
    for state in ("ESTAB", "LISTEN", "queue 1", "no fd yet", "5 B unread"):
        assert state in texts(svg)
        assert state in words
    assert "TimeoutError, timed out" in words
    assert "✗ TimeoutError" in texts(svg)
    assert len(picture.words) == len(EARLY.events)


def test_each_event_links_to_its_line() -> None:
    picture, svg = drawn(link=lambda e: f"#x-{e['line']}")
    links = [node.get("href") for node in svg.iter(f"{SVG}a")]
    assert links == [f"#x-{e['line']}" for e in EARLY.events]
    steps = [g.get("data-step") for g in svg.iter(f"{SVG}g") if g.get("data-step")]
    assert steps == [str(number) for number in range(len(EARLY.events))]
    assert [address for _, _, address in picture.words] == links


def test_an_unread_fin_is_not_a_byte() -> None:
    made = recording(
        *EARLY.events[:2],
        event(
            "close",
            3,
            at=3,
            seen=7,
            kernel=[
                row(SERVER, CLIENT, "FIN_WAIT2", owned=False),
                row(CLIENT, SERVER, "CLOSE_WAIT", unread=1),
            ],
        ),
    )
    _, svg = drawn(made)
    assert "end unread" in texts(svg)
    assert not any("1 B" in text for text in texts(svg))


@pytest.mark.parametrize(
    ("later", "sent"),
    [
        ({"result": {"bytes": 0, "starts": "b''"}}, "FIN"),
        (
            {
                "error": {
                    "type": "ConnectionResetError",
                    "errno": "ECONNRESET",
                    "message": "[Errno 104] Connection reset by peer",
                }
            },
            "RST",
        ),
    ],
)
def test_what_a_close_sent_is_what_the_other_end_saw(
    later: dict[str, Any], sent: str
) -> None:
    made = recording(
        *EARLY.events[:4],
        event("close", 3, at=7),
        event("recv", 2, at=8, **later),
    )
    _, svg = drawn(made)
    assert sent in texts(svg)


def test_a_wait_is_drawn_from_its_begin_to_its_end() -> None:
    lanes = ("server", "client")
    made = recording(
        event("listen", 1, at=1, lane="server", local=HERE),
        event(
            "accept",
            1,
            at=4,
            begin=4,
            lane="server",
            blocked=True,
            local=HERE,
            result={"socket": 3, "fd": 5, "local": HERE, "peer": THERE},
        ),
        event("connect", 2, at=3, lane="client", local=THERE, peer=HERE),
        lanes=lanes,
    )
    picture, svg = drawn(made)
    (wait,) = [n for n in svg.iter(f"{SVG}rect") if n.get("class") == "tl-wait"]
    assert float(wait.get("height", 0)) > 40
    assert [said.split(".")[0] for _, said, _ in picture.words][1:3] == [
        "The server calls accept() and waits",
        "The client calls connect() to 127",
    ]


def test_many_connections_are_told_apart_by_the_clients_port() -> None:
    made = recordings.load(snippet.by_id("listening/one_port_many_sockets"))
    _, svg = drawn(made, without=frozenset({"close"}))
    ports = {e["peer"][1] for e in made.events if e["call"] == "accept" and "peer" in e}
    accepted = [e["result"]["peer"][1] for e in made.events if e["call"] == "accept"]
    assert len(accepted) == 3
    for port in accepted:
        assert texts(svg).count(f":{port}") >= 2
    assert not ports
    assert "close()" not in texts(svg)


@pytest.mark.parametrize(
    "path",
    [
        f"{path.parent.parent.name}/{path.stem}"
        for path in snippet.ROOT.glob("snippets/*/recorded/*.json")
    ],
)
def test_every_recording_can_be_drawn_within_its_width(path: str) -> None:
    part, stem = path.split("/")
    server = snippet.ROOT / "snippets" / part / f"{stem}_server.py"
    made = recordings.load(
        snippet.by_id(f"{part}/{server.stem if server.exists() else stem}")
    )
    picture, svg = drawn(made)
    for node in svg.iter(f"{SVG}text"):
        size = 0.62 * 11 * len("".join(node.itertext()))
        x = float(node.get("x", 0))
        left = {"end": x - size, "middle": x - size / 2}.get(
            node.get("text-anchor", "start"), x
        )
        assert left >= -4, "".join(node.itertext())
        assert left + size <= picture.width + 4, "".join(node.itertext())


def test_the_picture_is_not_heavier_than_a_page_of_text() -> None:
    for name in ("sockets/conversation", "listening/connect_no_accept"):
        picture, _ = drawn(recordings.load(snippet.by_id(name)))
        assert len(picture.svg) < 16_000
        assert not re.search(r"\d\.\d{3}", picture.svg)


def test_a_server_that_dials_from_its_own_thread_is_the_client_there() -> None:
    """The arrows of a call stand at the end of its socket, not of its thread."""
    made = recording(
        event("listen", 1, at=1, lane="main", local=HERE),
        event("connect", 2, at=2, lane="main", local=THERE, peer=HERE),
        event(
            "accept",
            1,
            at=3,
            lane="worker",
            local=HERE,
            result={"socket": 3, "fd": 5, "local": HERE, "peer": THERE},
        ),
        lanes=("main", "worker"),
    )
    _, svg = drawn(made)
    syn = next(n for n in svg.iter(f"{SVG}line") if n.get("class") == "tl-segment")
    assert float(syn.get("x1", 0)) < float(syn.get("x2", 0)), "from client to server"


def test_a_datagram_socket_shakes_no_hands() -> None:
    made = recording(
        event("socket", 1, at=1, made=["AF_INET", "SOCK_DGRAM"]),
        event("connect", 1, at=2, local=THERE, peer=HERE),
        event("recv", 1, at=3, result={"bytes": 0, "starts": "b''"}),
    )
    picture, svg = drawn(made)
    assert "SYN" not in texts(svg)
    assert "end" not in texts(svg)
    assert "ended its stream" not in " ".join(said for _, said, _ in picture.words)


@pytest.mark.parametrize("call", ["connect", "accept", "listen"])
def test_what_is_left_out_still_counts_for_who_is_who(call: str) -> None:
    whole, _ = drawn()
    picture, svg = drawn(without=frozenset({call}))
    assert f"{call}()" not in texts(svg)
    kept = [said for _, said, _ in picture.words]
    assert [said.split("()")[0] for said in kept] == [
        said.split("()")[0] for _, said, _ in whole.words if f"{call}()" not in said
    ]


def test_other_calls_that_send_and_receive_are_told_with_their_bytes() -> None:
    piece = {"bytes": 5, "starts": "b'hello'"}
    made = recording(
        *EARLY.events[:2],
        event("sendmsg", 2, at=3, arguments=[[piece, piece]], result=10),
        event("recvfrom", 2, at=4, result=[piece, None]),
        event("connect_ex", 4, at=5, result=111, local=THERE),
    )
    picture, svg = drawn(made)
    said = " ".join(words for _, words, _ in picture.words)
    assert "sendmsg() with 10 bytes" in said
    assert "recvfrom() with 5 bytes" in said
    assert "returns 111, ECONNREFUSED" in said
    assert "✗ ECONNREFUSED" in texts(svg)


def test_a_lane_may_have_any_name() -> None:
    made = recording(
        event("listen", 1, at=1, lane="a <b> & \x01", local=HERE),
        event("connect", 2, at=2, lane="c", local=THERE, peer=HERE),
        lanes=("a <b> & \x01", "c"),
    )
    drawn(made)


def test_a_connect_that_nobody_answers_waits_and_loses_its_syn() -> None:
    made = recording(
        event("listen", 1, at=1, local=HERE),
        event(
            "connect",
            2,
            at=2,
            blocked=True,
            error={"type": "TimeoutError", "errno": None, "message": "timed out"},
        ),
    )
    picture, svg = drawn(made)
    assert "SYN" in texts(svg)
    assert "SYN-ACK" not in texts(svg)
    assert [n for n in svg.iter(f"{SVG}rect") if n.get("class") == "tl-wait"]
    assert "waits" in picture.words[-1][1]


def test_the_last_close_of_a_shared_socket_sends_the_fin() -> None:
    """After fork() a socket has two descriptors, and the first close() ends nothing."""
    ended = {"bytes": 0, "starts": "b''"}
    made = recording(
        *EARLY.events[:4],
        event("close", 3, at=7, line=70),
        event("close", 3, at=8, line=80),
        event("recv", 2, at=9, result=ended),
    )
    _, svg = drawn(made)
    (row,) = [g for g in svg.iter(f"{SVG}g") if "FIN" in texts(g)]
    assert row.get("data-line") == "80"


def test_two_listeners_are_told_apart_by_port_or_by_address() -> None:
    def two(first: list[object], second: list[object]) -> tuple[list[str], str]:
        unheard = {"peer": ["0.0.0.0", 0], "state": "LISTEN", "unacked": 0}
        rows = [
            {**unheard, "local": local, "unread": 0, "owned": True}
            for local in (first, second)
        ]
        made = recording(
            event("listen", 1, at=1, local=first, kernel=rows[:1], seen=3),
            event("listen", 2, at=2, local=second, kernel=rows, seen=5),
        )
        picture, svg = drawn(made)
        return texts(svg), " ".join(said for _, said, _ in picture.words)

    shown, said = two(["127.0.0.1", 50001], ["127.0.0.1", 50002])
    assert {":50001", ":50002"} <= set(shown)
    assert "listening socket (127.0.0.1 port 50002) LISTEN, queue 0" in said
    shown, said = two(["127.0.0.1", 50001], ["127.0.0.2", 50001])
    assert {"127.0.0.1", "127.0.0.2"} <= set(shown)
    assert said.count("LISTEN") == 2, "the same port at two addresses is two sockets"
    shown, _ = two(["127.0.0.1", 50001], ["127.0.0.1", 50001])
    assert ":50001" not in shown, "one listener needs no name"


def test_a_unix_socket_is_told_by_the_name_of_its_file() -> None:
    made = recording(
        event("bind", 1, at=1, arguments=["run/echo.sock"]),
        event("connect", 2, at=2, arguments=["run/echo.sock"]),
        event("connect", 3, at=3, arguments=["\0name"]),
    )
    picture, svg = drawn(made)
    assert texts(svg).count("echo.sock") == 2
    assert "@name" in texts(svg), "a name that is no path"
    assert "connect() to echo.sock" in picture.words[1][1]


@pytest.mark.parametrize(
    "outcome",
    [
        {"call": "connect_ex", "result": errno.EINPROGRESS},
        {
            "call": "connect",
            "error": {
                "type": "BlockingIOError",
                "errno": "EINPROGRESS",
                "message": "Operation now in progress",
            },
        },
    ],
)
def test_a_dial_that_has_begun_is_no_failure(outcome: dict[str, Any]) -> None:
    call = outcome.pop("call")
    picture, svg = drawn(recording(event(call, 1, at=1, **outcome)))
    assert "→ EINPROGRESS" in texts(svg)
    assert "EINPROGRESS" in picture.words[0][1] or "in progress" in picture.words[0][1]
    assert "tl-failed" not in picture.svg
    assert "✗" not in picture.svg


@pytest.mark.parametrize(("kind", "arrows"), [("SOCK_STREAM", 0), ("SOCK_DGRAM", 1)])
def test_nothing_sent_is_a_datagram_but_no_bytes(kind: str, arrows: int) -> None:
    made = recording(
        event("socket", 1, at=1, made=["AF_INET", kind]),
        event("sendall", 1, at=2, arguments=[{"bytes": 0, "starts": "b''"}]),
    )
    _, svg = drawn(made)
    found = [n for n in svg.iter(f"{SVG}line") if n.get("class") == "tl-arrow"]
    assert len(found) == arrows
