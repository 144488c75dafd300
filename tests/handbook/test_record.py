"""Recording: what is seen, what is refused, and what counts as the same."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook import assemble, compare, record, recordings
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from handbook.snippet import Snippet

    Write = Callable[..., Snippet]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="recordings are made on Linux"),
    pytest.mark.usefixtures("any_conduct"),
]

DECLARED = "\n\n        Varies: send() -> {int} of\n        "
TALK = '''
    """Both ends of one connection."""

    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        with socket.create_connection(listener.getsockname(), timeout=5) as client:
            client.sendall(b"hello")
            conn, peer = listener.accept()
            with conn:
                print("peer", peer, "local", client.getsockname())
                print(conn.recv(16))
'''


def calls(made: recordings.Recording, lane: str | None = None) -> list[str]:
    return [e["call"] for e in made.events if lane in (None, e["lane"])]


def test_each_call_is_seen_with_its_line_and_result(program: Write) -> None:
    made = record.run(program(TALK))
    assert calls(made) == [
        *("socket", "setsockopt", "bind", "listen", "socket", "connect"),
        *("sendall", "accept", "recv", "close", "close", "close"),
    ]
    accept = next(e for e in made.events if e["call"] == "accept")
    assert accept["line"] == 9
    assert accept["result"]["peer"][1] in made.ports
    received = next(e for e in made.events if e["call"] == "recv")
    assert received["result"] == {"bytes": 5, "starts": "b'hello'"}
    assert made.lanes == ("program",)


def test_the_kernel_is_read_after_each_call(program: Write) -> None:
    made = record.run(program(TALK))
    sent = next(e for e in made.events if e["call"] == "sendall")
    waiting = [row for row in sent["kernel"] if row["unread"] == 5]
    assert len(waiting) == 1
    assert waiting[0]["state"] == "ESTABLISHED"
    assert waiting[0]["owned"] is False
    dialled = next(e for e in made.events if e["call"] == "connect")
    listener = next(row for row in dialled["kernel"] if row["state"] == "LISTEN")
    assert listener["unread"] == 1
    assert len(sent["kernel"]) == 1, "only what changed is kept"
    assert [row["state"] for row in made.events[-1]["kernel"]] == ["GONE"]


def test_without_netlink_the_table_is_read_and_says_the_same(
    program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = program(TALK)
    by_address = record.run(asked)
    blocked = (
        f"import sys; sys.path.append({str(record.TRACED)!r})\n"
        "import pathlib, socket\n"
        "if hasattr(socket, 'AF_NETLINK'):\n    del socket.AF_NETLINK\n"
        f"exec(pathlib.Path({str(record.TRACED / 'sitecustomize.py')!r}).read_text())\n"
    )
    folder = asked.root / "traced"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(blocked)
    monkeypatch.setattr(record, "TRACED", folder)
    assert compare.diff(by_address, record.run(asked), asked) == ""


def test_the_tracer_takes_no_low_descriptor(program: Write) -> None:
    made = record.run(program(TALK))
    assert [e["fd"] for e in made.events if e["call"] == "socket"] == [3, 4]


def test_two_runs_mean_the_same(program: Write) -> None:
    read = program(TALK)
    first, second = record.run(read), record.run(read)
    assert first.transcripts != second.transcripts or first.ports == second.ports
    assert compare.diff(first, second, read) == ""


def test_an_equal_recording_is_left_untouched(program: Write) -> None:
    read = program(TALK)
    written = record.save(read, record.run(read))
    assert [path.name for path in written] == ["example.txt", "example.json"]
    before = [path.read_bytes() for path in written]
    assert record.save(read, record.run(read)) == []
    assert [path.read_bytes() for path in written] == before
    assert recordings.load(read).transcripts == {"": written[0].read_text()}


def test_identity_is_kept_by_the_map(program: Write) -> None:
    """The client's local port is the server's peer port; another one is not equal."""
    read = program(TALK)
    made = record.run(read)
    text = made.transcripts[""]
    peer = text.split("'127.0.0.1', ")[1].split(")")[0]
    other = next(port for port in made.ports if str(port) != peer)
    wrong = text.replace(f"peer ('127.0.0.1', {peer})", f"peer ('127.0.0.1', {other})")
    assert wrong != text
    changed = dataclasses.replace(made, transcripts={"": wrong})
    assert "output" in compare.diff(made, changed, read)


def test_a_number_that_is_no_port_is_not_mapped(program: Write) -> None:
    read = program(TALK)
    made = record.run(read)
    free = next(n for n in range(40000, 41000) if n not in made.ports)
    one = dataclasses.replace(made, transcripts={"": f"{free} bytes\n"})
    two = dataclasses.replace(made, transcripts={"": f"{free + 1} bytes\n"})
    assert compare.diff(one, two, read)


def test_a_changed_call_is_a_difference_with_its_line(program: Write) -> None:
    made = record.run(program(TALK))
    changed = program(TALK.replace("conn.recv(16)", "conn.recv(32)"))
    difference = compare.diff(made, record.run(changed), changed)
    assert "-line 12: recv([16])" in difference
    assert "+line 12: recv([32])" in difference


def test_what_varies_undeclared_is_refused_and_declared_is_not(program: Write) -> None:
    varying = '''
        """Prints what differs.{declared}"""

        import os

        print("key", os.urandom(8).hex(), "made")
    '''
    with pytest.raises(Problem, match="two runs differ") as caught:
        record.record(program(varying.format(declared="")))
    assert "+key " in str(caught.value)
    declared = program(
        varying.format(declared="\n\n        Varies: key {hex} made\n        ")
    )
    made = record.record(declared)
    (mark,) = compare.marks(made.transcripts[""], made, declared.varies)
    assert mark.name == "<hex>"
    assert made.transcripts[""][mark.start : mark.end] in made.transcripts[""].split()


@pytest.mark.parametrize("declared", [True, False])
def test_what_is_declared_of_a_calls_result_is_declared_of_the_call(
    program: Write, *, declared: bool
) -> None:
    read = program(f'''
        """Sends more than there is room for.{DECLARED * declared}"""

        import socket

        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)
            client = socket.create_connection(listener.getsockname(), timeout=5)
            server, _ = listener.accept()
        with client, server:
            client.settimeout(0)
            print("send() ->", client.send(bytes(50_000_000)), "of 50000000")
    ''')
    here = record.run(read)

    def elsewhere(event: dict[str, Any]) -> dict[str, Any]:
        """Let another kernel have taken other numbers of bytes."""
        if event["call"] != "send":
            return event
        rows = [
            {**row, "unread": row["unread"] and row["unread"] + 1}
            for row in event["kernel"]
        ]
        return {**event, "result": event["result"] + 1, "kernel": rows}

    there = dataclasses.replace(
        here,
        transcripts={"": "send() -> 4 of 50000000\n"},
        events=tuple(map(elsewhere, here.events)),
    )
    assert here.alone
    assert bool(compare.diff(here, there, read)) is not declared


@pytest.mark.parametrize("printed", ["f'size {n:<9}here'", "f'{n:>9} is the size'"])
def test_the_blanks_around_a_number_that_varies_are_not_compared(
    program: Write, printed: str
) -> None:
    read = program(f'''
        """Prints a table.

        Varies: {"size {int}" if "size {" in printed else "{int} is the size"}
        """

        n = 131_072
        print({printed})
    ''')
    here = record.run(read)
    text = here.transcripts[""].replace("131072", "65536")
    wider = ("65536", " 65536") if ">9" in printed else ("65536", "65536 ")
    padded = text.replace(*wider)
    there = dataclasses.replace(here, transcripts={"": padded})
    assert compare.diff(here, there, read) == ""
    other = dataclasses.replace(here, transcripts={"": padded.replace("size", "s ize")})
    assert compare.diff(here, other, read)


def test_threads_are_lanes_with_their_names(program: Write) -> None:
    made = record.run(
        program('''
            """Two threads."""

            import socket
            import threading

            here, there = socket.socketpair()
            reading = threading.Thread(target=lambda: there.recv(9), name="reader")
            with here, there:
                reading.start()
                here.sendall(b"x")
                reading.join()
        ''')
    )
    assert set(made.lanes) == {"program", "reader"}
    assert calls(made, "reader") == ["recv"]


def test_forked_and_started_children_are_lanes(program: Write) -> None:
    made = record.run(
        program('''
            """Two kinds of child."""

            import os
            import socket
            import subprocess
            import sys

            if len(sys.argv) > 1:
                with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5):
                    sys.exit()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                port = listener.getsockname()[1]
                child = os.fork()
                if child == 0:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                    os._exit(0)
                listener.settimeout(5)
                listener.accept()[0].close()
                os.waitpid(child, 0)
                again = subprocess.Popen([sys.executable, __file__, str(port)])
                listener.accept()[0].close()
                again.wait(5)
        ''')
    )
    assert sorted(made.lanes) == ["client", "client 2", "server"]
    assert calls(made, "client") == ["socket", "connect", "close"]


def test_a_wait_is_seen_and_what_ended_it(program: Write) -> None:
    made = record.run(
        program('''
            """A time-out."""

            import socket

            here, there = socket.socketpair()
            with here, there:
                here.settimeout(0.05)
                try:
                    here.recv(1)
                except TimeoutError:
                    print("timed out")
        ''')
    )
    waited = next(e for e in made.events if e["call"] == "recv")
    assert waited["blocked"] is True
    assert waited["error"]["type"] == "TimeoutError"


FAULTS = {
    "hangs": (
        '''
        """Never ends."""

        import socket

        here, there = socket.socketpair()
        here.recv(1)
        ''',
        [
            "still running after 2 s",
            "waiting in recv() at snippets/demo/example.py:6 in MainThread",
            "bound every blocking call with a time-out",
        ],
    ),
    "exits": (
        '''
        """Fails."""

        raise SystemExit("no good")
        ''',
        ["ended with status 1: no good", "python snippets/demo/example.py"],
    ),
    "reads the keyboard": (
        '''
        """Asks."""

        input("your name? ")
        ''',
        [
            "reads the keyboard, and nobody types",
            "put what it asks for into the program",
        ],
    ),
    "warns": (
        '''
        """Warns."""

        import warnings

        warnings.warn("old", DeprecationWarning, stacklevel=1)
        ''',
        ["the program warned:", "DeprecationWarning: old"],
    ),
    "leaks": (
        '''
        """Leaves a socket open until the interpreter ends."""

        import socket

        kept = socket.socket()
        ''',
        ["example.py:5: the socket made here is never closed", "with statement"],
    ),
    "drops": (
        '''
        """Drops an open socket."""

        import socket

        socket.socket()
        ''',
        ["the program warned:", "ResourceWarning: unclosed"],
    ),
    "abandons": (
        '''
        """Leaves a child behind."""

        import subprocess
        import sys

        subprocess.Popen(
            [sys.executable, "-c", "import signal; signal.pause()"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ).returncode = 0
        ''',
        ["nobody waited for the child", "wait for every child"],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_program_that_misbehaves_is_refused(program: Write, fault: str) -> None:
    source, says = FAULTS[fault]
    with pytest.raises(Problem) as caught:
        record.run(program(source), timeout=2 if fault == "hangs" else 20)
    for words in says:
        assert words in str(caught.value)


def test_a_pair_is_run_together_and_has_a_transcript_each(program: Write) -> None:
    program(
        '''
        """The other end."""

        import socket
        import sys

        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as client:
            print("got", client.recv(16))
        ''',
        "demo/greet_client",
    )
    server = program(
        '''
        """Greets.

        Pair: server = greet_server.py
        Pair: client = greet_client.py {port}
        Port: on port {port}
        """

        import socket

        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)
            print("on port", listener.getsockname()[1], flush=True)
            try:
                while True:
                    with listener.accept()[0] as conn:
                        conn.sendall(b"welcome")
            except KeyboardInterrupt:
                print("stopped")
        ''',
        "demo/greet_server",
    )
    made = record.record(server, times=2)
    assert made.transcripts["client"] == "got b'welcome'\n"
    assert made.transcripts["server"].endswith("stopped\n")
    assert set(made.lanes) == {"server", "client"}
    names = {path.name for path in record.save(server, made)}
    assert names == {"greet.server.txt", "greet.client.txt", "greet.json"}


def test_a_pair_that_never_says_its_port_is_told_what_it_said(program: Write) -> None:
    silent = program('''
        """Says nothing of a port.

        Pair: server = example.py
        Port: on port {port}
        """

        print("hello")
    ''')
    with pytest.raises(
        Problem, match=r"never printed 'on port \{port\}'; it printed: he"
    ):
        record.run(silent)


def test_without_a_recording_the_command_is_named(program: Write) -> None:
    with pytest.raises(Problem, match="make record S=demo/example"):
        recordings.load(program(TALK))


def test_a_recording_of_another_format_is_refused(program: Write) -> None:
    read = program(TALK)
    record.save(read, record.run(read))
    path = recordings.paths(read)["events"]
    data = json.loads(path.read_text()) | {"format": 0}
    path.write_text(json.dumps(data))
    with pytest.raises(Problem, match="format 0"):
        recordings.load(read)


def recorded_twice(program: Write, source: str) -> recordings.Recording:
    return record.record(program(source), times=2)


def test_a_socket_that_cannot_be_made_is_an_error_of_the_program(
    program: Write,
) -> None:
    made = recorded_twice(
        program,
        '''
        """No such family."""

        import socket

        try:
            socket.socket(99)
        except OSError as error:
            print(error)
        ''',
    )
    assert (
        made.transcripts[""] == "[Errno 97] Address family not supported by protocol\n"
    )
    assert made.events[0]["error"]["errno"] == "EAFNOSUPPORT"


def test_what_a_buffer_held_before_a_call_is_not_published(program: Write) -> None:
    made = recorded_twice(
        program,
        '''
        """A file around a socket."""

        import socket

        here, there = socket.socketpair()
        with here, there, there.makefile("rb") as lines:
            here.sendall(b"one line\\n")
            print(lines.readline())
        ''',
    )
    received = next(e for e in made.events if e["call"] == "recv_into")
    assert received["arguments"] == [io.DEFAULT_BUFFER_SIZE]
    assert received["result"]["starts"] == repr(b"one line\n")


def test_what_python_and_its_libraries_choose_is_no_difference(
    program: Write,
) -> None:
    """Two Pythons differ in the size of a file's buffer, libffi keeps a descriptor."""
    words = '''
        """A file around a socket."""

        import os
        import socket

        {before}
        with socket.create_server(("127.0.0.1", 0)) as listener:
            with socket.create_connection(listener.getsockname(), 5) as client:
                server, _ = listener.accept()
                with server, client.makefile("rb", {size}) as lines:
                    server.sendall(b"one line\\n")
                    print(lines.readline())
    '''

    def told(size: int, before: str = "") -> object:
        read = program(words.format(size=size, before=before))
        return compare.masked(record.run(read), read)

    assert told(8192) == told(131_072)
    assert told(8192) != told(1024)
    assert told(8192) == told(8192, "kept = os.open(os.devnull, os.O_RDONLY)")


