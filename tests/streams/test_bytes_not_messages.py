"""The claims of "TCP carries bytes, not messages"."""

from __future__ import annotations

import errno
import json
import os
import runpy
import select
import socket
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from arrival import let_arrive
from handbook.claims import claim
from needing import require
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    Send = Callable[[socket.socket, bytes], object]

SNIPPETS = Path(__file__).resolve().parents[2] / "snippets" / "streams"
MORE_THAN_BUFFERS = 64_000_000  # bytes; tcp(7): tcp_wmem and tcp_rmem are far below

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: its ioctls, errors or buffers"
)
posix = pytest.mark.skipif(os.name != "posix", reason="there is no SO_RCVLOWAT")


def udp_pair(sockets: ExitStack) -> Ends:
    """Return two UDP sockets, the second of which receives from the first."""
    one, other = (
        sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)
    )
    other.bind(("127.0.0.1", 0))
    other.settimeout(PATIENCE)
    one.connect(other.getsockname())
    return one, other


# What a recv() returns


def check_boundaries_are_lost(sender: socket.socket, receiver: socket.socket) -> None:
    """Fail if the receiver can tell two sends from one."""
    sender.sendall(b"one")
    sender.sendall(b"two")
    if receiver.type == socket.SOCK_STREAM:
        let_arrive(receiver, 6)
    assert receiver.recv(1024) == b"onetwo"
    sender.sendall(b"one message")
    assert receiver.recv(3) == b"one"
    assert receiver.recv(1024) == b" message"


@posix
@claim(
    "one-send-is-one-recv",
    "RFC 9293 section 2.2",
    "RFC 9293 section 3.9.1.2",
    "recv(2)",
    often_said="What one send() has sent, one recv() returns.",
)
def test_sends_are_joined_and_split(ends: Ends) -> None:
    """TCP does not keep where a send() ended.

    One recv() may return the bytes of several sends, or a part of one.
    """
    check_boundaries_are_lost(*ends)


def test_the_check_of_boundaries_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError):
        check_boundaries_are_lost(*udp_pair(sockets))


@posix
@claim("recv-size-is-an-upper-limit", "recv(2)", "RFC 9293 section 3.9.1.3")
def test_recv_gives_what_is_there(ends: Ends) -> None:
    """The number given to recv() is an upper limit.

    recv() returns as soon as one byte is there, however many were asked for.
    """
    sender, receiver = ends
    sender.sendall(b"half of it")
    let_arrive(receiver, 10)
    assert receiver.recv(1_000_000) == b"half of it"  # it does not wait for more
    sender.sendall(b", the rest")
    let_arrive(receiver, 10)
    assert receiver.recv(2) == b", "
    assert receiver.recv(1_000_000) == b"the rest"


@claim("recv-makes-room-first", "CPython Modules/socketmodule.c, sock_recv()")
def test_recv_allocates_what_it_is_asked_for(ends: Ends) -> None:
    """Python's recv(n) makes a buffer of n bytes before any have come."""
    sender, receiver = ends
    sender.sendall(b"x")
    tracemalloc.start()
    try:
        assert receiver.recv(50_000_000) == b"x"
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most >= 50_000_000


@posix
@claim(
    "waitall-needs-a-socket-that-blocks",
    "recv(2) MSG_WAITALL",
    "Python docs: socket, Notes on socket timeouts",
)
def test_waitall_with_a_time_out_does_not_wait_for_all(ends: Ends) -> None:
    """MSG_WAITALL makes recv() wait for all bytes only on a socket that blocks.

    With a time-out Python keeps the socket in non-blocking mode, and recv() returns
    what is there.
    """
    sender, receiver = ends
    sender.sendall(b"half")
    let_arrive(receiver, 4)
    assert receiver.recv(8, socket.MSG_WAITALL) == b"half"

    receiver.settimeout(None)
    sender.settimeout(PATIENCE)
    got: list[bytes] = []
    reader = threading.Thread(
        target=lambda: got.append(receiver.recv(8, socket.MSG_WAITALL)), name="reader"
    )
    sender.sendall(b"half")
    reader.start()
    sender.sendall(b"half")
    reader.join(PATIENCE)
    assert got == [b"halfhalf"]


@claim("recv-zero-says-nothing", "Python docs: socket.recv", "recv(2)")
def test_recv_of_nothing_is_no_end(ends: Ends) -> None:
    """recv(0) returns b'' at once, though the stream goes on."""
    sender, receiver = ends
    assert receiver.recv(0) == b""
    sender.sendall(b"more")
    assert receiver.recv(0) == b""
    assert receiver.recv(4) == b"more"


