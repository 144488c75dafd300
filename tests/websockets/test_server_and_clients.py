"""The claims of the chapter on servers and clients with the websockets library."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import socket
import struct
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import feed_client
import pytest
import reconnect
import wsproto
import wsproto.events
from websockets.asyncio.client import connect
from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

from handbook.claims import claim
from patience import BRIEF, PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from websockets.asyncio.client import ClientConnection
    from websockets.asyncio.server import Server, ServerConnection

    Run = Callable[[Any], Any]

SNIPPETS = Path(__file__).resolve().parents[2] / "snippets" / "websockets"
PICTURE = bytes(1_000_000)
SILENCE = 0.5  # seconds in which nothing may come


def url_of(server: Server) -> str:
    """Return the address of a server on loopback."""
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def stay(connection: ServerConnection) -> None:
    """Keep a connection until it is closed: a handler that does nothing."""
    await connection.wait_closed()


@contextlib.asynccontextmanager
async def hall(
    size: int, **settings: Any
) -> AsyncIterator[tuple[list[ServerConnection], list[ClientConnection]]]:
    """Open so many connections, with little room in the kernel: both ends of each."""
    members: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        members.append(connection)
        await connection.wait_closed()

    async with AsyncExitStack() as stack:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        server = await stack.enter_async_context(
            serve(handler, sock=listener, compression=None, **settings)
        )
        clients = [
            await stack.enter_async_context(connect(url_of(server), compression=None))
            for _ in range(size)
        ]
        try:
            yield members, clients
        finally:
            for end in (*members, *clients):
                end.transport.abort()


async def nothing_comes(client: ClientConnection) -> bool:
    """Say whether a client gets no message for half a second."""
    try:
        async with asyncio.timeout(SILENCE):
            await client.recv()
    except TimeoutError:
        return True
    return False


@claim("ws-connection-is-persistent", "RFC 6455 section 1.4", "RFC 6455 section 5.5.2")
def test_one_connection_carries_all_messages(run_async: Run) -> None:
    """A WebSocket stays open, one TCP connection, until a side closes or it breaks."""
    seen = []

    async def handler(connection: ServerConnection) -> None:
        seen.append(connection.remote_address)
        async for message in connection:
            await connection.send(message)

    async def converse() -> None:
        async with (
            serve(handler, "127.0.0.1", 0) as server,
            connect(url_of(server)) as client,
        ):
            local = client.local_address
            for number in range(100):
                await client.send(str(number))
                assert await client.recv() == str(number)
            latency = await (await client.ping(b"still there?"))
            assert latency >= 0
            assert client.local_address == local
            assert seen == [local]

    run_async(converse())


@claim("ws-full-duplex-on-one-tcp", "RFC 6455 section 1.1")
def test_both_sides_send_at_once_on_one_connection(run_async: Run) -> None:
    """A WebSocket carries messages both ways at once, over one TCP connection.

    The server need not be asked: here it speaks first.
    """
    addresses = []

    async def exchange(connection: Any, mine: str) -> list[str]:
        async def send() -> None:
            for number in range(200):
                await connection.send(f"{mine}{number}" + "." * 10_000)

        sending = asyncio.create_task(send())
        got = [(await connection.recv()).rstrip(".") for _ in range(200)]
        await sending
        return got

    async def handler(connection: ServerConnection) -> None:
        addresses.append(connection.remote_address)
        await connection.send("welcome")
        assert await exchange(connection, "s") == [f"c{n}" for n in range(200)]
        await connection.wait_closed()

    async def converse() -> None:
        async with (
            serve(handler, "127.0.0.1", 0, compression=None) as server,
            connect(url_of(server), compression=None) as client,
        ):
            assert await client.recv() == "welcome"
            assert await exchange(client, "c") == [f"s{n}" for n in range(200)]
            assert addresses == [client.local_address]

    run_async(converse())


async def answers_in_order(client: ClientConnection) -> None:
    """Fail unless the next answer belongs to the oldest question."""
    for question in ("a", "b", "c"):
        await client.send(json.dumps({"text": question}))
    for question in ("a", "b", "c"):
        answer = json.loads(await client.recv())
        assert answer["text"] == question.upper(), "the answer to another question"


async def answers_by_id(client: ClientConnection) -> None:
    """Fail unless each answer can be given to its question."""
    asked = {}
    for number, question in enumerate(("a", "b", "c")):
        asked[number] = question
        await client.send(json.dumps({"text": question, "id": number}))
    for _ in range(3):
        answer = json.loads(await client.recv())
        assert answer["text"] == asked.pop(answer["id"]).upper()
    assert not asked


@claim(
    "ws-is-near-real-time-request-response",
    "RFC 6455 section 1.2",
    often_said="WebSocket is request and response in near real time.",
)
def test_messages_are_no_requests_and_responses(run_async: Run) -> None:
    """A WebSocket has messages, and no requests or responses.

    Which message answers which is for your protocol to say, for example by an id.
    """

    async def handler(connection: ServerConnection) -> None:
        while True:  # the last of three is answered first
            questions = [json.loads(await connection.recv()) for _ in range(3)]
            for question in reversed(questions):
                question["text"] = question["text"].upper()
                await connection.send(json.dumps(question))

    async def converse() -> None:
        async with (
            serve(handler, "127.0.0.1", 0) as server,
            connect(url_of(server)) as client,
        ):
            await answers_by_id(client)
            with pytest.raises(AssertionError, match="another question"):
                await answers_in_order(client)

    run_async(converse())


@claim("ws-is-application-standard", "RFC 6455 section 1.2")
def test_two_libraries_that_share_no_code_understand_each_other(
    run_async: Run,
) -> None:
    """WebSocket is a standard above TCP: libraries that share no code agree."""

    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def wait_for(
        reader: asyncio.StreamReader, other: wsproto.WSConnection, kind: type
    ) -> Any:
        while True:
            for event in other.events():
                if isinstance(event, kind):
                    return event
            other.receive_data(await reader.read(65_536) or None)

    async def converse() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            other = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
            writer.write(other.send(wsproto.events.Request("127.0.0.1", "/")))
            assert await wait_for(reader, other, wsproto.events.AcceptConnection)
            writer.write(other.send(wsproto.events.TextMessage("한글")))
            echo = await wait_for(reader, other, wsproto.events.TextMessage)
            assert echo.data == "한글"
            writer.write(other.send(wsproto.events.CloseConnection(1000)))
            closed = await wait_for(reader, other, wsproto.events.CloseConnection)
            assert closed.code == 1000
            writer.close()
            await writer.wait_closed()

    run_async(converse())


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MASK = bytes(4)  # a mask of zeros: what follows it stands as it is


@claim("ws-is-more-complex", "RFC 6455 section 5.1", "RFC 6455 section 7.4.1")
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x83\x80" + MASK, 1002),  # an opcode that does not exist
        (b"\x80\x80" + MASK, 1002),  # the rest of a message that was not begun
        (b"\x09\x80" + MASK, 1002),  # a ping in fragments
        (b"\x81\x81" + MASK + b"\xff", 1007),  # not UTF-8
        (b"\x82\xfe\xff\xff" + MASK + bytes(65_535), 1009),  # larger than allowed
    ],
    ids=["unmasked", "opcode", "continuation", "ping", "utf-8", "size"],
)
def test_a_receiver_has_many_rules_to_check(
    run_async: Run, frame: bytes, code: int
) -> None:
    """WebSocket has more rules than a stream that one side writes and the other reads.

    It has a handshake, masks, fragments, control frames and codes; whoever receives
    checks them all, and closes with a code when one is broken.
    """

    async def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()

    async def converse() -> bytes:
        async with serve(handler, "127.0.0.1", 0, max_size=10_000) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(UPGRADE)
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frame)
            head = await reader.readexactly(4)
            writer.close()
            return head

    head = run_async(converse())
    assert head[0] == 0x88  # a close frame
    assert struct.unpack("!H", head[2:])[0] == code


@claim(
    "handler-takes-one-argument",
    "websockets docs: Upgrade to the new asyncio implementation",
    often_said="A handler is written handler(websocket, path).",
)
def test_a_handler_that_wants_a_path_fails(
    run_async: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler of websockets takes one argument, the connection.

    One that wants a path too fails for each client, which is closed with 1011.
    """

    async def handler(connection: ServerConnection, path: str) -> None:
        await connection.send(path)

    async def converse() -> None:
        async with (
            serve(cast("Any", handler), "127.0.0.1", 0) as server,
            connect(url_of(server)) as client,
        ):
            with pytest.raises(ConnectionClosed, match="received 1011"):
                await client.recv()

    run_async(converse())
    assert "missing 1 required positional argument: 'path'" in caplog.text


