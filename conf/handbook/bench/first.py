"""Time a newcomer's first minutes: clone, `make live`, an edit.

The seconds are by the clock, for that is how somebody waits. The set-up takes
packages from the network: it stands apart, and without it this environment is used.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from handbook.bench.cost import environment, progress
from handbook.bench.measure import Measure
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handbook.bench.build import Bench

PAGE = "sockets/a-conversation"  # that is edited, and asked for again
EDIT = "This sentence is the bench's."
PATIENCE = 900.0  # seconds for a step, on a machine that has other work
LOOK = 0.05  # seconds between two looks


def first(bench: Bench) -> Measure:
    """Clone, set up, serve and edit, once. Problem if the site is never served."""
    if not (bench.root / ".git").exists() or shutil.which("make") is None:
        return Measure(remarks=["not measured: it takes a clone, git and make"])
    clone = bench.folder / "clone"
    progress("a fresh clone, make live, an edit, once")
    begin = time.perf_counter()
    _run(["git", "clone", "-q", str(bench.root), str(clone)], bench.folder)
    seconds = {"clone": time.perf_counter() - begin}
    begin = time.perf_counter()
    words = []
    done = _run(["make", ".venv/.ready"], clone, fails=False)
    if done.returncode == 0:
        seconds["set-up"] = time.perf_counter() - begin
    else:  # no network, most likely
        words = ["-o", ".venv/.ready", f"BIN={Path(sys.executable).parent}"]
    begin = time.perf_counter()
    with _live(clone, words) as (process, address):
        _wait_for(process, address, "")
        seconds["served"] = time.perf_counter() - begin
        page = clone / "docs" / f"{PAGE}.md"
        page.write_text(f"{page.read_text('utf-8')}\n{EDIT}\n", "utf-8")
        begin = time.perf_counter()
        _wait_for(process, f"{address}{PAGE}.html", EDIT)
        seconds["edited"] = time.perf_counter() - begin
    return Measure(
        remarks=[_told(seconds)],
        data={name: round(value, 1) for name, value in seconds.items()},
    )


def _told(seconds: dict[str, float]) -> str:
    until = sum(seconds.get(name, 0) for name in ("clone", "set-up", "served"))
    set_up = f"set-up {seconds['set-up']:.0f}" if "set-up" in seconds else "no set-up"
    return (
        f"from a fresh clone to a served page {until:.0f} s by the clock ({set_up}, "
        f"build {seconds['served']:.0f}); from an edit to the page that has it "
        f"{seconds['edited']:.1f} s"
    )


def _run(
    argv: list[str], folder: Path, *, fails: bool = True
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment(None),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if fails and done.returncode:
        raise Problem(
            " ".join(argv[:2]), "it fails", f"run it by hand\n{done.stderr[-2000:]}"
        )
    return done


@contextlib.contextmanager
def _live(
    clone: Path, words: list[str]
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run `make live` at a port that is free while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        (clone / "live.log").open("wb") as log,
        subprocess.Popen(
            ["make", "live", "NO_BROWSER=1", f"PORT={port}", *words],
            cwd=clone,
            env=environment(None),
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process, f"http://127.0.0.1:{port}/"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _wait_for(process: subprocess.Popen[bytes], address: str, text: str) -> None:
    """Ask for a page until it is there and holds a text."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        with (
            # The page may be written anew while it is read.
            contextlib.suppress(OSError, http.client.HTTPException, UnicodeDecodeError),
            urllib.request.urlopen(address, timeout=PATIENCE) as answer,  # noqa: S310
        ):
            if text in answer.read().decode("utf-8"):
                return
        time.sleep(LOOK)  # waits: a page that is not served yet tells nobody
    raise Problem(
        "make live", f"{address} was never served with {text!r}", "make live shows why"
    )