def test_a_port_inside_a_message_is_named_too(program: Write) -> None:
    recorded_twice(
        program,
        '''
        """Says a port over the wire."""

        import socket

        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            with socket.create_connection(address, timeout=5) as client:
                client.sendall(b"Host: 127.0.0.1:%d" % address[1])
                with listener.accept()[0] as conn:
                    print(conn.recv(99) == b"Host: 127.0.0.1:%d" % address[1])
        ''',
    )


def test_the_other_end_need_not_be_one_of_ours(program: Write) -> None:
    recorded_twice(
        program,
        '''
        """Accepts a stranger."""

        import socket
        import subprocess
        import sys

        CLIENT = "import socket, sys; "
        CLIENT += "socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)
            port = str(listener.getsockname()[1])
            with subprocess.Popen([sys.executable, "-c", CLIENT, port]):
                conn, peer = listener.accept()
                with conn:
                    print("peer", peer)
        ''',
    )


def test_calls_of_a_signal_handler_are_seen(program: Write) -> None:
    made = recorded_twice(
        program,
        '''
        """Dials from a signal handler, while accept() waits."""

        import signal
        import socket

        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            listener.settimeout(5)

            def dial(*_):
                socket.create_connection(address, timeout=5).close()

            signal.signal(signal.SIGALRM, dial)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            listener.accept()[0].close()
        ''',
    )
    assert calls(made).count("connect") == 1


