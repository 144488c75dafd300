"""The claims of the chapter on compression."""

from __future__ import annotations

import runpy
import sys
import tracemalloc
import zlib

import leak_by_size
import pytest
from permessage_deflate import PermessageDeflate
from rfc6455 import (
    Binary,
    ClientConnection,
    Closed,
    Request,
    ServerConnection,
    Text,
)

import processes
from handbook.claims import claim

TICK = b'{"symbol": "ABC", "price": 101.25, "size": 300}'


def packing(*, takeover: bool = True, window_bits: int = 12) -> PermessageDeflate:
    """Return one end of the compression, as a server has it."""
    extension = PermessageDeflate(takeover=takeover, window_bits=window_bits)
    assert extension.answer("permessage-deflate; client_max_window_bits")
    return extension


def pair(max_message: int = 1_000_000) -> tuple[ClientConnection, ServerConnection]:
    """Return two ends that have agreed on compression."""
    client = ClientConnection("127.0.0.1", extension=PermessageDeflate())
    server = ServerConnection(extension=PermessageDeflate(), max_message=max_message)
    server.feed(client.data_to_send())
    assert isinstance(next(server.events()), Request)
    server.accept()
    client.feed(server.data_to_send())
    next(client.events())
    return client, server


@claim(
    "short-messages-grow",
    "RFC 7692 section 7.2.1",
    often_said="Compression makes messages smaller.",
)
def test_a_short_message_grows() -> None:
    """Compression makes a short message longer, and random bytes, too."""
    assert len(packing().encode(b"Hello", fin=True)) > len(b"Hello")
    noise = zlib.compress(bytes(range(256)) * 4, 9)[2:-4]
    assert len(packing().encode(noise, fin=True)) > len(noise)
    assert len(packing().encode(TICK * 10, fin=True)) < len(TICK) * 3


@claim("context-is-what-pays", "RFC 7692 sections 7.1.1 and 7.2.3.2")
def test_a_message_like_the_last_one_takes_few_bytes() -> None:
    """With context, a message like the last one shrinks to a few bytes.

    Alone it shrinks hardly at all.
    """
    other = TICK.replace(b"101.25", b"101.50")
    kept, alone = packing(), packing(takeover=False)
    for extension in (kept, alone):
        extension.encode(TICK, fin=True)
    assert len(kept.encode(other, fin=True)) < len(TICK) / 4
    assert len(alone.encode(other, fin=True)) > len(TICK) * 3 / 4


@claim("each-message-may-be-plain", "RFC 7692 section 6")
def test_a_bit_says_whether_a_message_is_compressed() -> None:
    """The bit RSV1 of its first frame says whether a message is compressed.

    After the agreement, plain messages are still allowed.
    """
    client, server = pair()
    server.send("x" * 100)
    packed = server.data_to_send()
    assert packed[0] == 0xC1
    client.feed(b"\x81\x05plain" + packed)
    assert list(client.events()) == [Text("plain"), Text("x" * 100)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@claim("a-compressor-holds-memory", "zlib.h, deflateInit2", "RFC 7692 section 7.1.2")
def test_a_large_window_holds_more_memory_than_a_small_one() -> None:
    """Each connection with context holds the memory of its windows.

    A window of 2^15 bytes takes several times that of one of 2^12.
    """
    program = (
        "import sys, re, pathlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from permessage_deflate import PermessageDeflate\n"
        "def rss():\n"
        "    text = pathlib.Path('/proc/self/status').read_text()\n"
        "    return int(re.search(r'VmRSS:\\s+(\\d+)', text)[1])\n"
        "before = rss()\n"
        "kept = []\n"
        "for _ in range(200):\n"
        "    extension = PermessageDeflate(window_bits=int(sys.argv[2]))\n"
        "    extension.answer('permessage-deflate')\n"
        "    extension.encode(bytes(range(256)) * 150, fin=True)\n"
        "    kept.append(extension)\n"
        "print((rss() - before) / 200)\n"
    )
    folder = str(processes.SNIPPETS / "websockets")
    kilobytes = {}
    for bits in (12, 15):
        status, out, err = processes.run(
            [sys.executable, "-c", program, folder, str(bits)]
        )
        assert (status, err) == (0, "")
        kilobytes[bits] = float(out)
    assert kilobytes[15] > 3 * kilobytes[12] > 20


@claim("no-context-keeps-nothing", "RFC 7692 section 7.1.1")
def test_without_context_each_message_is_the_same() -> None:
    """Without context takeover nothing is kept between messages.

    The same message is the same bytes each time, and can be read without those before
    it.
    """
    alone = packing(takeover=False)
    first, second = (alone.encode(TICK, fin=True) for _ in range(2))
    assert first == second
    kept = packing()
    assert kept.encode(TICK, fin=True) != kept.encode(TICK, fin=True)
    reader = packing(takeover=False)
    assert reader.decode(second, fin=True, limit=1000) == TICK
    assert reader._decompressor is None
    assert alone._compressor is None


@claim(
    "bomb-is-not-unpacked",
    "RFC 6455 section 10.4",
    "Python docs: zlib, Decompress.decompress",
    often_said="A limit on the bytes of a frame is a limit on the message.",
)
def test_a_bomb_is_refused_without_being_unpacked() -> None:
    """A compressed frame of 50 kB can hold 50 MB.

    A receiver unpacks no more than its limit, and closes with 1009.
    """
    client, server = pair()
    client.send(bytes(50_000_000))
    bomb = client.data_to_send()
    assert len(bomb) < 60_000
    tracemalloc.start()
    try:
        server.feed(bomb)
        (closed,) = server.events()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(closed, Closed)
    assert closed.sent == 1009
    assert peak < 4_000_000
    client, server = pair(50_000_000)
    client.send(bytes(50_000_000))
    server.feed(client.data_to_send())
    (message,) = server.events()
    assert isinstance(message, Binary)


@claim("sizes-give-secrets-away", "RFC 7692 section 10", "RFC 7457 section 2.6")
def test_the_size_shows_whether_a_guess_is_right() -> None:
    """The size of a message may give away a secret in it.

    Where secret and guess are compressed together, it shows whether the guess is right,
    also through TLS.
    """
    sizes = {
        digit: leak_by_size.size(f"token={digit}~", apart=False)
        for digit in "0123456789"
    }
    shortest = [digit for digit in sizes if sizes[digit] == min(sizes.values())]
    assert shortest == ["7"]
    apart = {leak_by_size.size(f"token={d}~", apart=True) for d in "0123456789"}
    assert len(apart) == 1


def test_the_page_s_program_finds_the_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runpy.run_path(str(processes.SNIPPETS / "websockets" / "leak_by_size.py"))
    assert capsys.readouterr().out.startswith("together: token=7391\n")
