"""The really built site, served on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from handbook import audit, search, serving, weight

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).parents[2]

STRICT = ["-E", "-n", "-W", "--keep-going", "-q", "-c", "conf"]


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Serve folders until the session ends; returns the address of each."""
    with ExitStack() as running:
        yield lambda folder: running.enter_context(serving.serve(folder))


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
    """Every page of the site, as a path from its top: for what needs no browser."""
    return weight.pages_of(built_site)


@pytest.fixture(scope="session")
def opened(built_site: Path) -> list[str]:
    """The pages that a browser opens: a sample, or what HANDBOOK_PAGES names."""
    return audit.chosen(built_site, os.environ.get("HANDBOOK_PAGES", ""))


@pytest.fixture(scope="session")
def site_url(built_site: Path, serve: Callable[[Path], str]) -> str:
    """Return the address at which the site is served, with a slash at its end."""
    return serve(built_site)