async def one_by_one(members: list[ServerConnection], message: bytes) -> None:
    """Send to all, the next one when the one before has taken it: the loop."""
    for member in members:
        await member.send(message)


async def each_by_itself(members: list[ServerConnection], message: bytes) -> None:
    """Send to all from a task for each, so that none waits for another."""
    await asyncio.gather(*[member.send(message) for member in members])


async def check_others_are_served(
    tell_all: Callable[[list[ServerConnection], bytes], Awaitable[None]],
) -> None:
    """Fail unless the third client gets its message while the second reads nothing."""
    async with hall(3) as (members, (_, slow, last)):
        slow.transport.pause_reading()
        telling = asyncio.ensure_future(tell_all(members, PICTURE))
        try:
            assert not await nothing_comes(last), "the third client got nothing"
        finally:
            for member in members:
                member.transport.abort()
            with contextlib.suppress(ConnectionClosed):
                await telling


@claim(
    "slow-client-stalls-the-loop",
    "websockets docs: Broadcasting messages",
    often_said="To send to all clients, await send() for each of them in a loop.",
)
def test_a_loop_of_sends_waits_for_the_slowest(run_async: Run) -> None:
    """A loop that awaits send() for one client after the other waits for the slowest.

    All after it get nothing, and nobody gets the next message.
    """
    run_async(check_others_are_served(each_by_itself))
    with pytest.raises(AssertionError, match="got nothing"):
        run_async(check_others_are_served(one_by_one))


