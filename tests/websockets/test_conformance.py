"""The core under the Autobahn test suite: both servers, both clients, compression.

Of the cases of compression (groups 12 and 13, which send 216,000 messages) one in
eighteen runs here; `make conformance` runs them all, which takes some minutes.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import ws_aio_client
import ws_client
from kosoku import FailureError, run_fuzzingclient, run_fuzzingserver
from permessage_deflate import PermessageDeflate

import processes
from handbook.claims import claim

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GROUPS = [*range(1, 8), 9, 10]
CASES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1}
ALL = os.environ.get("HANDBOOK_CASES") == "all"
COMPRESSED = (
    ["12.*", "13.*"]
    if ALL
    else [f"12.{n}.3" for n in range(1, 6)] + [f"13.{n}.3" for n in range(1, 8)]
)
SECONDS = 1200 if ALL else 200
LARGEST = 1 << 26  # bytes; the suite sends messages of 16 MiB

pytestmark = pytest.mark.timeout(SECONDS + 10)


def check(results: list[Any], expected: dict[int, int], who: str) -> None:
    """Fail unless all cases were run and passed, none of them NON-STRICT."""
    bad = [
        f"{r.case_id}: {r.behavior.value}, {r.behavior_close.value}: {r.result}"
        for r in results
        if {r.behavior.value, r.behavior_close.value} - {"OK", "INFORMATIONAL"}
    ]
    counted = Counter(int(r.case_id.partition(".")[0]) for r in results)
    print(who, dict(sorted(counted.items())), "not passed:", bad)
    assert bad == []
    assert counted == expected


async def against(port: int, cases: list[str]) -> list[Any]:
    """Run cases against a server."""
    try:
        return await asyncio.wait_for(
            run_fuzzingclient(f"127.0.0.1:{port}", cases, concurrency=8), SECONDS
        )
    except FailureError as error:
        return list(error.results)


@pytest.fixture
def run_long() -> Callable[..., Any]:
    """Run a coroutine in a thread of its own, whatever loop this thread has."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def run(coroutine: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, coroutine).result()  # noqa: TID251

    return run


@claim("core-passes-autobahn", "RFC 6455 sections 5, 7 and 8.1")
@pytest.mark.parametrize("program", ["ws_server.py", "ws_aio_server.py"])
def test_a_server_passes_every_case(program: str, run_long: Callable[..., Any]) -> None:
    """Both servers pass all cases of groups 1 to 7, 9 and 10 of Autobahn's suite.

    None is failed, and none NON-STRICT.
    """
    largest = ("--max-message", str(LARGEST))
    with processes.running(f"websockets/{program}", *largest) as server:
        cases = [f"{group}.*" for group in GROUPS]
        check(run_long(against(server.port, cases)), CASES, program)


def drive(port: int) -> None:
    """Send back what comes, case by case, as the suite asks of a client."""
    base = f"ws://127.0.0.1:{port}"
    with ws_client.WebSocket(f"{base}/getCaseCount") as websocket:
        count = int(websocket.recv())
    for number in range(1, count + 1):
        url = f"{base}/runCase?case={number}&agent=handbook"
        with ws_client.WebSocket(url, max_message=LARGEST) as websocket:
            try:
                while True:
                    websocket.send(websocket.recv())
            except (ws_client.ClosedError, RuntimeError):
                pass
    ws_client.WebSocket(f"{base}/updateReports?agent=handbook").close()


async def drive_async(port: int) -> None:
    """Do the same with the client for asyncio."""
    connect = ws_aio_client.WebSocket.connect
    base = f"ws://127.0.0.1:{port}"
    async with await connect(f"{base}/getCaseCount") as websocket:
        count = int(await websocket.recv())
    for number in range(1, count + 1):
        url = f"{base}/runCase?case={number}&agent=handbook"
        async with await connect(url, max_message=LARGEST) as websocket:
            try:
                while True:
                    await websocket.send(await websocket.recv())
            except (ws_aio_client.ClosedError, RuntimeError):
                pass
    await (await connect(f"{base}/updateReports?agent=handbook")).close()


@claim("core-clients-pass-autobahn", "RFC 6455 sections 5, 7 and 8.1")
@pytest.mark.parametrize("client", ["ws_client.py", "ws_aio_client.py"])
def test_a_client_passes_every_case(client: str, run_long: Callable[..., Any]) -> None:
    """Both clients pass all cases of groups 1 to 7, 9 and 10 of Autobahn's suite.

    None is failed, and none NON-STRICT.
    """

    async def serve() -> list[Any]:
        cases = [f"{group}.*" for group in GROUPS]
        async with run_fuzzingserver(cases, port=0) as server:
            if client == "ws_client.py":
                await asyncio.to_thread(drive, server.port)
            else:
                await drive_async(server.port)
            try:
                results = list(await asyncio.wait_for(server.get_result(), 10))
            except FailureError as error:
                results = list(error.results)
        return results

    check(run_long(serve()), CASES, client)


@claim("compression-passes-autobahn", "RFC 7692 section 7")
@pytest.mark.filterwarnings("ignore:unclosed file .*kosoku:ResourceWarning")
def test_compression_passes_its_cases(
    run_long: Callable[..., Any], tmp_path: Path
) -> None:
    """The extension permessage-deflate passes its cases of the Autobahn test suite."""
    folder = processes.SNIPPETS / "websockets"
    for name in ("rfc6455.py", "permessage_deflate.py"):
        shutil.copy(folder / name, tmp_path)
    source = (folder / "ws_aio_server.py").read_text()
    plain = "ServerConnection(max_message=limits.max_message)"
    assert plain in source
    packed = "ServerConnection(max_message=2**26, extension=PermessageDeflate())"
    program = tmp_path / "packed.py"
    program.write_text(
        source.replace(plain, packed).replace(
            "\nfrom rfc6455",
            "\nfrom permessage_deflate import PermessageDeflate\nfrom rfc6455",
        )
    )
    assert PermessageDeflate.__name__ in program.read_text()
    with processes.running(str(program)) as server:
        expected = {12: 90, 13: 126} if ALL else {12: 5, 13: 7}
        results = run_long(against(server.port, COMPRESSED))
        check(results, expected, "permessage_deflate.py")
