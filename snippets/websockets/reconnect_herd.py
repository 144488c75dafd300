"""A thousand clients come back to a server that has restarted: with jitter, without."""

import random
from collections import Counter
from collections.abc import Callable

CLIENTS = 1_000
EACH_SECOND = 100  # handshakes that the server manages; it refuses the rest
LONGEST = 30.0  # seconds


def backoff(attempt: int) -> float:
    """Wait twice as long before each further attempt."""
    return min(LONGEST, 2.0**attempt)


def jitter(attempt: int) -> float:
    """Wait for a random part of that."""
    return chance.uniform(0, backoff(attempt))


def wide_jitter(attempt: int) -> float:
    """Let also the first wait be a random part of many seconds."""
    return chance.uniform(0, min(LONGEST, 10 * backoff(attempt)))


def come_back(wait: Callable[[int], float]) -> tuple[int, int, int]:
    """Let all clients lose their connection at once, and try until they are back.

    Gives the attempts in the worst second, the attempts in all, and the second in
    which the last client gets in.
    """
    due = sorted((wait(0), client, 0) for client in range(CLIENTS))
    attempts: Counter[int] = Counter()
    while due:
        moment, client, attempt = due.pop(0)
        second = int(moment)
        attempts[second] += 1
        if attempts[second] > EACH_SECOND:  # refused
            due.append((moment + wait(attempt + 1), client, attempt + 1))
            due.sort()
    return max(attempts.values()), attempts.total(), max(attempts)


chance = random.Random(1)  # noqa: S311 - the same on each run
if __name__ == "__main__":
    for name, way in {
        "1, 2, 4 … s": backoff,
        "jitter: up to 1, 2, 4 … s": jitter,
        "jitter: up to 10, 20, 30 s": wide_jitter,
    }.items():
        worst, total, last = come_back(way)
        print(f"{name}  {worst:,}  {total:,}  {last} s")
