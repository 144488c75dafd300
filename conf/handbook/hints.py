"""Say how to mend what Sphinx itself warns of, as every other message does."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

ANCHOR = (
    "name a page or heading that is there: hover over the heading in make live, its # "
    "is the address; if it was renamed, mend every link to it"
)
# By the type that Sphinx gives in brackets at the end of the warning.
MENDS = {
    "myst.xref_missing": ANCHOR,
    "myst.topmatter": "make check names the line and the field",
    "myst.directive_unknown": "take one of the directives in docs/about/the-form.md; "
    "a name is written with small letters, in braces",
    "myst.role_unknown": "take {term}, {claim} or {doc}, in small letters",
    "myst.header": "let no level of heading be left out: ## stands under #",
    "ref.term": "explain the word in docs/reference/glossary.md, or name one there",
    "toc.not_included": "name it in the {toctree} of its part's index.md",
    "toc.not_readable": "take the name out of the {toctree}, or write the page",
    "image.not_readable": "put the picture there, or mend its path",
}


class Mending(logging.Filter):
    """Add the mend to a warning whose type is known; drop none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through."""
        kind = f"{getattr(record, 'type', '')}.{getattr(record, 'subtype', '')}"
        mend = MENDS.get(kind)
        if mend is not None and not getattr(record, "mended", False):
            record.msg = f"{record.getMessage()}\n  To mend it: {mend}"
            record.args = ()
            record.mended = True
        return True


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    del app
    for handler in logging.getLogger("sphinx").handlers:
        if not any(isinstance(each, Mending) for each in handler.filters):
            handler.filters.insert(0, Mending())
    return {
        "version": "1",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