def check_empty_means_the_end(sender: socket.socket, receiver: socket.socket) -> None:
    """Fail if recv() returns b'' while more is to come."""
    receiver.settimeout(0.2)
    with pytest.raises(TimeoutError):
        receiver.recv(1024)
    receiver.settimeout(PATIENCE)
    sender.sendall(b"")
    sender.sendall(b"still here")
    assert receiver.recv(1024) == b"still here"
    sender.close()
    assert [receiver.recv(1024) for _ in range(3)] == [b"", b"", b""]


@claim(
    "empty-bytes-mean-no-data-yet",
    "recv(2) RETURN VALUE",
    "RFC 9293 section 3.6",
    often_said="recv() returns b'' when there is nothing to read yet.",
)
def test_empty_bytes_are_the_end(ends: Ends) -> None:
    """When nothing has come, recv() waits, or raises an error.

    b'' means that the peer has ended its stream, and every later recv() returns it
    again at once.
    """
    check_empty_means_the_end(*ends)


def test_the_check_of_the_end_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError):  # with UDP b'' is an empty message
        check_empty_means_the_end(*udp_pair(sockets))


@claim(
    "an-end-half-way-is-no-error",
    "recv(2) RETURN VALUE",
    "RFC 9293 section 3.6",
)
def test_the_end_is_the_same_within_a_message(dial: Callable[[], Ends]) -> None:
    """A peer that closes in the middle of a message causes no error.

    recv() returns b'', as it does after a whole message.
    """
    for sent in (b"a whole message\n", b"half a mess"):
        sender, receiver = dial()
        sender.sendall(sent)
        sender.close()
        received = b""
        while piece := receiver.recv(1024):
            received += piece
        assert received == sent


# recv_exactly.py and wrong_one_recv.py


def test_the_function_to_copy_puts_any_pieces_together(ends: Ends) -> None:
    recv_exactly = runpy.run_path(str(SNIPPETS / "recv_exactly.py"))["recv_exactly"]
    sender, receiver = ends
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = os.urandom(300)

    def drip() -> None:
        for index in range(len(data)):
            sender.sendall(data[index : index + 1])

    threading.Thread(target=drip, name="sender").start()
    assert recv_exactly(receiver, 200) == data[:200]
    assert recv_exactly(receiver, 0) == b""
    assert recv_exactly(receiver, 100) == data[200:]

    long = os.urandom(5_000_000)
    threading.Thread(target=sender.sendall, args=(long,), name="sender").start()
    assert recv_exactly(receiver, len(long)) == long
    receiver.settimeout(0.2)
    with pytest.raises(TimeoutError):
        recv_exactly(receiver, 1)
    sender.sendall(b"four")
    sender.close()
    with pytest.raises(ConnectionError, match="ended after 4 of 5 bytes"):
        recv_exactly(receiver, 5)


def test_one_recv_fails_with_a_long_message(ends: Ends) -> None:
    receive = runpy.run_path(str(SNIPPETS / "wrong_one_recv.py"))["receive"]
    client, connection = ends
    client.sendall(json.dumps({"text": "short"}).encode())
    assert receive(connection) == 5
    client.sendall(json.dumps({"text": "x" * 10_000}).encode())
    with pytest.raises(json.JSONDecodeError, match="Unterminated string"):
        receive(connection)


# What a send() does


def check_sends_all(send: Send, ends: Ends) -> None:
    """Fail unless all that was given to send arrives, while the peer reads."""
    sender, receiver = ends
    arrived: list[int] = []

    def read() -> None:
        total = 0
        while piece := receiver.recv(1_000_000):
            total += len(piece)
        arrived.append(total)

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    try:
        send(sender, bytes(MORE_THAN_BUFFERS))
    finally:
        sender.shutdown(socket.SHUT_WR)
        reader.join(PATIENCE)
    assert arrived == [MORE_THAN_BUFFERS]


@claim(
    "sendall-sends-all",
    "Python docs: socket.sendall",
)
def test_sendall_sends_all(ends: Ends) -> None:
    """sendall() goes on until the kernel has taken all bytes, or raises an error."""
    check_sends_all(socket.socket.sendall, ends)


@linux
def test_the_check_of_sending_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError):
        check_sends_all(socket.socket.send, ends)