@pytest.mark.parametrize("limit", [20, 64, 300])
def test_few_descriptors_are_enough_and_the_first_is_still_3(
    program: Write, limit: int
) -> None:
    made = recorded_twice(
        program,
        f'''
        """Has few descriptors, and a child that has as few."""

        import os
        import resource
        import socket
        import subprocess
        import sys

        if len(sys.argv) == 1:
            resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
            subprocess.run([sys.executable, __file__, "again"], check=True)
        else:
            with socket.socket() as sock:
                print("descriptor", sock.fileno())
        ''',
    )
    assert made.transcripts[""] == "descriptor 3\n"


def test_a_program_may_close_every_descriptor_it_finds(program: Write) -> None:
    made = recorded_twice(
        program,
        '''
        """Closes all."""

        import os
        import socket

        os.closerange(3, 4096)
        with socket.create_server(("127.0.0.1", 0)):
            print("open")
        ''',
    )
    assert calls(made)[-1] == "close"
    assert any("kernel" in event for event in made.events)


def test_a_port_chosen_by_hand_is_compared(program: Write) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    source = '''
        """Binds a port of its choice."""

        import socket

        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", PORT))
            listener.listen()
            print("port", PORT)
    '''
    read = program(source.replace("PORT", str(port)))
    made = record.run(read)
    assert made.ports == frozenset()
    assert compare.marks(made.transcripts[""], made, read.varies) == []


