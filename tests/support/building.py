"""Builds of a handbook that a test may break."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SITE = Path("build/html")
"""Where `make html` and `make chapter` build, in a repository."""


def sphinx(repository: Path, *options: str) -> tuple[int, str]:
    """Build a copy's site, with `-n` and these options; the status, and what it said.

    From the second time on, what did not change is not built again.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-n", "-q", *options),
            *("-c", "conf", "docs", str(SITE)),
        ],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository / "conf")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def strictly(repository: Path) -> tuple[int, str]:
    """Build it as `make html` does, with a status for what is warned of."""
    return sphinx(repository, "-W", "--keep-going")


def build(repository: Path) -> Path:
    """Build it strictly, without a fault; where the site is."""
    status, said = strictly(repository)
    assert status == 0, said
    return repository / SITE