@linux
@claim(
    "send-sends-everything",
    "send(2)",
    "Python docs: socket.send",
    "Python docs: socket, Notes on socket timeouts",
    often_said="send() sends everything that you give it.",
)
def test_send_takes_what_fits(dial: Callable[[], Ends]) -> None:
    """send() may take a part of the bytes, and returns how many.

    On a blocking socket Linux waits until it has taken all, unless a signal handler
    or an error ends the call. With a time-out, or in non-blocking mode, it takes what
    fits.
    """
    for timeout in (PATIENCE, 0):
        sender, _reads_nothing = dial()
        sender.settimeout(timeout)
        taken = sender.send(bytes(MORE_THAN_BUFFERS))
        assert 0 < taken < MORE_THAN_BUFFERS

    sender, receiver = dial()
    sender.settimeout(None)
    arrived: list[int] = []

    def read() -> None:
        total = 0
        while total < MORE_THAN_BUFFERS:
            total += len(receiver.recv(1_000_000))
        arrived.append(total)

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    assert sender.send(bytes(MORE_THAN_BUFFERS)) == MORE_THAN_BUFFERS
    reader.join(PATIENCE)
    assert arrived == [MORE_THAN_BUFFERS]


@linux
@claim("sendall-error-hides-how-much", "Python docs: socket.sendall")
def test_after_an_error_of_sendall_some_may_have_arrived(ends: Ends) -> None:
    """When sendall() fails, nobody knows how much it has sent.

    A part of the bytes may have arrived; to send them again would send that part twice.
    """
    sender, receiver = ends
    sender.settimeout(0.3)
    with pytest.raises(TimeoutError) as caught:
        sender.sendall(bytes(MORE_THAN_BUFFERS))
    assert caught.value.args == ("timed out",)
    assert receiver.recv(1024) == bytes(1024)


@linux
@claim("sendall-time-out-is-for-all", "Python docs: socket.sendall")
def test_the_time_out_bounds_the_whole_sendall(ends: Ends) -> None:
    """The time-out of sendall() is for the whole call.

    It is over even if a piece was taken a moment ago; that of recv() is for each call.
    """
    sender, receiver = ends
    sender.settimeout(0.5)
    done = threading.Event()
    pieces: list[int] = []

    def read_slowly() -> None:
        while not done.wait(0.02):
            pieces.append(len(receiver.recv(65_536)))

    reader = threading.Thread(target=read_slowly, name="reader")
    reader.start()
    try:
        with pytest.raises(TimeoutError):
            sender.sendall(bytes(MORE_THAN_BUFFERS))
    finally:
        done.set()
        reader.join(PATIENCE)
    assert len(pieces) > 3  # the reader went on all the time


# What TCP promises


def check_arrives_in_order(send: Send, ends: Ends) -> None:
    """Fail unless what arrives is what was sent, byte for byte."""
    sender, receiver = ends
    blocks = [os.urandom(500_000) for _ in range(10)]

    def send_blocks() -> None:
        for block in blocks:
            send(sender, block)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send_blocks, name="sender")
    thread.start()
    received = bytearray()
    while piece := receiver.recv(65_536):
        received += piece
    thread.join(PATIENCE)
    same = bytes(received) == b"".join(blocks)  # pytest would compare 5 MB in words
    assert same, "other bytes, or in another order"


@claim("stream-keeps-order", "RFC 9293 section 2.2", "socket(2) SOCK_STREAM")
def test_bytes_arrive_in_the_order_in_which_they_were_sent(ends: Ends) -> None:
    """In each direction of a connection bytes arrive in the order of sending."""
    check_arrives_in_order(socket.socket.sendall, ends)


def test_the_check_of_order_can_fail(ends: Ends) -> None:
    def backwards(sock: socket.socket, block: bytes) -> None:
        half = len(block) // 2
        sock.sendall(block[half:])
        sock.sendall(block[:half])

    with pytest.raises(AssertionError, match="another order"):
        check_arrives_in_order(backwards, ends)


def check_a_lost_message_is_found_out_late(ends: Ends, leave: Send) -> None:
    """Fail unless a first send succeeds and the next tells that nobody is there."""
    sender, receiver = ends
    leave(receiver, b"")
    assert sender.send(b"hello") == 5  # it succeeds, and nobody will read it
    poll = select.poll()
    poll.register(sender, 0)  # POLLERR and POLLHUP are always reported
    assert poll.poll(2_000), "the connection lives"
    with pytest.raises(OSError, match=r".") as caught:
        sender.send(b"hello")
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)


@linux
@claim(
    "stream-is-reliable",
    "RFC 9293 section 2.2",
    "RFC 9293 section 3.8.3",
    "RFC 793 section 2.6",
    often_said="A stream is reliable: it guarantees the connection of both sides.",
)
def test_a_stream_is_complete_or_it_fails(ends: Ends) -> None:
    """Bytes arrive complete, in order and once, or the connection fails.

    Nothing guarantees that it lives, and what was sent last may never be read.
    """
    check_a_lost_message_is_found_out_late(ends, lambda sock, _: sock.close())