def test_line_endings_and_the_order_of_sockets_count(program: Write) -> None:
    source = '''
        """Closes two sockets, one after the other."""

        import socket

        a, b = socket.socket(), socket.socket()
        for sock in (a, b):
            sock.close()
        print("a"END)
    '''
    plain = program(source.replace("END", ""))
    made = record.run(plain)
    again = program(source.replace("END", ', end=""'))
    assert compare.diff(made, record.run(again), again)
    swapped = program(source.replace("END", "").replace("(a, b):", "(b, a):"))
    assert "socket 2" in compare.diff(made, record.run(swapped), swapped)
    crlf = program(source.replace("END", ', end="\\r\\n"'))
    assert record.save(crlf, record.run(crlf))
    assert record.save(crlf, record.run(crlf)) == []


def test_a_long_message_is_compared_to_its_end(program: Write) -> None:
    source = '''
        """Sends more than is shown."""

        import socket

        here, there = socket.socketpair()
        with here, there:
            here.sendall(b"x" * 50 + b"END")
            there.recv(99)
    '''
    read = program(source)
    made = record.run(read)
    other = program(source.replace("END", "AND"))
    assert "crc" in compare.diff(made, record.run(other), other)


def test_a_program_that_is_wrong_on_purpose_is_held_to_how_it_ends(
    program: Write,
) -> None:
    source = '''
        """Fails."""

        raise SystemExit("Address already in use")
    '''
    wrong = program(source, "demo/wrong_end")
    made = record.record(wrong, times=2)
    record.save(wrong, made)
    assert recordings.load(wrong).ends == ("1 Address already in use",)
    mended = program(source.replace("already", "never"), "demo/wrong_end")
    assert compare.diff(made, record.run(mended), mended)


