"""The browser that the system provides, started so that it reaches nobody else."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from handbook import needs
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Playwright

TRIES = 3  # of a launch
SECONDS = 60.0  # that one may take
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
            needs.remedy("chromium"),
        )
    return found


def _launched(playwright: Playwright, path: str) -> Browser:
    """Start a browser with a profile of its own, at the second or third try if need be.

    What it said itself is in Playwright's message.
    """
    from playwright.sync_api import Error  # noqa: PLC0415

    said = ""
    for _ in range(TRIES):
        try:
            return playwright.chromium.launch(
                executable_path=path, args=ARGUMENTS, timeout=SECONDS * 1000
            )
        except Error as error:
            said = error.message
    raise Problem(
        path,
        f"the browser did not start in {TRIES} tries: {said}",
        f"run it by hand: {path} --headless --no-sandbox --dump-dom about:blank",
    )


@contextlib.contextmanager
def launched() -> Iterator[Browser]:
    """Run a browser while the block runs; Problem if it does not start."""
    path = program()
    if not needs.drives_browsers():
        driver = [sys.executable, "-m", "playwright", "--version"]
        done = subprocess.run(driver, capture_output=True, text=True, check=False)
        raise Problem(
            "playwright",
            f"the driver of the browser does not start: {done.stderr.strip()}",
            "install what it lacks; on Debian and Ubuntu: apt install libatomic1",
        )
    # Only who drives a browser pays for this import.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        chromium = _launched(playwright, path)
        try:
            yield chromium
        finally:
            chromium.close()
