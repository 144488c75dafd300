"""What one build keeps for the next, on Sphinx's environment, and what it asks of it.

Sphinx pickles the environment. A new field of Memory wants a higher `env_version` in
`base.setup`, so that no build meets an older Memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.util import logging

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
    waiting: dict[str, set[str]] = field(default_factory=dict)
    """The claims that have no test yet, by the pages that name them."""


def of(env: BuildEnvironment) -> Memory:
    """Give what is kept on an environment, to read and to change."""
    if not hasattr(env, "handbook"):
        env.handbook = Memory()  # type: ignore[attr-defined]
    found: Memory = env.handbook  # type: ignore[attr-defined]
    return found


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