@claim(
    "set-of-clients-changes-under-the-loop",
    "Python docs: tutorial, section 4.2",
)
def test_a_client_that_joins_during_the_loop_breaks_it(run_async: Run) -> None:
    """A loop over a set of clients that awaits in its body may find the set changed.

    A client that joins meanwhile makes it fail; loop over a copy.
    """
    clients = {1, 2, 3}

    async def loop_over(members: set[int] | list[int]) -> None:
        for _ in members:
            clients.add(len(clients) + 1)  # what a handler does meanwhile
            await asyncio.sleep(0)  # waits: for nothing; other tasks run here

    run_async(loop_over(list(clients)))
    with pytest.raises(RuntimeError, match="Set changed size during iteration"):
        run_async(loop_over(clients))


@claim("broadcast-has-no-backpressure", "websockets docs: broadcast()")
def test_broadcast_puts_it_all_into_memory(run_async: Run) -> None:
    """broadcast() of websockets waits for nobody.

    What a client does not read stays in the server's memory, without a limit.
    """

    async def grow() -> list[int]:
        sizes = []
        async with hall(2) as (members, (_, slow)):
            slow.transport.pause_reading()
            for _ in range(5):
                broadcast(members, PICTURE)
                sizes.append(members[1].transport.get_write_buffer_size())
        return sizes

    sizes = run_async(grow())
    assert sizes[-1] > 4_000_000
    assert all(after - before > 900_000 for before, after in itertools.pairwise(sizes))


@claim(
    "full-buffer-stops-ping-and-close",
    "websockets 17.4 asyncio/connection.py: send_context() awaits drain()",
    often_said="ping_timeout cuts off a client that does not read.",
)
def test_neither_ping_nor_close_ends_a_full_connection(run_async: Run) -> None:
    """In websockets 17.4 a full write buffer stops ping_timeout and close_timeout.

    Both wait for room in it first, without a limit, and with them Server.close();
    transport.abort() does not.
    """

    async def converse() -> None:
        times = {"ping_interval": 0.1, "ping_timeout": 0.1, "close_timeout": 0.1}
        async with hall(1, **times) as ([member], [slow]):
            slow.transport.pause_reading()
            broadcast([member], PICTURE)
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(SILENCE):
                        await member.wait_closed()
                assert member.state.name in ("OPEN", "CLOSING")
                closing = asyncio.create_task(member.close())
            member.transport.abort()
            async with asyncio.timeout(PATIENCE):
                await closing
            assert member.close_code == 1006
        async with hall(1, **times) as ([member], [slow]):
            slow.transport.pause_reading()
            broadcast([member], PICTURE)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await member.wait_closed()
            # A ping is stuck by now. One that is due later gives the connection up.
            member.server.close()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await member.server.wait_closed()
            member.transport.abort()
            async with asyncio.timeout(PATIENCE):
                await member.server.wait_closed()
            assert member.close_code == 1006

    run_async(converse())


