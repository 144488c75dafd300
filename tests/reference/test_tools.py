"""The claims of "Tools"."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from handbook.snippet import ROOT
from needing import needing, require
from patience import PATIENCE

if TYPE_CHECKING:
    from contextlib import ExitStack

linux = pytest.mark.skipif(sys.platform != "linux", reason="it is about Linux")
NOBODY = 65534

# Who calls this is to other processes of the same user like somebody else's:
# prctl(2), PR_SET_DUMPABLE. (Root looks into it all the same.)
CLOSED = """
import ctypes, socket, sys
assert ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()
"""


def says(port: int, **more: Any) -> str:
    """Return what ss says of a listening port."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        ["ss", "-ltnpH", f"sport = :{port}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        **more,
    )
    return done.stdout


@linux
@claim("ss-names-only-what-you-may-see", "proc(5), /proc/[pid]/fd", "ss(8), -p")
def test_ss_shows_the_row_of_a_stranger_without_its_process(
    listener: socket.socket,
) -> None:
    """The tool ss names a socket's process only to who may look into that process.

    To others it shows the same row without a name.
    """
    require("ss")
    own = says(listener.getsockname()[1])
    assert f"pid={os.getpid()}," in own
    if os.geteuid() == 0:
        port = listener.getsockname()[1]
        strange = says(port, user=NOBODY, group=NOBODY, extra_groups=[])
    else:
        with subprocess.Popen(
            [sys.executable, "-c", CLOSED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            strange = says(port)
            server.communicate(timeout=PATIENCE)
    assert f"127.0.0.1:{port}" in strange
    assert "pid=" not in strange


@linux
@claim("proc-net-tcp-has-addresses-in-host-order", "proc(5), /proc/net/tcp")
def test_an_address_of_the_table_is_a_number_of_this_machine(
    sockets: ExitStack,
) -> None:
    """/proc/net/tcp has an IPv4 address as a number in the machine's byte order.

    The port behind it is a plain number, both in hexadecimal.
    """
    tool = runpy.run_path(str(ROOT / "snippets/reference/who_listens.py"))
    listener = sockets.enter_context(socket.create_server(("127.1.2.3", 0)))
    (row,) = tool["listening"](listener.getsockname()[1])
    assert tool["address_of"](row[1]) == listener.getsockname()
    number, port = row[1].split(":")
    there = bytes([127, 1, 2, 3])
    assert int(number, 16) == int.from_bytes(there, sys.byteorder)
    assert int(number, 16) != int.from_bytes(there[::-1], sys.byteorder)
    assert int(port, 16) == listener.getsockname()[1]


@linux
def test_who_listens_finds_each_process_that_holds_the_socket(
    listener: socket.socket,
) -> None:
    tool = runpy.run_path(str(ROOT / "snippets/reference/who_listens.py"))
    (row,) = tool["listening"](listener.getsockname()[1])
    assert tool["holders"](row[9]) == [os.getpid()]
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        pass_fds=[listener.fileno()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as heir:
        assert heir.stdout is not None
        heir.stdout.readline()
        assert set(tool["holders"](row[9])) == {os.getpid(), heir.pid}
        heir.communicate(b"\n", timeout=PATIENCE)
    assert tool["holders"]("0") == []


@linux
@needing("IPv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_who_listens_sees_a_server_on_ipv6(
    host: str, sockets: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = runpy.run_path(str(ROOT / "snippets/reference/who_listens.py"))
    server = socket.create_server((host, 0), family=socket.AF_INET6)
    port = sockets.enter_context(server).getsockname()[1]
    tool["tell"](port)
    out = capsys.readouterr().out
    assert f"in words: {host} {port}\n" in out
    assert f"pid {os.getpid()}\n" in out


@linux
def test_who_listens_says_that_nobody_does(
    sockets: ExitStack, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = runpy.run_path(str(ROOT / "snippets/reference/who_listens.py"))
    bound = sockets.enter_context(socket.socket())
    bound.bind(("127.0.0.1", 0))
    port = bound.getsockname()[1]
    tool["tell"](port)
    assert capsys.readouterr().out.startswith(f"nobody listens on port {port}")


@linux
@needing("curl")
def test_curl_says_what_the_page_quotes() -> None:
    tools = (ROOT / "docs/reference/tools.md").read_text("utf-8")
    program = runpy.run_path(str(ROOT / "snippets/reference/curl_numbers.py"))

    def said(behave: str) -> str:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(PATIENCE)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            with subprocess.Popen(
                ["curl", "-sS", "-m", "10" if behave else "0.5", url],
                stderr=subprocess.PIPE,
                text=True,
            ) as curl:
                if behave:
                    client, _ = server.accept()
                    with client:
                        client.settimeout(PATIENCE)
                        client.recv(65_536)
                        program[behave](client)
                return curl.communicate(timeout=PATIENCE)[1].strip()

    for behave, words in (
        ("", "Operation timed out"),
        ("leave", "Empty reply from server"),
        ("reset", "Recv failure: Connection reset by peer"),
        ("greet", "Received HTTP/0.9 when not allowed"),
    ):
        assert words in said(behave)
        assert f"`{words}`" in tools