def test_no_place_of_this_machine_is_published(program: Write) -> None:
    with pytest.raises(Problem, match="a place on this machine"):
        record.run(
            program('''
                """Prints where it is."""

                print(__file__)
            ''')
        )


@pytest.mark.parametrize("damage", ["", "[]", "<<<<<<< HEAD\n{}", "{}"])
def test_a_damaged_recording_is_named_and_made_anew(
    program: Write, damage: str
) -> None:
    read = program(TALK)
    made = record.run(read)
    record.save(read, made)
    recordings.paths(read)["events"].write_text(damage)
    with pytest.raises(Problem, match=r"cannot be read: .*") as caught:
        recordings.load(read)
    assert "make record S=demo/example" in str(caught.value)
    assert record.save(read, made)
    assert recordings.load(read).events == made.events


def test_a_helper_of_python_may_end_a_little_later(program: Write) -> None:
    recorded_twice(
        program,
        '''
        """A child started anew."""

        import multiprocessing


        def work() -> None:
            print("worked", flush=True)


        if __name__ == "__main__":
            child = multiprocessing.get_context("spawn").Process(target=work)
            child.start()
            child.join()
        ''',
    )


def test_a_socket_that_a_child_inherits_is_the_same_socket(program: Write) -> None:
    made = recorded_twice(
        program,
        '''
        """Parent and child close one socket."""

        import os
        import socket

        here, there = socket.socketpair()
        child = os.fork()
        if child == 0:
            here.close()
            with socket.socket() as own:
                own.close()
            os._exit(0)
        os.waitpid(child, 0)
        here.close()
        there.close()
        ''',
    )
    closed = [e["socket"] for e in made.events if e["call"] == "close"]
    assert closed[0] == closed[2]
    assert len(set(closed)) == 3


