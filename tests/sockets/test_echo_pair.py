"""The echo server and client do what their docstrings say, whoever the peer is.

Each test runs the programs themselves, as processes, with every warning on.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import processes
from patience import BRIEF, PATIENCE
from processes import WITHOUT_A_THREAD, Running, command, receive, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    StrOrBytes = str | bytes

PROGRAM = "sockets/echo_server.py"
SERVER = command(PROGRAM)
CLIENT = command("sockets/echo_client.py")
NO_LINGER = struct.pack("ii", 1, 0)  # close() sends RST (socket(7))
BAD_PORTS = ["-1", "65536", "70000", "abc", "", " 80", "8_0", "+80", "٨٠", "1e3"]

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


@contextlib.contextmanager
def running(*arguments: str, prefix: Sequence[str] = ()) -> Iterator[Running]:
    """Run the server for the length of a with block."""
    with processes.running(PROGRAM, *arguments, prefix=prefix) as server:
        yield server


def assert_serves(server: Running) -> None:
    """Fail unless the server still answers a new client."""
    with server.connect() as client:
        client.sendall(b"still there?")
        assert receive(client, 12) == b"still there?"


def assert_one_line(text: str) -> None:
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert "Traceback" not in text


def test_messages_come_back() -> None:
    with running() as server:
        port = str(server.port)
        assert run([*CLIENT, "--port", port, "hello", "two words", "", "한글"]) == (
            0,
            "hello\ntwo words\n\n한글\n",
            "",
        )
        assert server.wait_for("^joined: 127.0.0.1 port")
        assert server.wait_for("^left: .* 20 bytes echoed, it closed$")


def test_lines_of_input_come_back() -> None:
    with running() as server:
        lines = b"one\ntwo\r\n\nno end"
        answer = run([*CLIENT, "--port", str(server.port)], lines)
        assert answer == (0, "one\ntwo\n\nno end\n", "")


@posix
def test_bytes_that_are_no_text_come_back_and_are_shown_legibly() -> None:
    with running() as server:
        port = b"%d" % server.port
        odd = b"\xff\xfe ok \x1b[31m\x80"
        command = [*(os.fsencode(word) for word in CLIENT), b"--port", port, odd]
        assert run(command) == (0, "\\xff\\xfe ok \\x1b[31m\\x80\n", "")
        with server.connect() as client:
            everything = bytes(range(256))
            client.sendall(everything)
            assert receive(client, 256) == everything


def test_a_long_message_does_not_hang() -> None:
    with running() as server:
        text = b"0123456789abcdef" * 250_000  # 4 MB, in messages of 1 MiB
        status, out, err = run([*CLIENT, "--port", str(server.port)], text)
        assert (status, err) == (0, "")
        assert out.replace("\n", "") == text.decode()


def test_the_function_to_copy_takes_a_message_of_any_length() -> None:
    client = runpy.run_path(CLIENT[-1])
    message = os.urandom(1_000_000) * 40
    with running() as server, server.connect() as connection:
        # 40 MB are more than all buffers: to send them first would hang.
        assert client["echo"](connection, message) == message


def test_half_a_message_is_echoed_as_it_is() -> None:
    with running("--timeout", str(BRIEF)) as server, server.connect() as client:
        for letter in (b"h", b"e", b"l"):
            client.sendall(letter)
            assert receive(client, 1) == letter
        assert client.recv(1) == b""  # cut off after so long a silence
        assert server.wait_for(
            f"^left: .* 3 bytes echoed, too slow: waited {BRIEF} seconds"
        )


def test_a_client_may_end_its_half_and_still_read() -> None:
    with running() as server, server.connect() as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert receive(client, 100_000) == b"x" * 100_000
        assert client.recv(1) == b""


def test_a_silent_client_is_cut_off_and_the_others_are_not() -> None:
    with running("--timeout", str(BRIEF)) as server, server.connect() as silent:
        assert silent.recv(1) == b""
        server.wait_for("^left: .* 0 bytes echoed, too slow")
        assert_serves(server)


def send_until_stuck(sock: socket.socket, limit: int) -> int:
    """Send without reading until nothing moves for a second; return the bytes."""
    sock.settimeout(0)
    sent = 0
    while sent < limit and select.select([], [sock], [], 1)[1]:
        try:
            sent += sock.send(bytes(1_000_000))
        except OSError:
            break
    return sent


@linux
def test_a_client_that_never_reads_costs_little_memory_and_is_cut_off() -> None:
    with running("--timeout", str(BRIEF)) as server:
        assert_serves(server)
        before = server.status("VmRSS")
        with server.connect() as deaf:
            sent = send_until_stuck(deaf, 100_000_000)
            assert sent < 100_000_000
            assert server.status("VmHWM") - before < 8_000  # kB
            server.wait_for(f"^left: .* too slow: waited {BRIEF} seconds")
        assert_serves(server)


def test_the_class_to_copy_loses_nothing_when_the_kernel_takes_parts() -> None:
    echo_server = runpy.run_path(SERVER[-1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Accepted sockets inherit the small buffer: send() would take only a part.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        server = echo_server["EchoServer"](listener, max_clients=1, timeout=PATIENCE)
        thread = threading.Thread(target=server.run, name="server")
        thread.start()
        try:
            address = listener.getsockname()
            with socket.create_connection(address, timeout=PATIENCE) as late:
                sent = send_until_stuck(late, 100_000_000)
                assert 0 < sent < 100_000_000
                late.settimeout(PATIENCE)
                assert receive(late, sent) == bytes(sent)
        finally:
            server.stop("the test is over")
            thread.join(PATIENCE)
            server.close()


@linux
def test_100_megabytes_pass_in_constant_memory() -> None:
    with running() as server, server.connect() as client:
        client.sendall(b"!")
        assert receive(client, 1) == b"!"
        before = server.status("VmRSS")
        block = os.urandom(1_000_000)

        def send() -> None:
            for _ in range(100):
                client.sendall(block)

        sender = threading.Thread(target=send, name="sender")
        sender.start()
        for _ in range(100):
            assert receive(client, 1_000_000) == block
        sender.join()
        assert server.status("VmHWM") - before < 8_000  # kB


@pytest.mark.parametrize("data", [b"", b"unread" * 100_000], ids=["idle", "busy"])
def test_a_reset_hurts_nobody_else(data: bytes) -> None:
    with running() as server:
        rude = server.connect()
        with rude:
            server.wait_for("^joined")
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            rude.settimeout(0)
            with contextlib.suppress(BlockingIOError):
                rude.send(data)
        server.wait_for("^left: .*(reset|Broken pipe)")
        assert_serves(server)


def test_many_clients_at_once() -> None:
    with running() as server, ExitStack() as opened:
        clients = [opened.enter_context(server.connect()) for _ in range(50)]
        for _ in clients:
            server.wait_for("^joined")
        for number, client in enumerate(clients):
            client.sendall(b"I am %03d" % number)
        for number, client in reversed(list(enumerate(clients))):
            assert receive(client, 8) == b"I am %03d" % number


def test_the_number_of_clients_is_bounded() -> None:
    with running("--max-clients", "2") as server, ExitStack() as opened:
        first, _second = (opened.enter_context(server.connect()) for _ in range(2))
        server.wait_for("^joined")
        server.wait_for("^joined")
        third = opened.enter_context(server.connect())  # the kernel connects it
        third.sendall(b"my turn?")
        third.settimeout(1)  # waits: nothing may come while the two are there
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(PATIENCE)
        assert receive(third, 8) == b"my turn?"


def test_a_client_for_whom_there_is_no_thread_is_let_go_and_the_next_is_served() -> (
    None
):
    with running("--max-clients", "1", prefix=WITHOUT_A_THREAD) as server:
        with server.connect() as client:
            server.wait_for("^cannot serve.*: can't start new thread$")
            assert client.recv(1) == b""
        assert_serves(server)


@posix
@linux
def test_without_descriptors_it_waits_and_does_not_spin() -> None:
    limit = ["sh", "-c", 'ulimit -n 20; exec "$@"', "sh"]
    with running(prefix=limit) as server, ExitStack() as opened:
        clients = [opened.enter_context(server.connect()) for _ in range(30)]
        server.wait_for("^cannot accept: Too many open files$")
        used, begin = server.cpu_seconds(), time.monotonic()
        for _ in range(4):  # one line a pause
            server.wait_for("^cannot accept: Too many open files$")
        assert time.monotonic() - begin > 0.5
        assert server.cpu_seconds() - used < 0.5
        last = clients.pop()
        last.sendall(b"finally")
        for client in clients:
            client.close()
        assert receive(last, 7) == b"finally"


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(number: signal.Signals) -> None:
    long = ("--timeout", str(5 * PATIENCE))
    with (
        running(*long) as server,
        server.connect() as idle,
        server.connect() as deaf,
    ):
        server.wait_for("^joined")
        server.wait_for("^joined")
        idle.sendall(b"hello")
        assert receive(idle, 5) == b"hello"
        send_until_stuck(deaf, 100_000_000)
        begin = time.monotonic()
        assert server.end(number) == (0, "")
        assert time.monotonic() - begin < PATIENCE
        assert server.lines.count(f"stopped by {number.name}") == 1
        left = [line for line in server.lines if line.startswith("left")]
        assert len(left) == 2
        assert all(line.endswith(f"stopped by {number.name}") for line in left)
        assert idle.recv(1) == b""


def test_after_a_stop_the_port_is_free_at_once() -> None:
    with running() as server:
        port = server.port
        with server.connect() as client:
            client.sendall(b"x")
            assert receive(client, 1) == b"x"
            assert server.end(signal.SIGTERM)[0] == 0  # the server closes first
    with running("--port", str(port)) as again:
        assert again.port == port
        assert_serves(again)


def test_a_taken_port_is_said_in_one_line() -> None:
    with running() as server:
        status, out, err = run([*SERVER, "--port", str(server.port)])
        assert (status, out) == (1, "")
        assert_one_line(err)
        assert "in use" in err
        assert str(server.port) in err
        assert_serves(server)


@linux
def test_a_port_that_needs_privileges_is_said_in_one_line() -> None:
    prefix = []
    first_free = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    if os.geteuid() == 0 or int(first_free) <= 80:
        # A network of its own has the usual limit, and not even root may pass it.
        own = "-n" if os.geteuid() == 0 else "-rn"
        prefix = ["unshare", own, "setpriv", "--bounding-set", "-net_bind_service"]
    status, out, err = run([*prefix, *SERVER, "--host", "0.0.0.0", "--port", "80"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "Permission denied" in err


@pytest.mark.parametrize("port", BAD_PORTS)
@pytest.mark.parametrize("program", [SERVER, CLIENT], ids=["server", "client"])
def test_a_bad_port_is_a_wrong_usage(program: list[str], port: str) -> None:
    status, out, err = run([*program, "--port", port])
    assert (status, out) == (2, "")
    assert_one_line(err)
    assert "not a port" in err


@pytest.mark.parametrize(
    "arguments",
    [
        [*CLIENT, "--port", "0"],
        CLIENT,
        [*CLIENT, "--port", "80", "--timeout", "0"],
        [*CLIENT, "--port", "80", "--timeout", "nan"],
        [*SERVER, "--timeout", "-1"],
        [*SERVER, "--timeout", "inf"],
        [*SERVER, "--max-clients", "0"],
        [*SERVER, "--max-clients", "many"],
        [*SERVER, "--nonsense"],
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments: list[str]) -> None:
    status, out, err = run(arguments)
    assert (status, out) == (2, "")
    assert_one_line(err)


@pytest.mark.parametrize("program", [SERVER, CLIENT], ids=["server", "client"])
@pytest.mark.parametrize("host", ["::zz", "a..b", "x" * 100])
def test_a_name_that_does_not_resolve_is_said_in_one_line(
    program: list[str], host: str
) -> None:
    status, out, err = run([*program, "--host", host, "--port", "4000"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert host in err


def test_a_refused_connection_is_said_in_one_line() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: nobody is there
        port = silent.getsockname()[1]
        status, out, err = run([*CLIENT, "--port", str(port), "hello"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert f"127.0.0.1 port {port}" in err
    assert "refused" in err


def test_a_server_that_never_answers_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = str(mute.getsockname()[1])
        status, out, err = run([*CLIENT, "--port", port, "--timeout", "0.3", "hello"])
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "timed out" in err


def talk_to(answer: bytes, *, reset: bool = False) -> tuple[int, str, str]:
    """Run the client with a server that sends this answer and goes."""
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
                receive(connection, 5)
                connection.sendall(answer)
                if reset:
                    connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER
                    )
            out, err = client.communicate(timeout=PATIENCE)
    return client.returncode, out, err


def test_a_server_that_breaks_off_is_said_in_one_line() -> None:
    status, out, err = talk_to(b"hel")
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "closed after 3 of 5 bytes" in err


def test_a_server_that_resets_is_said_in_one_line() -> None:
    status, out, err = talk_to(b"", reset=True)
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "reset" in err


def test_a_wrong_answer_is_said_in_one_line() -> None:
    status, out, err = talk_to(b"HELLO")
    assert (status, out) == (1, "")
    assert_one_line(err)
    assert "something else" in err


def test_too_long_an_answer_is_said_in_one_line() -> None:
    status, out, err = talk_to(b"hello, and more")
    assert (status, out) == (1, "hello\n")
    assert_one_line(err)
    assert "more than it got" in err


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
            assert client.stdout.readline() == "hello\n"  # so it reads its input
            client.send_signal(signal.SIGINT)
            assert client.wait(PATIENCE) == 130
            assert client.stderr is not None
            assert client.stderr.read() == ""
        assert_serves(server)


def test_it_serves_ipv6_or_says_that_there_is_none() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        status, out, err = run([*SERVER, "--host", "::1"])
        assert (status, out) == (1, "")
        assert_one_line(err)
        return
    with running("--host", "::1") as server:
        command = [*CLIENT, "--host", "::1", "--port", str(server.port), "hello"]
        assert run(command) == (0, "hello\n", "")
