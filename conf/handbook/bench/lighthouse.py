"""Report what Lighthouse says of a few pages, on its phone of the middle range.

It is reported and nothing depends on it. Lighthouse comes from npm, once, into a
folder under build/; without node, npm or a network, one line says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from handbook import audit, chromium, serving
from handbook.bench.cost import progress
from handbook.bench.measure import Measure
from handbook.columns import table
from handbook.problem import Problem
from handbook.weight import gzipped, pages_of

if TYPE_CHECKING:
    from pathlib import Path

    from handbook.bench.build import Bench

VERSION = "12.8.2"  # scores of two versions are not alike
KINDS = ("index.html", "chapter", "part", "ledger", "reference/errors.html", "tests")
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
FIGURES = {
    "LCP ms": "largest-contentful-paint",
    "blocked ms": "total-blocking-time",
    "shift": "cumulative-layout-shift",
}
INSTALL_TIMEOUT, PAGE_TIMEOUT = 240, 180  # seconds


def installed(folder: Path) -> Path:
    """Return the program, installing it first where it is not; Problem if it fails."""
    program = folder / "node_modules" / ".bin" / "lighthouse"
    have = folder / "node_modules" / "lighthouse" / "package.json"
    if have.is_file() and json.loads(have.read_text("utf-8"))["version"] == VERSION:
        return program
    for needed in ("node", "npm"):
        if shutil.which(needed) is None:
            raise Problem("lighthouse", f"no {needed} on this machine", "install it")
    progress(f"lighthouse: installing {VERSION} into {folder}, once")
    folder.mkdir(parents=True, exist_ok=True)
    argv = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(
            [*argv, "--prefix", str(folder), f"lighthouse@{VERSION}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        what = f"npm did not end within {INSTALL_TIMEOUT} s"
        raise Problem("lighthouse", what, "look at the network") from error
    if done.returncode or not program.is_file():
        raise Problem(
            "lighthouse",
            f"npm does not install it (status {done.returncode})",
            f"run it by hand: npm install --prefix {folder} lighthouse@{VERSION}",
        )
    return program


def sample(site: Path) -> list[str]:
    """Choose the heaviest page of each of a few kinds."""
    heaviest: dict[str, tuple[int, str]] = {}
    for page in pages_of(site):
        size = gzipped((site / page).read_bytes())
        kind = audit.kind(page)
        heaviest[kind] = max(heaviest.get(kind, (0, "")), (size, page))
    return [heaviest[kind][1] for kind in KINDS if kind in heaviest]


def ask(program: Path, address: str) -> dict[str, Any]:
    """Let Lighthouse judge one page; returns its scores (0 to 100) and figures."""
    flags = " ".join(
        flag if " " not in flag else flag.replace("=", '="', 1) + '"'
        for flag in chromium.ARGUMENTS
    )
    try:
        done = subprocess.run(
            [
                *(str(program), address, "--quiet", "--output=json"),
                *("--output-path=stdout", f"--chrome-flags={flags}"),
                f"--only-categories={','.join(CATEGORIES)}",
            ],
            env={**os.environ, "CHROME_PATH": chromium.program()},
            capture_output=True,
            text=True,
            timeout=PAGE_TIMEOUT,
            check=False,
        )
        told = json.loads(done.stdout)
        problem = told.get("runtimeError", {}).get("message", "")
    except subprocess.TimeoutExpired:
        problem = f"no end after {PAGE_TIMEOUT} s"
    except json.JSONDecodeError:
        problem = f"status {done.returncode}: {done.stderr.strip()[-300:]}"
    if problem:
        raise Problem("lighthouse", f"it does not judge {address}: {problem}", "retry")
    scores = {
        name: round(100 * (told["categories"][name]["score"] or 0))
        for name in CATEGORIES
    }
    figures = {
        name: round(told["audits"][key]["numericValue"], 0 if "ms" in name else 3)
        for name, key in FIGURES.items()
    }
    below = sorted(
        f"{name}: {told['audits'][found['id']]['title']}"
        for name in CATEGORIES
        for found in told["categories"][name]["auditRefs"]
        if found["weight"]
        and (told["audits"][found["id"]]["score"] or 0) < 1
        and told["audits"][found["id"]]["scoreDisplayMode"] != "notApplicable"
    )
    return {"scores": scores, "figures": figures, "below": below}


def lighthouse(bench: Bench) -> Measure:
    """Ask Lighthouse about the heaviest page of each kind."""
    try:
        program = installed(bench.root / "build" / "lighthouse")
        chromium.program()
    except Problem as problem:
        return Measure(remarks=[f"not measured: {problem.what} ({problem.mend})"])
    bench.warm()
    found: dict[str, dict[str, Any]] = {}
    remarks = []
    with serving.serve(bench.site) as top:
        for page in sample(bench.site):
            progress(f"lighthouse: {page}")
            try:
                found[page] = ask(program, top + page)
            except Problem as problem:
                remarks.append(problem.what.replace(top, ""))
    cells = [
        (
            page,
            *(str(told["scores"][name]) for name in CATEGORIES),
            *(f"{told['figures'][name]:g}" for name in FIGURES),
            "",
        )
        for page, told in found.items()
    ]
    heads = (f"Lighthouse {VERSION}, mobile", *CATEGORIES, *FIGURES, "")
    for page, told in found.items():
        if min(told["scores"].values()) < 100:
            remarks += [f"{page}: {below}" for below in told["below"]]
    return Measure(remarks=[*table([heads, *cells]), *remarks], data={"pages": found})