IN_A_DIRECTORY = '''
    """A UNIX socket in a directory of its own."""

    import socket
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/echo.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with listener, client:
            listener.settimeout(5)
            client.settimeout(5)
            listener.bind(path)
            listener.listen()
            client.connect(path)
            conn, peer = listener.accept()
            with conn:
                client.sendall(b"hello")
                print(conn.recv(16), repr(peer), "at", path, "in", folder)
'''


def test_a_temporary_directory_is_named(program: Write) -> None:
    snippet = program(IN_A_DIRECTORY)
    one, two = record.run(snippet), record.run(snippet)
    assert one.transcripts != two.transcripts
    assert compare.masked(one, snippet) == compare.masked(two, snippet)
    said = compare.masked(one, snippet)["transcripts"][""]
    assert said == "b'hello' '' at <directory 1>/echo.sock in <directory 1>\n"
    marks = compare.marks(one.transcripts[""], one, snippet.varies)
    assert [mark.why.partition(":")[0] for mark in marks] == [
        "a temporary directory",
        "a temporary directory",
    ]


def test_another_place_than_the_temporary_directory_is_compared(
    program: Write,
) -> None:
    snippet = program(IN_A_DIRECTORY)
    one = record.run(snippet)
    moved = dataclasses.replace(
        one, transcripts={"": one.transcripts[""].replace("/echo.sock", "/other.sock")}
    )
    assert "other.sock" in compare.diff(one, moved, snippet)


def test_a_run_in_which_one_port_was_picked_twice_is_repeated(
    program: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    snippet = program(TALK)
    fine = record.run_once(snippet)
    dials = next(e for e in fine.events if e["call"] == "connect")
    binds = next(e for e in fine.events if e["call"] == "bind")
    port = binds["local"][1]
    same = {**dials, "local": ["127.0.0.1", port]}
    bad = dataclasses.replace(
        fine, events=tuple(same if e is dials else e for e in fine.events)
    )
    assert assemble.picked_twice(bad)
    assert not assemble.picked_twice(fine)
    runs = [bad, bad, fine, bad]
    monkeypatch.setattr(record, "run_once", lambda *_, **__: runs.pop(0))
    assert record.run(snippet) is fine
    assert runs == [bad]
    runs = [bad] * record.TRIES
    assert record.run(snippet) is bad, "it may be what the program is about"


BOUND_TWICE = '''
    """A port is picked once, and then bound again by its number."""

    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        address = one.getsockname()
    with socket.socket() as two:
        two.bind(address)
'''


def test_a_port_that_a_program_names_again_is_not_picked_twice(program: Write) -> None:
    assert not assemble.picked_twice(record.run_once(program(BOUND_TWICE)))


FLAGS = '''
    """A call with flags."""

    import socket

    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"ab")
        print(other.recv(2, socket.MSG_PEEK | socket.MSG_WAITALL))
'''


def test_flags_are_recorded_as_numbers(program: Write) -> None:
    made = record.run(program(FLAGS))
    peek = next(event for event in made.events if event["call"] == "recv")
    assert peek["arguments"] == [2, int(socket.MSG_PEEK | socket.MSG_WAITALL)]


LAUNCHES = '''
    """Has a browser that starts at the second try.

    Needs: chromium
    """

    import sys
    from pathlib import Path

    tries = Path("tries")
    first = not tries.exists()
    tries.write_text("")
    if first or {always}:
        sys.exit("chromium did not start: no room for its profile")
    print("the browser is there")
'''


def test_a_run_whose_browser_did_not_start_is_repeated(
    program: Callable[..., Snippet],
) -> None:
    made = record.run(program(LAUNCHES.replace("{always}", "False")))
    assert made.transcripts == {"": "the browser is there\n"}
    with pytest.raises(Problem, match="chromium did not start: no room for its"):
        record.run(program(LAUNCHES.replace("{always}", "True"), "demo/never"))


def test_a_browser_has_a_home_of_its_own(
    program: Callable[..., Snippet],
) -> None:
    told = '"""Tells.\n{needs}"""\n\nimport os\n\nprint(os.environ["HOME"])\n'
    there = program(told.replace("{needs}", "\nNeeds: chromium\n"), "demo/there")
    alone = program(told.replace("{needs}", ""), "demo/alone")
    said = [record.run(each).transcripts[""].strip() for each in (there, alone)]
    assert said[0] != os.environ["HOME"] == said[1]
    assert not Path(said[0]).exists()
