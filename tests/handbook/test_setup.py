"""The environment is made where it belongs, and nothing else is emptied."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from typing import TYPE_CHECKING

import pytest

from handbook.snippet import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def set_up(folder: Path, python: str = sys.executable) -> tuple[int, str]:
    """Run conf/setup.sh in a folder; return its status and what it said."""
    done = subprocess.run(
        ["bash", ROOT / "conf" / "setup.sh", ".venv"],
        cwd=folder,
        env={**os.environ, "PYTHON": python, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    for folder in (elsewhere, here):
        folder.mkdir()
    (elsewhere / "kept.txt").write_text("mine")
    (here / ".venv").symlink_to(elsewhere)
    (here / "requirements.txt").write_text("")
    status, said = set_up(here)
    assert status == 0, said
    assert f".venv is a link to {elsewhere}: it is replaced" in said
    assert (elsewhere / "kept.txt").read_text() == "mine"
    assert sorted(elsewhere.iterdir()) == [elsewhere / "kept.txt"]
    assert not (here / ".venv").is_symlink()
    assert (here / ".venv/bin/python").exists()


@pytest.fixture
def python_that_lends_its_pip(tmp_path: Path) -> Path:
    """Write a Python whose environments have our pip: to install one takes seconds."""
    lent = sysconfig.get_path("purelib")
    path = tmp_path / "python"
    path.write_text(
        f"""#!/bin/sh
case "$*" in
"-m venv --clear "*)
  '{sys.executable}' -m venv --clear --without-pip "$4" || exit
  for packages in "$4"/lib/python*/site-packages; do
    echo '{lent}' > "$packages/lent.pth"
  done ;;
*) exec '{sys.executable}' "$@" ;;
esac
"""
    )
    path.chmod(0o755)
    return path


def test_packages_that_cannot_be_had_leave_no_half_environment(
    tmp_path: Path, python_that_lends_its_pip: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("no-such-package==1\n")
    status, said = set_up(tmp_path, python=str(python_that_lends_its_pip))
    assert status == 1
    assert "No matching distribution found for no-such-package==1" in said
    assert "To mend it: the first set-up needs the network" in said
    assert not (tmp_path / ".venv").exists()


def test_a_python_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(tmp_path)
    status, said = set_up(tmp_path, python="/bin/false")
    assert status == 1
    assert "PYTHON=/bin/false is not a Python 3.11 or later with venv" in said
    assert (tmp_path / ".venv").is_symlink()


def test_a_port_that_is_taken_is_told_before_anything_is_set_up(
    tmp_path: Path,
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            ["make", "live", f"PORT={port}", f"PYTHON={sys.executable}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    first, remedy, *_ = done.stderr.splitlines()
    assert first == f"PORT={port}: cannot listen on 127.0.0.1: Address already in use"
    assert "make live PORT=8001" in remedy
    assert not (tmp_path / ".venv").exists()
