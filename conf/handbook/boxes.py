"""The box around a program on a page: its path, its download, how to run it.

A program that is longer than `OWN_PAGE` has a page of its own, where the copy
button gives the whole; its excerpts link there.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handbook.snippet import Snippet

OWN_PAGE = 100  # lines
PROGRAM_PAGES = "programs/"  # what the names of their own pages begin with


def has_own_page(snippet: Snippet) -> bool:
    """Say whether a program is too long to stand under each of its excerpts."""
    return len(snippet.clean.splitlines()) > OWN_PAGE


def kind(snippet: Snippet) -> str:
    """Say what it is: a program, or a file beside one."""
    return "program" if snippet.path.suffix == ".py" else "file"


def address(snippet: Snippet) -> str:
    """Give the address of a long program's own page, from the top of the site."""
    return f"{PROGRAM_PAGES}{snippet.part}/{snippet.name}.html"


def commands(snippet: Snippet) -> list[str]:
    """Say how to run it; nothing for a file that is no program."""
    if snippet.path.suffix != ".py":
        return []
    if snippet.roles:
        folder = Path(snippet.where).parent.as_posix()
        return [f"python {folder}/{snippet.roles[0].argv[0]}"]
    return [f"python {snippet.where}"]


def served(snippet: Snippet) -> str:
    """Give the path at which the site has it; of a page, that of its source."""
    return snippet.where + (".txt" if snippet.path.suffix == ".html" else "")


def anchor(identifier: str) -> str:
    """Give the id of a program's first box on a page; `identifier` is `part/name`."""
    return f"snippet-{identifier.replace('/', '-')}"


def lines(snippet: Snippet) -> str:
    """Give what the ids of a program's lines begin with, before `-` and the number."""
    return f"{snippet.part}-{snippet.name}"


def line_address(snippet: Snippet, number: int, up: str) -> str:
    """Give the address of a line where the whole program stands.

    That is on the page itself, or on the program's own. `number` counts from 1 in
    the program as it is shown; `up` leads from the page to the top of the site.
    """
    page = f"{up}{address(snippet)}" if has_own_page(snippet) else ""
    return f"{page}#{lines(snippet)}-{number}"


def begin(
    snippet: Snippet,
    id: str,  # noqa: A002 - the word that HTML uses
    extent: str,
    up: str,
) -> str:
    """Open the box, with the bar at its top."""
    file = f"{up}{served(snippet)}"
    return (
        f'<div class="snippet" id="{id}"><div class="snippet-bar">'
        f'<a class="snippet-path" href="{file}">{snippet.where}</a> '
        f'<span class="snippet-extent">{extent}</span> '
        f'<a class="snippet-download" download="{snippet.path.name}" href="{file}" '
        f'aria-label="Download {snippet.path.name}">Download</a></div>'
    )


def end(snippet: Snippet) -> str:
    """Close the box, with the command and the needs."""
    needs = escape(", ".join(snippet.needs))
    if not commands(snippet) and not needs:
        return "</div>"
    return (
        '<p class="snippet-run">'
        + "".join(f"<code>{escape(command)}</code> " for command in commands(snippet))
        + (f'<span class="snippet-needs">Needs: {needs}</span>' if needs else "")
        + "</p></div>"
    )
