"""The framed server and client do what their docstrings say, whoever the peer is.

Each test runs the programs themselves, as processes, with every warning on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import processes
from patience import BRIEF, PATIENCE
from processes import SNIPPETS, WITHOUT_A_THREAD, Running, command, receive, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STREAMS = SNIPPETS / "streams"
PROGRAM = "streams/framed_server.py"
SERVER = command(PROGRAM)
CLIENT = command("streams/framed_client.py")
NO_LINGER = struct.pack("ii", 1, 0)  # close() sends RST (socket(7))
BAD_PORTS = ["-1", "65536", "70000", "abc", "", " 80", "8_0", "٨٠"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


@contextlib.contextmanager
def running(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[Running]:
    """Run the server for the length of a with block."""
    with processes.running(PROGRAM, *arguments, prefix=prefix) as server:
        yield server


def framed(message: bytes) -> bytes:
    """Return a message as the protocol has it, made here once more."""
    return struct.pack(">I", len(message)) + message


def next_answer(sock: socket.socket) -> bytes:
    return receive(sock, struct.unpack(">I", receive(sock, 4))[0])


def assert_serves(server: Running) -> None:
    """Fail unless the server still answers a new client."""
    with server.connect() as client:
        client.sendall(framed(b"still there?"))
        assert next_answer(client) == b"+STILL THERE?"


def assert_one_line(text: str) -> None:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text


# Messages, however they are cut


def test_messages_are_answered() -> None:
    with running() as server:
        command = [*CLIENT, "--port", str(server.port), "hello", "two words", "", "é"]
        assert run(command) == (0, "HELLO\nTWO WORDS\n\né\n", "")
        assert server.wait_for("^left: .* 4 answered, it closed$")


def test_lines_of_input_are_answered() -> None:
    with running() as server:
        answer = run([*CLIENT, "--port", str(server.port)], b"one\ntwo\r\n\nno end")
        assert answer == (0, "ONE\nTWO\n\nNO END\n", "")


def test_a_message_may_come_byte_by_byte() -> None:
    with running() as server, server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(b"drip") + framed(b"") + framed(b"drop"):
            client.sendall(bytes([byte]))
        answers = [next_answer(client) for _ in range(3)]
        assert answers == [b"+DRIP", b"+", b"+DROP"]


def test_many_messages_may_come_at_once() -> None:
    with running() as server, server.connect() as client:
        messages = [b"message %d" % number for number in range(1000)]
        client.sendall(b"".join(map(framed, messages)))
        for message in messages:
            assert next_answer(client) == b"+" + message.upper()


def test_a_client_may_end_its_half_and_still_read() -> None:
    with running() as server, server.connect() as client:
        client.sendall(framed(b"last words"))
        client.shutdown(socket.SHUT_WR)
        assert next_answer(client) == b"+LAST WORDS"
        assert client.recv(1) == b""


def test_the_longest_message_passes_and_one_byte_more_does_not() -> None:
    with running() as server:
        with server.connect() as client:
            longest = b"x" * 1_048_576
            client.sendall(framed(longest))
            assert next_answer(client) == b"+" + longest.upper()
            client.sendall(struct.pack(">I", 1_048_577))
            assert next_answer(client).startswith(b"-1048577 bytes, at most 1048576")
            assert client.recv(1) == b""
        server.wait_for("^left: .* 1 answered, refused: 1048577 bytes")


# Hostile and broken peers


@linux
def test_a_length_bomb_is_refused_at_once() -> None:
    with running() as server:
        assert_serves(server)
        before = server.status("VmHWM")
        with server.connect() as client:
            client.sendall(b"\xff\xff\xff\xff")
            assert next_answer(client).startswith(b"-4294967295 bytes")
        server.wait_for("^left: .* 0 answered, refused: 4294967295 bytes, at most")
        assert server.status("VmHWM") - before < 4_000  # kB
        assert_serves(server)


def test_a_refused_client_can_read_why_while_it_sends() -> None:
    with running("--max-size", "100") as server:
        with server.connect() as client:
            # The server refuses after 4 bytes, with megabytes on their way.
            client.sendall(framed(b"x" * 5_000_000))
            client.shutdown(socket.SHUT_WR)
            assert next_answer(client) == b"-5000000 bytes, at most 100 are allowed"
            assert client.recv(1) == b""
        assert_serves(server)


def test_who_sends_on_after_a_refusal_is_cut_off() -> None:
    with running("--max-size", "100") as server, server.connect() as client:
        client.sendall(b"\xff\xff\xff\xff")
        begin = time.monotonic()
        with contextlib.suppress(ConnectionError, TimeoutError):
            while time.monotonic() - begin < PATIENCE:
                client.sendall(bytes(100_000))
        assert time.monotonic() - begin < PATIENCE
        server.wait_for("^left: .* 0 answered, refused")


def test_a_browser_is_refused() -> None:
    with running() as server, server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert next_answer(client).startswith(b"-1195725856 bytes")


@pytest.mark.parametrize("sent", [b"\x00", b"\x00\x00\x00\x05", b"\x00\x00\x00\x05hel"])
def test_half_a_message_is_told(sent: bytes) -> None:
    with running() as server:
        with server.connect() as client:
            client.sendall(framed(b"whole") + sent)
            client.shutdown(socket.SHUT_WR)
            assert next_answer(client) == b"+WHOLE"
            assert client.recv(1) == b""
        line = f"^left: .* 1 answered, ended {len(sent)} bytes into a message$"
        server.wait_for(line)
        assert_serves(server)


def test_a_silent_client_is_cut_off_and_the_others_are_not() -> None:
    with running("--timeout", str(BRIEF)) as server, server.connect() as silent:
        server.wait_for("^joined")
        assert silent.recv(1) == b""
        server.wait_for(f"^left: .* 0 answered, too slow: waited {BRIEF} seconds$")
        assert_serves(server)


def test_who_drips_has_no_more_time_than_others() -> None:
    with running("--timeout", str(BRIEF)) as server, server.connect() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.monotonic()
        client.sendall(struct.pack(">I", 10_000))
        cut = threading.Event()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begin < PATIENCE:
                client.sendall(b"x")
                cut.wait(0.05)  # waits: a byte every so often, below the time-out
        assert time.monotonic() - begin < PATIENCE
        server.wait_for(f"^left: .* 0 answered, too slow: waited {BRIEF} seconds$")


def test_who_takes_no_answers_is_cut_off() -> None:
    with running("--timeout", str(BRIEF)) as server:
        with server.connect() as deaf:
            deaf.settimeout(0)
            question = framed(b"x" * 1_000_000)
            sent = 0
            begin = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while time.monotonic() - begin < PATIENCE:
                    with contextlib.suppress(BlockingIOError):
                        at = sent % len(question)
                        sent += deaf.send(question[at : at + 65_536])
            assert time.monotonic() - begin < PATIENCE
            server.wait_for(f"^left: .*too slow: waited {BRIEF} seconds$")
        assert_serves(server)


def test_a_reset_hurts_nobody_else() -> None:
    with running() as server:
        with server.connect() as rude:
            server.wait_for("^joined")
            rude.sendall(b"\x00\x00")
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        server.wait_for("^left: .*reset")
        assert_serves(server)


# Many clients, and the end


def test_many_clients_at_once() -> None:
    with running() as server, ExitStack() as opened:
        clients = [opened.enter_context(server.connect()) for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(framed(b"i am %03d" % number)[:-1])
        for number, client in reversed(list(enumerate(clients))):
            client.sendall(b"%d" % (number % 10))
            assert next_answer(client) == b"+I AM %03d" % number


def test_the_number_of_clients_is_bounded() -> None:
    with running("--max-clients", "2") as server, ExitStack() as opened:
        first, _second = (opened.enter_context(server.connect()) for _ in range(2))
        server.wait_for("^joined")
        server.wait_for("^joined")
        third = opened.enter_context(server.connect())  # the kernel connects it
        third.sendall(framed(b"my turn?"))
        third.settimeout(0.7)  # waits: nothing may come while the two are there
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(PATIENCE)
        assert next_answer(third) == b"+MY TURN?"


def test_a_client_for_whom_there_is_no_thread_is_let_go_and_the_next_is_served() -> (
    None
):
    with running("--max-clients", "1", prefix=WITHOUT_A_THREAD) as server:
        with server.connect() as client:
            server.wait_for("^cannot serve.*: can't start new thread$")
            assert client.recv(1) == b""
        assert_serves(server)


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    long = ("--timeout", str(5 * PATIENCE))
    with (
        running(*long) as server,
        server.connect() as idle,
        server.connect() as half,
    ):
        server.wait_for("^joined")
        server.wait_for("^joined")
        idle.sendall(framed(b"hello"))
        assert next_answer(idle) == b"+HELLO"
        half.sendall(b"\x00\x00")
        begin = time.monotonic()
        assert server.end(number) == (0, "")
        assert time.monotonic() - begin < PATIENCE
        assert server.lines.count(f"stopped by {number.name}") == 1
        left = [line for line in server.lines if line.startswith("left")]
        assert len(left) == 2
        assert all(line.endswith(f"stopped by {number.name}") for line in left)
        assert idle.recv(1) == b""


# One line for each mistake


def test_a_taken_port_is_said_in_one_line() -> None:
    with running() as server:
        status, out, err = run([*SERVER, "--port", str(server.port)])
        assert (status, out) == (1, "")
        assert_one_line(err)
        assert "in use" in err
        assert_serves(server)


@pytest.mark.parametrize("program", [SERVER, CLIENT], ids=["server", "client"])
def test_a_bad_port_is_a_wrong_usage(program: list[str]) -> None:
    for port in BAD_PORTS[:: 2 if program is SERVER else 3]:
        status, out, err = run([*program, "--port", port])
        assert (status, out) == (2, "")
        assert_one_line(err)
        assert "not a port" in err


@pytest.mark.parametrize(
    "arguments",
    [
        CLIENT,
        [*CLIENT, "--port", "80", "--timeout", "nan"],
        [*SERVER, "--timeout", "-1"],
        [*SERVER, "--max-size", "0"],
        [*SERVER, "--max-clients", "many"],
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments: list[str]) -> None:
    status, out, err = run(arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)


def test_a_refused_connection_is_said_in_one_line() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: nobody is there
        port = silent.getsockname()[1]
        status, out, err = run([*CLIENT, "--port", str(port), "hello"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert f"127.0.0.1 port {port}: Connection refused" in err


def test_the_client_says_why_it_was_refused() -> None:
    with running("--max-size", "5") as server:
        command = [*CLIENT, "--port", str(server.port), "short", "too long", "never"]
        status, out, err = run(command)
    assert (status, out) == (1, "SHORT\n")
    assert_one_line(err)
    assert "refused: 8 bytes, at most 5 are allowed" in err


def test_a_long_message_passes() -> None:
    with running() as server:
        text = "x" * 100_000
        command = [*CLIENT, "--port", str(server.port)]
        status, out, err = run([*command, "--", text])
        assert (status, out, err) == (0, text.upper() + "\n", "")


def test_a_server_that_never_answers_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = str(mute.getsockname()[1])
        status, out, err = run([*CLIENT, "--port", port, "--timeout", "0.3", "hello"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "timed out" in err


@pytest.mark.parametrize(
    ("answer", "reset", "told"),
    [
        (b"", False, "closed without an answer"),
        (b"\x00\x00", False, "ended 2 bytes into a message"),
        (framed(b"+HELLO")[:-1], False, "ended 9 bytes into a message"),
        (b"\xff\xff\xff\xff", False, "4294967295 bytes, at most"),
        (framed(b"HELLO"), False, "without its mark"),
        (framed(b""), False, "without its mark"),
        (framed(b"-no \xff\x1b[31m"), False, "refused: no "),
        (framed(b"+HELLO") + framed(b"+"), False, "more than answers"),
        (framed(b"+HELLO") + b"mo", False, "ended 2 bytes into a message"),
        (b"", True, "reset"),
    ],
)
def test_a_bad_server_is_said_in_one_line(
    answer: bytes,
    reset: bool,  # noqa: FBT001 - a parameter of the test
    told: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as fake:
        fake.settimeout(PATIENCE)
        port = str(fake.getsockname()[1])
        with subprocess.Popen(
            [*CLIENT, "--port", port, "hello"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            connection, _ = fake.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert receive(connection, 9) == framed(b"hello")
                connection.sendall(answer)
                if reset:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
                    )
            out, err = client.communicate(timeout=PATIENCE)
    assert client.returncode == 1
    assert out in ("", "HELLO\n")
    assert_one_line(err)
    assert told in err
    assert "\x1b" not in err


@posix
def test_control_c_ends_the_client_quietly() -> None:
    # A shell's background job, as a test run may be, is started without SIGINT.
    with_sigint = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_DFL)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    prefix = [sys.executable, "-c", with_sigint]
    with running() as server:
        with subprocess.Popen(
            [*prefix, *CLIENT, "--port", str(server.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            client.stdin.write("hello\n")
            client.stdin.flush()
            assert client.stdout.readline() == "HELLO\n"  # so it reads its input
            client.send_signal(signal.SIGINT)
            assert client.wait(PATIENCE) == 130
            assert client.stderr is not None
            assert client.stderr.read() == ""
        assert_serves(server)


@pytest.mark.parametrize(("beyond", "status"), [(0, 0), (1, 1)])
def test_a_line_of_input_is_one_message_or_refused(beyond: int, status: int) -> None:
    longest = 1_048_576  # LONGEST of framed_client.py
    with running() as server:
        text = b"x" * (longest + beyond) + b"\r\nnext\n"
        ended, out, said = run([*CLIENT, "--port", str(server.port)], text)
        assert ended == status
        lines = out.split("\n")
        if beyond:
            assert "a line of more than 1048576 bytes" in said
            assert lines == [""]
        else:
            assert [len(line) for line in lines] == [longest, 4, 0]


@contextlib.contextmanager
def working(folder: Path, work: str, *arguments: str) -> Iterator[Running]:
    """Run a copy of the server in which answer() does something else."""
    answers = "    return message.upper()\n"
    source = (STREAMS / "framed_server.py").read_text(encoding="utf-8")
    assert source.count(answers) == 1
    changed = source.replace(answers, f"    {work}\n{answers}")
    (folder / "framed_server.py").write_text(changed, encoding="utf-8")
    shutil.copy(STREAMS / "framing.py", folder)
    with processes.running(str(folder / "framed_server.py"), *arguments) as server:
        yield server


@pytest.mark.parametrize(
    ("work", "told"),
    [
        ("raise ValueError('a bug')", "answer(): ValueError: a bug"),
        ("raise TimeoutError", "answer(): TimeoutError: "),
        ("open('/nonexistent')", "answer(): FileNotFoundError: "),
        ("return bytes(2_000_000)", "answer(): TooLongError: 2000001 bytes"),
    ],
)
def test_a_mistake_of_your_own_work_is_not_the_clients(
    work: str, told: str, tmp_path: Path
) -> None:
    with working(tmp_path, work) as server:
        with server.connect() as client:
            client.sendall(framed(b"work"))
            assert client.recv(1024) == b"", "nothing is blamed on the client"
        server.wait_for("left: .*, 0 answered, answer.. failed")
        status, said = server.end(signal.SIGINT)
    assert status == 0
    assert told in said
    assert "Traceback" not in said


def test_an_answer_that_never_ends_does_not_keep_the_server(tmp_path: Path) -> None:
    work = 'say("answering"); threading.Event().wait()'
    with working(tmp_path, work, "--timeout", str(BRIEF)) as server:
        with ExitStack() as ended:
            for _ in range(20):
                client = ended.enter_context(server.connect())
                client.sendall(framed(b"work"))
                server.wait_for("^answering")
            began = time.monotonic()
            assert server.end(signal.SIGTERM) == (0, "")
        assert time.monotonic() - began < PATIENCE, "in turn they would take longer"
        assert any("given up: 20" in line for line in server.lines)
