"""What one build keeps for the next, on Sphinx's environment, and what it asks of it.

Sphinx pickles the environment. A new field of Memory wants a higher `env_version` in
`base.setup`, so that no build meets an older Memory.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util import logging

from handbook import claims
from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

    from handbook.facts import Facts

logger = logging.getLogger(__name__)


@dataclass
class Memory:
    """What the last build knew; None is what no build has told yet."""

    errors: str | None = None  # a digest of what the errors' pages are made from
    ledger: str | None = None  # and of what the ledger is made from
    titles: str | None = None  # and of the titles and their order
    digests: dict[str, str] | None = None  # of the merged CSS and scripts, by name
    facts: dict[str, Facts] | None = None  # what pages tell of themselves, by docname
    files: dict[str, str] = field(default_factory=dict)
    """The state of the repository's files when each of these was last computed."""
    waiting: dict[str, set[str]] = field(default_factory=dict)
    """The claims that have no test yet, by the pages that name them."""


def of(env: BuildEnvironment) -> Memory:
    """Give what is kept on an environment, to read and to change."""
    if not hasattr(env, "handbook"):
        env.handbook = Memory()  # type: ignore[attr-defined]
    found: Memory = env.handbook  # type: ignore[attr-defined]
    return found


def state_of(root: Path) -> str:
    """Give a digest of the names, times and sizes of all that pages are made of."""
    state = hashlib.sha256()
    for folder in ("conf", "docs", "snippets", "tests"):
        for path in sorted((root / folder).rglob("*.*")):
            if path.suffix != ".pyc" and path.is_file():
                about = path.stat()
                state.update(f"{path} {about.st_mtime_ns} {about.st_size}\n".encode())
    results = root / claims.RESULTS
    state.update(results.read_bytes() if results.is_file() else b"")
    return state.hexdigest()


def read_again(
    app: Sphinx, which: Callable[[Path, BuildEnvironment], list[str]]
) -> None:
    """Let `which` name the pages that each build reads again.

    Args:
        app: Sphinx.
        which: takes the repository and the environment. A Problem that it raises is
            told, and no page is read again for it.
    """

    def outdated(
        app: Sphinx,
        env: BuildEnvironment,
        added: set[str],
        changed: set[str],
        removed: set[str],
    ) -> list[str]:
        del added, changed, removed
        try:
            return which(Path(app.srcdir).parent, env)
        except Problem as problem:
            logger.error(str(problem))
            return []

    app.connect("env-get-outdated", outdated)