def test_a_handler_that_reads_nothing_loses_a_client_that_talks(
    run_async: Run,
) -> None:
    async def code(messages: int, watched: float) -> int | None:
        async with (
            serve(
                stay, "127.0.0.1", 0, ping_interval=0.2, ping_timeout=BRIEF
            ) as server,
            connect(url_of(server)) as client,
        ):
            for _ in range(messages):
                await client.send("x")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(watched):
                    await client.wait_closed()
            return client.close_code

    assert run_async(code(1, 2 * BRIEF)) is None
    assert (
        run_async(code(100, PATIENCE)) == 1011
    )  # the pong stands behind what nobody reads


def test_ping_timeout_does_end_a_connection_with_room(run_async: Run) -> None:
    async def converse() -> None:
        async with hall(1, ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1) as (
            [member],
            [slow],
        ):
            slow.transport.pause_reading()
            async with asyncio.timeout(PATIENCE):
                await member.wait_closed()

    run_async(converse())


@claim(
    "missed-messages-do-not-come-back",
    "RFC 6455 section 7.2.3: a new connection, and nothing of the old one",
    often_said="After a reconnect the messages that were missed come by themselves.",
)
def test_a_new_connection_knows_nothing_of_the_old_one(run_async: Run) -> None:
    """A new connection begins anew: what was sent meanwhile is gone.

    Whoever wants it asks for it, for example by the last id that it has.
    """

    async def converse() -> None:
        async with serve(stay, "127.0.0.1", 0) as server:
            async with connect(url_of(server)) as client:
                broadcast(server.connections, "one")
                assert await client.recv() == "one"
            await asyncio.wait_for(no_clients(server), PATIENCE)
            broadcast(server.connections, "two")
            async with connect(url_of(server)) as client:
                broadcast(server.connections, "three")
                assert await client.recv() == "three"

    async def no_clients(server: Server) -> None:
        for connection in server.connections:
            await connection.wait_closed()

    run_async(converse())


Members = dict[str, list[int]]


async def count_in_first(history: list[int], members: Members, name: str) -> None:
    """Take a client in: no await between what was and what comes."""
    members[name] = list(history)
    await asyncio.sleep(0)  # waits: as a send() of what was missed would


async def send_first(history: list[int], members: Members, name: str) -> None:
    """Take a client in after the messages that it missed have been sent."""
    missed = list(history)
    await asyncio.sleep(0)  # waits: as a send() of what was missed would
    members[name] = missed


async def check_nothing_is_lost(
    take_in: Callable[[list[int], Members, str], Awaitable[None]],
) -> None:
    """Fail if a client that comes back misses what is published at that moment."""
    history = [1, 2, 3]
    members: Members = {}
    coming_back = asyncio.ensure_future(take_in(history, members, "ann"))
    await asyncio.sleep(0)  # waits: until it is in the middle of that
    history.append(4)
    for got in members.values():
        got.append(4)
    await coming_back
    assert members["ann"] == [1, 2, 3, 4], "a message is lost"


@claim(
    "no-await-between-past-and-future",
    "Python docs: Developing with asyncio, Concurrency and Multithreading",
    often_said="Send a client what it missed, and then add it to the set of clients.",
)
def test_an_await_between_past_and_future_loses_messages(run_async: Run) -> None:
    """A client is counted in before the first await, or it misses a message.

    While the server sends what was missed, other tasks run, and publish.
    """
    run_async(check_nothing_is_lost(count_in_first))
    with pytest.raises(AssertionError, match="a message is lost"):
        run_async(check_nothing_is_lost(send_first))


@claim(
    "builtin-reconnect-does-not-pause",
    "websockets 17.4 asyncio/client.py: connect.__aiter__()",
    often_said="async for … in connect() always waits before it dials again.",
)
def test_the_builtin_loop_dials_at_once_after_a_connection(run_async: Run) -> None:
    """The loop `async for connection in connect(url)` pauses when dialling failed.

    After a connection that was open, however briefly, it dials again at once.
    """
    dialled = 0

    async def busy(connection: ServerConnection) -> None:
        nonlocal dialled
        dialled += 1
        await connection.close(1013, "try again later")

    async def converse() -> None:
        async with serve(busy, "127.0.0.1", 0) as server, asyncio.timeout(PATIENCE):
            async for connection in connect(url_of(server)):
                with contextlib.suppress(ConnectionClosed):
                    await connection.recv()
                if dialled == 50:
                    break

    run_async(converse())
    assert dialled == 50


