"""Links to other hosts, as a page writes them: which ones no reader should follow."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from handbook.problem import Problem, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = re.compile(r"http://(?:\[[0-9a-f:]+\])?[^\s)\]>\"'`]*", re.IGNORECASE)
ACTS = re.compile(
    r"(?:\]\(\s*<?|^\s*\[[^\]]+\]:\s*<?|<)(?P<scheme>javascript|vbscript|data|file):",
    re.IGNORECASE,
)
# Names that nobody has (RFC 2606, RFC 6761), where an example may stand.
NOBODY = ("example", "test", "invalid", "localhost")
EXAMPLES = ("example.com", "example.net", "example.org")


def wrong(root: Path, path: Path, text: str) -> Iterator[Problem]:
    """Find links that are not encrypted, and links that run or carry something."""
    for number, row in enumerate(text.splitlines(), 1):
        for match in PLAIN.finditer(row):
            if not _is_example(match[0]):
                yield Problem(
                    place(root, path, number),
                    f"{match[0]} is not encrypted: whoever is between may change it",
                    "write https://; an example takes 127.0.0.1, localhost or a name "
                    "such as chat.example",
                )
        for match in ACTS.finditer(row):
            yield Problem(
                place(root, path, number),
                f"a {match['scheme'].lower()}: link, which leads to no page",
                "link to an https:// address or to a page of the handbook",
            )


def _is_example(address: str) -> bool:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return False
    if host in EXAMPLES or host.rpartition(".")[2] in NOBODY:
        return True
    if host.endswith(tuple(f".{each}" for each in EXAMPLES)):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
