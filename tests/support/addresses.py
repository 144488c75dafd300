"""What addresses this machine has."""

from __future__ import annotations

import pytest

from handbook.pytest_plugin import NETWORK
from handbook.snippet import OF_THE_NETWORK

needs_ipv6 = pytest.mark.skipif(not OF_THE_NETWORK["IPv6"](), reason=f"{NETWORK}IPv6")