def check_nobody_comes_in_a_crowd(pauses: Callable[[], Iterator[float]]) -> None:
    """Fail if over 100 of 1000 clients come back in the same tenth of a second."""
    first = [next(pauses()) for _ in range(1000)]
    slots: dict[int, int] = {}
    for seconds in first:
        slots[int(seconds * 10)] = slots.get(int(seconds * 10), 0) + 1
    assert max(slots.values()) <= 100, "a crowd"


@claim("jitter-spreads-the-crowd", "RFC 6455 section 7.2.3")
def test_a_random_pause_spreads_the_clients() -> None:
    """Clients that lost one server come back in a crowd unless their pauses differ."""

    def doubled() -> Iterator[float]:
        seconds = 5.0
        while True:
            yield seconds
            seconds = min(2 * seconds, 30)

    check_nobody_comes_in_a_crowd(reconnect.pauses)
    check_nobody_comes_in_a_crowd(lambda: feed_client.pauses(30.0))
    with pytest.raises(AssertionError, match="a crowd"):
        check_nobody_comes_in_a_crowd(doubled)
    with pytest.raises(AssertionError, match="a crowd"):  # random, but too narrow
        check_nobody_comes_in_a_crowd(lambda: reconnect.pauses(0.1))


@pytest.mark.parametrize("gentle", [True, False], ids=["1001", "1006"])
def test_a_mistake_of_the_callback_is_no_lost_connection(
    run_async: Run, *, gentle: bool
) -> None:
    reasons: list[str] = []

    async def handler(connection: ServerConnection) -> None:
        await connection.send("first" if not reasons else "second")
        if gentle:
            await connection.close(1001)
        else:
            connection.transport.abort()

    async def got(message: str | bytes) -> None:
        if message == "second":
            raise OSError("disk full")

    async def lost(reason: str) -> None:
        reasons.append(reason)

    async def converse() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            with pytest.raises(OSError, match="disk full"):
                await reconnect.listen(url_of(server), got, lost, first=0.01)

    run_async(converse())
    assert reasons == [f"closed with {1001 if gentle else 1006}"]


def test_pauses_grow_up_to_the_limit_and_no_further() -> None:
    many = [list(itertools.islice(feed_client.pauses(30.0), 5)) for _ in range(500)]
    for limit, seen in zip((5, 10, 20, 30, 30), zip(*many, strict=True), strict=True):
        assert 0.9 * limit < max(seen) <= limit


@claim(
    "server-close-is-1001", "RFC 6455 section 7.4.1", "websockets docs: Server.close()"
)
def test_what_was_sent_before_the_close_arrives(run_async: Run) -> None:
    """Server.close() of websockets closes each connection with code 1001.

    A client gets what was sent before; what waits in a queue of yours is lost.
    """
    waiting = asyncio.Queue[str]()

    async def write(connection: ServerConnection, turn: asyncio.Event) -> None:
        while True:
            await connection.send(await waiting.get())
            await turn.wait()  # as at a limited rate

    async def handler(connection: ServerConnection) -> None:
        for number in range(100):
            await connection.send(str(number))
        turn = asyncio.Event()
        writing = asyncio.create_task(write(connection, turn))
        await connection.wait_closed()
        assert waiting.qsize() == 1
        turn.set()
        with pytest.raises(ConnectionClosed):
            await writing

    async def converse() -> None:
        async with (
            serve(handler, "127.0.0.1", 0) as server,
            connect(url_of(server), max_queue=4) as client,
        ):
            for text in ("100", "never sent"):
                waiting.put_nowait(text)
            server.close()
            got = [await client.recv() for _ in range(101)]
            assert got == [str(number) for number in range(101)]
            with pytest.raises(ConnectionClosedOK, match=r"received 1001 \(going away"):
                await client.recv()

    run_async(converse())


def test_messages_still_arrive_while_the_other_side_closes(run_async: Run) -> None:
    """What a client has sent before it saw the close frame is delivered."""
    got = []

    async def handler(connection: ServerConnection) -> None:
        got.extend([message async for message in connection])

    async def converse() -> None:
        async with (
            serve(handler, "127.0.0.1", 0) as server,
            connect(url_of(server)) as client,
        ):
            [connection] = server.connections
            client.transport.pause_reading()  # so it does not see the close frame
            server.close()
            async with asyncio.timeout(PATIENCE):
                while connection.state.name == "OPEN":  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0)  # waits: until the close frame is sent
            await client.send("on its way")
            client.transport.resume_reading()
            await server.wait_closed()

    run_async(converse())
    assert got == ["on its way"]