@linux
def test_the_check_of_a_lost_message_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="the connection lives"):
        check_a_lost_message_is_found_out_late(ends, lambda _sock, _data: None)


def internet_checksum(data: bytes) -> int:
    """Return the checksum of TCP (RFC 1071 section 1), of an even number of bytes."""
    total = sum(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@posix
@claim(
    "tcp-delivers-packets-without-error",
    "RFC 9293 section 2.2",
    "RFC 9293 section 3.1",
    "RFC 1071 section 2",
    often_said="TCP is made so that packets arrive in order and without error.",
)
def test_the_checksum_misses_what_is_swapped(ends: Ends) -> None:
    """TCP delivers a stream of bytes, and no packets.

    It finds most damage by a checksum of 16 bits, but not all: two words that have
    changed places give the same sum.
    """
    check_boundaries_are_lost(*ends)
    paid, swapped = b"PAY 1000 TO ANN ", b"PAY 0010 TO ANN "
    assert internet_checksum(paid) == internet_checksum(swapped)
    assert internet_checksum(paid) != internet_checksum(b"PAY 1001 TO ANN ")


@linux
@claim("tcp-acks-give-stability", "RFC 9293 section 2.2", "RFC 793 section 2.6")
def test_the_receiving_kernel_acknowledges(ends: Ends) -> None:
    """TCP numbers the bytes, and the receiving kernel acknowledges them.

    It does so before its program has read any. What is not acknowledged is sent
    again.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows
    import termios  # noqa: PLC0415

    sender, receiver = ends
    sender.sendall(bytes(1000))
    let_arrive(receiver, 1000)

    def number(sock: socket.socket, request: int) -> int:
        return int.from_bytes(fcntl.ioctl(sock, request, bytes(4)), sys.byteorder)

    acknowledged = threading.Event()
    for _ in range(250):  # a delayed acknowledgement may take a moment
        if number(sender, termios.TIOCOUTQ) == 0:  # tcp(7), SIOCOUTQ
            acknowledged.set()
            break
        acknowledged.wait(0.02)
    assert acknowledged.is_set()
    assert number(receiver, termios.FIONREAD) == 1000  # nobody has called recv()


@claim(
    "stream-suits-bulk-not-small",
    "RFC 9293 section 3.7.4",
    "tcp(7) TCP_NODELAY",
    often_said="Stream sockets are for large amounts of data, not for small ones.",
)
def test_single_bytes_go_back_and_forth(ends: Ends) -> None:
    """TCP carries single bytes as well as gigabytes.

    Small messages want one connection for many of them, TCP_NODELAY if they must go at
    once, and an end that the receiver can find.
    """
    for end in ends:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client, connection = ends
    for number in range(500):
        client.sendall(bytes([number % 256]))
        assert connection.recv(1024) == bytes([number % 256])
        connection.sendall(b"!")
        assert client.recv(1024) == b"!"


@linux
def test_what_is_not_acknowledged_is_sent_again(ends: Ends) -> None:
    """The other half of tcp-acks-give-stability: a segment is lost, and comes later."""
    require("socket filters")
    program = runpy.run_path(str(SNIPPETS / "last_ack_lost.py"))
    sender, receiver = ends
    program["set_filter"](receiver, program["SO_ATTACH_FILTER"])
    sender.sendall(b"lost once")
    receiver.settimeout(0.05)
    with pytest.raises(TimeoutError):
        receiver.recv(1024)
    program["set_filter"](receiver, program["SO_DETACH_FILTER"])
    receiver.settimeout(PATIENCE)
    assert receiver.recv(1024) == b"lost once"
    info = sender.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    retransmitted = int.from_bytes(info[100:104], sys.byteorder)  # tcpi_total_retrans
    assert retransmitted >= 1


@linux
def test_a_signal_ends_a_blocking_send_half_way() -> None:
    """The exception of send-sends-everything, in a process of its own."""
    program = f"""
import signal, socket
signal.signal(signal.SIGALRM, lambda *_: None)
listener = socket.create_server(("127.0.0.1", 0))
sender = socket.create_connection(listener.getsockname())
signal.setitimer(signal.ITIMER_REAL, 0.3)
print(0 < sender.send(bytes({MORE_THAN_BUFFERS})) < {MORE_THAN_BUFFERS})
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr
