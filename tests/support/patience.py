"""How long a test waits."""

from __future__ import annotations

# Seconds, for what should happen at once: they bound what hangs, and measure nothing. A
# machine that has other work, or stops for a moment, is not at fault.
PATIENCE = 60

# Seconds, for a time-out that is meant to strike while all else goes right: longer than
# a busy machine stops for.
BRIEF = 3
