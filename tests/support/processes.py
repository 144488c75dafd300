"""Programs of the handbook, run as processes, with every warning on."""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
SNIPPETS, CONF = ROOT / "snippets", ROOT / "conf"
PYTHON = [sys.executable, "-X", "dev", "-W", "error"]

# A prefix for a server: it gets no thread for the first client, as when the system has
# none left.
WITHOUT_A_THREAD = [
    *PYTHON,
    "-c",
    """
import os, runpy, sys, threading

def start(thread):
    if thread.name == "connection":
        threading.Thread.start = original
        raise RuntimeError("can't start new thread")
    original(thread)

original, threading.Thread.start = threading.Thread.start, start
del sys.argv[: sys.argv.index("error") + 1]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
""",
]


def command(program: str) -> list[str]:
    """Return the command that runs `part/name.py`."""
    return [*PYTHON, str(SNIPPETS / program)]


def without_slowness(errors: str) -> str:
    """Take out what -X dev tells of slow callbacks: that is the machine's affair."""
    lines = errors.splitlines(keepends=True)
    slow = re.compile(r"Executing <.* took \S+ seconds$")
    return "".join(line for line in lines if not slow.match(line))


class Running:
    """A server that has said where it listens: `listening on … port …`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._signalled = False
        self._new: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="output")
        self._reader.start()
        self.port = int(self.wait_for(r"^listening on \S+ port (\d+)$")[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._new.put(line.rstrip("\n"))

    def wait_for(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Return the next line of output that matches."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._new.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {pattern!r} in {self.lines}") from None
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match

    def connect(self) -> socket.socket:
        """Open a connection whose calls wait a minute at most."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def signal(self, number: int) -> None:
        """Send a signal that ends it.

        It gets one only: an interpreter that is leaving has put the default handlers
        back, and a second signal would kill it.
        """
        if not self._signalled:
            self._signalled = True
            self.process.send_signal(number)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal unless it had one; return the exit status and its stderr."""
        self.signal(number)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while not self._new.empty():
            self.lines.append(self._new.get())
        assert self.process.stderr is not None
        return status, without_slowness(self.process.stderr.read())

    def status(self, field: str) -> int:
        """Return a number, of kB where it has a unit, from /proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(rf"^{field}:\s+(\d+)", text, re.MULTILINE)
        assert match
        return int(match[1])

    def descriptors(self) -> int:
        """Count its open file descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def cpu_seconds(self) -> float:
        """Return the processor time used so far."""
        text = Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def running(
    program: str, *arguments: str, prefix: Sequence[str] = ()
) -> Iterator[Running]:
    """Run a server for the length of a with block; SIGTERM must end it cleanly."""
    with subprocess.Popen(
        [*prefix, *command(program), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            server = Running(process)
            yield server
            if process.poll() is None:
                assert server.end(signal.SIGTERM) == (0, "")
        finally:
            process.kill()


def run(argv: Sequence[str | bytes], stdin: bytes = b"") -> tuple[int, str, str]:
    """Run a program to its end; return status, standard output and error."""
    done = subprocess.run(
        argv, input=stdin, capture_output=True, timeout=PATIENCE, check=False
    )
    told = without_slowness(done.stderr.decode())
    return done.returncode, done.stdout.decode(), told


def run_apart(
    argv: Sequence[str], environment: dict[str, str], seconds: float = 2 * PATIENCE
) -> tuple[int, str]:
    """Run a command in a session of its own; return status, and all that it printed.

    Whatever it has started ends with it: nothing keeps a pipe, or a test, waiting.
    """
    done = subprocess.run(
        [sys.executable, "-m", "handbook.offspring", str(seconds / 60), *argv],
        env=environment | {"PYTHONPATH": str(CONF)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        timeout=seconds + PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


def receive(sock: socket.socket, size: int) -> bytes:
    """Receive exactly so many bytes."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)
