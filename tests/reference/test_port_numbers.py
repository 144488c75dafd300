"""The table of common ports says what the system's own list of services says."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from handbook.needs import reason

PAGE = Path(__file__).parents[2] / "docs/reference/port-numbers.md"
ROW = re.compile(r"^\| (?P<port>\d+) \| (?P<name>[\w-]+) \|", re.MULTILINE)


def rows() -> list[tuple[int, str]]:
    return [(int(row["port"]), row["name"]) for row in ROW.finditer(PAGE.read_text())]


def ports_of(name: str) -> set[int]:
    """Ask services(5) for a name's ports; it need not know it."""
    found = set()
    for protocol in ("tcp", "udp"):
        try:
            found.add(socket.getservbyname(name, protocol))
        except OSError:
            continue
    return found


def test_the_table_has_forty_ports_in_their_order() -> None:
    ports = [port for port, _ in rows()]
    assert len(ports) == 40
    assert ports == sorted(set(ports))


def test_each_name_has_the_port_that_the_system_gives_it() -> None:
    if not ports_of("ssh"):
        pytest.skip(reason("names of services"))
    known = {name: ports_of(name) for _, name in rows()}
    wrong = [row for row in rows() if known[row[1]] not in (set(), {row[0]})]
    assert not wrong
    assert sum(bool(ports) for ports in known.values()) > 30, "hardly anything compared"
