"""Run the cases of the Autobahn test suite against both servers, and count them.

Needs: rfc6455.py, ws_server.py, ws_aio_server.py, pip install kosoku
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kosoku import FailureError, run_fuzzingclient

if TYPE_CHECKING:
    from kosoku._kosoku import CaseResult

SERVERS = ("ws_server.py", "ws_aio_server.py")
GROUPS = {
    "1": "lengths of messages",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "reserved opcodes",
    "5": "fragments",
    "6": "UTF-8",
    "7": "closing",
    "10": "many fragments",
}


async def run(url: str, cases: list[str]) -> dict[str, CaseResult]:
    """Run some cases; give what came of each."""
    try:
        async with asyncio.timeout(50):
            results = await run_fuzzingclient(url, cases, concurrency=8)
    except FailureError as error:
        results = error.results
    return {result.case_id: result for result in results}


async def verdicts(program: str) -> Counter[tuple[str, str]]:
    """Run all cases against a server; count them by group and verdict."""
    server = await asyncio.create_subprocess_exec(
        # Another program is no part of what this one shows: -E keeps it to itself.
        *(sys.executable, "-E", Path(__file__).with_name(program)),
        stdout=PIPE,
    )
    try:
        line = await server.stdout.readline() if server.stdout else b""
        url = f"127.0.0.1:{line.decode().split()[-1]}"
        cases = [f"{group}.*" for group in GROUPS]
        results = await run(url, cases)
        # Four cases give their answer a second:
        # a slow machine has two more tries at them.
        for _ in range(2):
            late = [c for c, r in results.items() if r.behavior.value == "NON-STRICT"]
            results |= await run(url, late) if late else {}
    finally:
        server.terminate()
        await server.communicate()
    counted: Counter[tuple[str, str]] = Counter()
    for result in results.values():
        told = {result.behavior.value, result.behavior_close.value}
        # Three cases send what the RFC leaves open; their verdict is INFORMATIONAL.
        fine = told <= {"OK", "INFORMATIONAL"}
        verdict = " ".join(sorted(told)) if len(told) == 1 or not fine else "OK"
        counted[result.case_id.partition(".")[0], verdict] += 1
    return counted


async def main() -> None:
    """Print a table of groups and servers."""
    found = await asyncio.gather(*map(verdicts, SERVERS))
    print(f"group  {'what':19}  {SERVERS[0]:28}  {SERVERS[1]}")
    for group, what in GROUPS.items():
        cells = [
            ", ".join(
                f"{count} {verdict}"
                for (where, verdict), count in sorted(counted.items(), reverse=True)
                if where == group
            )
            for counted in found
        ]
        print(f"{group:5}  {what:19}  {cells[0]:28}  {cells[1]}")


if __name__ == "__main__":
    asyncio.run(main())
