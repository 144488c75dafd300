"""What addresses this machine has."""

from __future__ import annotations

import socket

import pytest


def ipv6() -> bool:
    """Say whether this machine has the address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not ipv6(), reason="this machine has no ::1")
