"""The browser that the system provides, started so that it reaches nobody else."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Every other host fails at once: a page that asks for one is caught, not served.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def program() -> str:
    """Return the path of the browser; Problem if there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise Problem(
            "chromium",
            "no chromium on this machine",
            "install it; on Debian and Ubuntu: apt install chromium libatomic1",
        )
    return found


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser while the block runs; Problem if it does not start."""
    path = program()
    # Only who drives a browser pays for these imports.
    from playwright._impl._driver import (  # noqa: PLC0415
        compute_driver_executable,
    )
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    driver, _ = compute_driver_executable()
    started = subprocess.run([driver, "--version"], capture_output=True, check=False)
    if started.returncode != 0:
        said = started.stderr.decode(errors="replace").strip()
        raise Problem(
            os.fspath(driver),
            f"the driver of the browser does not start: {said}",
            "install what it lacks; on Debian and Ubuntu: apt install libatomic1",
        )
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()
