"""The really built site, served on loopback."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from handbook import search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]

STRICT = ["-E", "-n", "-W", "--keep-going", "-q", "-c", "conf"]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing about it."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Drop the line."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Serves a browser, which may hang up in the middle of an answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that hung up; anything else is a fault."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve folders until the session ends; returns the address of each."""
    running: list[tuple[QuietServer, threading.Thread]] = []

    def start(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = QuietServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@pytest.fixture(scope="session")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the handbook once, cold and strict, for all parallel workers."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    out, outcome = shared / "site", shared / "site-outcome.txt"
    with FileLock(shared / "site.lock", timeout=300):
        if not outcome.exists():
            outcome.write_text(_build(out, shared / "site-doctrees"), "utf-8")
    problem = outcome.read_text("utf-8")
    if problem:
        pytest.fail(f"the site does not build:\n{problem}", pytrace=False)
    return out


def _build(out: Path, doctrees: Path) -> str:
    unset = ("HANDBOOK_LIVE", "HANDBOOK_BASEURL", "HANDBOOK_REPOSITORY")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *STRICT, "-d", doctrees, "docs", out],
        cwd=REPOSITORY,
        env={k: v for k, v in os.environ.items() if k not in unset},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        return done.stdout + done.stderr or "no output"
    search.index(out)
    return ""


@pytest.fixture(scope="session")
def pages(built_site: Path) -> list[str]:
    """Every page of the site, as a path from its top."""
    found = sorted(
        path.relative_to(built_site).as_posix()
        for path in built_site.rglob("*.html")
        if not path.relative_to(built_site).parts[0].startswith("_")
    )
    assert "index.html" in found
    return found


@pytest.fixture(scope="session")
def site_url(built_site: Path, serve: Callable[[Path], str]) -> str:
    """Return the address at which the site is served, with a slash at its end."""
    return serve(built_site)
