"""For the tests of every part: sockets that are closed at the end, and a Chromium."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from handbook import chromium, needs
from handbook.problem import Problem
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from playwright.sync_api import Browser, BrowserContext

# The program moves into a network of its own: its settings and counters are no other
# program's. Loopback is up there, and there is nothing else.
OWN_NETWORK = """
import ctypes, fcntl, json, socket, struct, sys, time
from pathlib import Path

NEWUSER, NEWNET = 0x10000000, 0x40000000  # sched.h

def up(name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        ready = struct.pack("16sH14x", name, 0x41)  # IFF_UP and IFF_RUNNING
        fcntl.ioctl(control, 0x8914, ready)  # SIOCSIFFLAGS

try:
    unshare = ctypes.CDLL(None).unshare
    # Root may do so as it is (and in a chroot only so), others as root of their own.
    if unshare(NEWNET) and unshare(NEWUSER | NEWNET):
        raise PermissionError
    up(b"lo")
    for setting in sys.argv[1:]:
        name, value = setting.split("=")
        Path("/proc/sys/net/ipv4", name).write_text(value)
except PermissionError:
    sys.exit("cannot make a network of its own")
"""


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close at the end whatever a test enters here."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def listener(sockets: ExitStack) -> socket.socket:
    """Listen on a free port of 127.0.0.1; accept() waits a minute at most."""
    listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    listening.settimeout(PATIENCE)
    return listening


@pytest.fixture
def dial(
    sockets: ExitStack, listener: socket.socket
) -> Callable[[], tuple[socket.socket, socket.socket]]:
    """Make one more connection: returns the client's end and the server's."""

    def connect() -> tuple[socket.socket, socket.socket]:
        address = listener.getsockname()
        client = sockets.enter_context(socket.create_connection(address, PATIENCE))
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()
        connection.settimeout(PATIENCE)
        return client, connection

    return connect


@pytest.fixture
def ends(
    dial: Callable[[], tuple[socket.socket, socket.socket]],
) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    return dial()


@pytest.fixture
def run_async() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Run a coroutine to its end in a thread of its own, in three minutes at most.

    The thread of the tests may have a loop already: the browser's driver runs in it.
    """

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        with ThreadPoolExecutor(1) as pool:
            waiting = asyncio.wait_for(coroutine, 3 * PATIENCE)
            return pool.submit(asyncio.run, waiting).result()  # noqa: TID251

    return run


@pytest.fixture
def in_own_network() -> Callable[..., Any]:
    """Run a program in a network namespace, with sysctls such as "tcp_syncookies=1".

    What it prints is JSON, and returned as what that means.
    """

    def run(program: str, *settings: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", OWN_NETWORK + program, *settings],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if "cannot make a network" in done.stderr:
            pytest.skip(needs.reason("network namespaces"))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for each worker."""
    try:
        chromium.program()
    except Problem:
        pytest.skip(needs.reason("chromium"))
    if not needs.drives_browsers():
        pytest.skip(needs.reason("chromium"))
    with chromium.launched() as started:
        yield started


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Open browser contexts that are closed when the test ends."""
    opened: list[BrowserContext] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE * 1000)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
