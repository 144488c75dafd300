"""Skipping what a machine cannot run, with the command that would make it run."""

from __future__ import annotations

import pytest

from handbook import needs


def needing(*names: str) -> pytest.MarkDecorator:
    """Skip a test unless the machine has all these, named as in handbook.needs."""
    lacking = [name for name in names if not needs.present(name)]
    return pytest.mark.skipif(bool(lacking), reason=needs.reason(*lacking))


def require(*names: str) -> None:
    """Skip the test that is running unless the machine has all these."""
    lacking = [name for name in names if not needs.present(name)]
    if lacking:
        pytest.skip(needs.reason(*lacking))
