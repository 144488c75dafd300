"""The search index of the built site, made by Pagefind.

Only pages whose article is marked are found: chapters and reference pages. The
ledger, the tests and the whole programs repeat what those say. Between the index and
the dialog stands `pasted.js`, which takes error messages as they are pasted.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from handbook.problem import Problem

UNREAD = [
    ".headerlink",  # the # beside each heading
    ".snippet-bar",
    ".snippet-whole",  # the program again, under its excerpt
    ".snippet-run",
    "svg",  # the text alternative of a picture says the same
    ".page-facts",
]
"""Selectors of what is on a page and no part of its text."""

UNUSED = [
    "pagefind-highlight.js",
    "pagefind-modular-ui.css",
    "pagefind-modular-ui.js",
    "pagefind-ui.css",
    "pagefind-ui.js",
    "wasm.unknown.pagefind",
]
"""Files that Pagefind writes and no page asks for."""

LIMIT = 120  # seconds

PASTED = Path(__file__).parents[1] / "theme" / "pasted.js"
"""What the dialog asks in Pagefind's place, under Pagefind's name."""


def index(site: Path) -> str:
    """Write `pagefind/` into a built site; return how many pages can be found.

    Raises:
        Problem: the folder holds no built site, or Pagefind failed.
    """
    if not (site / "index.html").exists():
        raise Problem(str(site), "no built site is here", "make html")
    shutil.rmtree(site / "pagefind", ignore_errors=True)
    command = [sys.executable, "-m", "pagefind", "--site", str(site)]
    for selector in UNREAD:
        command += ["--exclude-selectors", selector]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    told = [line.strip() for line in done.stdout.splitlines()]
    found = [line for line in told if line.startswith("Indexed") and "page" in line]
    if done.returncode or not found or not (site / "pagefind" / "pagefind.js").exists():
        raise Problem(
            str(site),
            f"Pagefind failed: {done.stderr.strip() or ' '.join(told)}",
            "see whether `python -m pagefind --version` works in the environment",
        )
    for name in UNUSED:
        (site / "pagefind" / name).unlink(missing_ok=True)
    asked = site / "pagefind" / "pasted"
    asked.mkdir()
    shutil.copyfile(PASTED, asked / "pagefind.js")
    return found[0]
