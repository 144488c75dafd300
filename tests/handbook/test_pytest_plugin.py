"""On the machines of CI nothing is skipped, but for what a network is like."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from handbook.pytest_plugin import NETWORK
from handbook.snippet import ROOT
from patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="CI runs on Linux")
def test_a_skip_is_a_failure_under_ci(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_tool():\n    pytest.skip('no such tool')\n"
        f"def test_network():\n    pytest.skip('x: {NETWORK}IPv6')\n"
    )

    def told(ci: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "handbook.pytest_plugin", "-rs"],
            cwd=tmp_path,
            env={**os.environ, "CI": ci, "PYTHONPATH": str(ROOT / "conf")},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout

    assert "2 skipped" in told("")
    under_ci = told("true")
    assert "1 failed, 1 skipped" in under_ci
    assert "no such tool" in under_ci
    assert "To mend it: install it in .ci/run; CI skips nothing" in under_ci
