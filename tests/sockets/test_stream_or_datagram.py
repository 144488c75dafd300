"""The claims of "TCP or UDP?"."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from arrival import let_arrive
from handbook.claims import cited, claim
from handbook.needs import reason
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: its limits, options or errors"
)
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
LARGEST_PACKET = 65_535  # bytes: Total Length is 16 bits, RFC 791 section 3.1
IP_HEADER, UDP_HEADER = 20, 8  # bytes: RFC 791 section 3.1, RFC 768
SIOCOUTQNSD = 0x894B  # linux/sockios.h: bytes in the send buffer, not yet sent
IP_RECVERR = 11  # linux/in.h
SILENCE = 0.3  # seconds; on loopback what was sent is there long before

ROUTES = """
import socket
for address in ("127.0.0.1", "198.51.100.7"):
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        try:
            sock.connect((address, 9))
        except OSError as error:
            print(error)
        else:
            print("from", sock.getsockname()[0])
"""


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


def udp(sockets: ExitStack, *, bound: bool = True) -> socket.socket:
    """Return a UDP socket; recv() waits a minute at most."""
    made = sockets.enter_context(socket.socket(type=DATAGRAM))
    made.settimeout(PATIENCE)
    if bound:
        made.bind(("127.0.0.1", 0))
    return made


def nobody(sockets: ExitStack) -> tuple[str, int]:
    """Return an address that refuses datagrams, and that no other test can get."""
    holder = udp(sockets)
    address: tuple[str, int] = holder.getsockname()
    holder.connect(address)  # from now on it takes what comes from itself, alone
    return address


@linux
@claim("stream-socket-uses-tcp", "ip(7)", "socket(2)", "unix(7)")
def test_an_internet_stream_is_tcp(sockets: ExitStack) -> None:
    """A stream socket of the Internet families uses TCP, unless told otherwise.

    A stream socket of the family AF_UNIX does not.
    """
    made = [sockets.enter_context(socket.socket(socket.AF_INET, STREAM))]
    if os.path.exists("/proc/net/if_inet6"):  # noqa: PTH110 - one question
        made.append(sockets.enter_context(socket.socket(socket.AF_INET6, STREAM)))
    for sock in made:
        protocol = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
        assert protocol == socket.IPPROTO_TCP
    local = sockets.enter_context(socket.socket(socket.AF_UNIX, STREAM))
    protocol = local.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    assert protocol != socket.IPPROTO_TCP


@claim("stream-is-connection-oriented", "socket(2) SOCK_STREAM", "RFC 9293 section 3.5")
def test_a_stream_carries_nothing_before_it_is_connected(
    listener: socket.socket,
) -> None:
    """A stream socket must be connected before it carries a byte.

    One side dials; after that either side may talk first.
    """
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        not_connected = (errno.EPIPE, errno.ENOTCONN)
        assert error_of(lambda: client.send(b"x")) in not_connected
        assert error_of(lambda: client.recv(1)) in not_connected
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"from here")
            assert client.recv(1024) == b"from here"
            client.sendall(b"from there")
            assert connection.recv(1024) == b"from there"


def check_may_be_many(kind: socket.SocketKind, address: str) -> None:
    """Fail unless a socket of this type may have the address as its peer."""
    with socket.socket(type=kind) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(("127.0.0.1", 0))  # so the route is that of loopback
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            sock.connect((address, 9))
        except OSError as error:
            refused = errno.errorcode.get(error.errno or 0)
            raise AssertionError(f"one peer only: {refused}") from error


GROUPS = pytest.mark.parametrize("address", ["239.1.2.3", "127.255.255.255"])


@linux
@GROUPS
@claim(
    "stream-is-point-to-point",
    "tcp(7) Address formats",
    "RFC 9293 section 3.9.1.1",
)
def test_a_stream_has_one_peer(address: str) -> None:
    """A TCP connection has two ends: TCP dials no multicast or broadcast address."""
    with pytest.raises(AssertionError, match="one peer only: ENETUNREACH"):
        check_may_be_many(STREAM, address)


@linux
@GROUPS
def test_a_datagram_socket_may_have_a_group_for_its_peer(address: str) -> None:
    check_may_be_many(DATAGRAM, address)


@claim("stream-is-two-way", "RFC 9293 section 3.6", "shutdown(2)")
def test_each_direction_ends_on_its_own(ends: Ends) -> None:
    """A stream has two directions, and each can be ended without the other."""
    client, connection = ends
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert connection.recv(1024) == b"question"
    assert connection.recv(1024) == b""
    connection.sendall(b"answer")
    assert client.recv(1024) == b"answer"


cited(
    "most-apps-use-stream",
    "Which of the two is used more depends on the application: "
    "DNS asks by UDP as a rule, and HTTP/3 runs over UDP.",
    "RFC 1035 section 4.2",
    "RFC 9114 section 1.2",
    often_said="Most network applications use stream sockets.",
)
cited(
    "web-and-mail-all-use-tcp",
    "HTTP/1.1, HTTP/2 and IMAP run over TCP as a rule. HTTP/3 runs over QUIC, and so "
    "over UDP.",
    "RFC 9113 section 2",
    "RFC 9114 section 1.2",
    "RFC 9051 section 2.1",
    often_said="Web servers, mail servers and their clients all use TCP.",
)


@linux
@claim(
    "datagram-socket-uses-udp",
    "udp(7)",
    "unix(7)",
    often_said="A datagram socket uses UDP.",
)
def test_a_unix_datagram_is_not_udp(sockets: ExitStack) -> None:
    """A datagram socket of the Internet families uses UDP by default.

    One of the family AF_UNIX does not: it loses nothing, and when its queue is full
    the sender has to wait.
    """
    internet = udp(sockets)
    protocol = internet.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    assert protocol == socket.IPPROTO_UDP

    sender, receiver = socket.socketpair(socket.AF_UNIX, DATAGRAM)
    sockets.enter_context(sender)
    sockets.enter_context(receiver)
    protocol = sender.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    assert protocol != socket.IPPROTO_UDP
    sender.settimeout(0)
    sent = 0
    full = False
    for _ in range(100_000):
        try:
            sender.send(b"%d" % sent)
        except BlockingIOError:
            full = True
            break
        sent += 1
    assert full
    receiver.settimeout(PATIENCE)
    assert [receiver.recv(16) for _ in range(sent)] == [b"%d" % n for n in range(sent)]


def check_sends_unasked(kind: socket.SocketKind, address: tuple[str, int]) -> None:
    """Fail unless sending succeeds although nobody is at the address."""
    with socket.socket(type=kind) as sock:
        sock.settimeout(PATIENCE)
        try:
            if kind == STREAM:
                sock.connect(address)
            taken = sock.sendto(b"hello", address)
        except ConnectionRefusedError as error:
            raise AssertionError("the sender was told") from error
        assert taken == 5


@claim("udp-is-connectionless-unreliable", "udp(7)", "RFC 768 Introduction")
def test_a_datagram_to_nobody_is_sent_all_the_same(sockets: ExitStack) -> None:
    """UDP makes no connection, and repeats nothing.

    sendto() succeeds in the same way if nobody has the port.
    """
    check_sends_unasked(DATAGRAM, nobody(sockets))


def test_tcp_notices_that_nobody_is_there() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(AssertionError, match="the sender was told"):
            check_sends_unasked(STREAM, silent.getsockname())


cited(
    "udp-does-not-keep-order",
    "UDP promises no order: datagrams may arrive in another order, twice, or never.",
    "udp(7)",
    "RFC 768 Introduction",
)


def check_an_answer_comes(
    ask: socket.socket, hear: socket.socket, server: socket.socket
) -> None:
    """Fail unless an answer to who asked is heard."""
    ask.sendto(b"question", server.getsockname())
    question, address = server.recvfrom(1024)
    assert question == b"question"
    server.sendto(b"answer", address)
    hear.settimeout(SILENCE)
    try:
        heard = hear.recvfrom(1024)
    except TimeoutError as error:
        raise AssertionError("no answer came") from error
    assert heard == (b"answer", server.getsockname())


@claim(
    "datagram-is-one-way",
    "udp(7)",
    "RFC 768 User Interface",
    often_said="A datagram socket's connection goes one way only.",
)
def test_one_udp_socket_sends_and_receives(sockets: ExitStack) -> None:
    """A UDP socket sends and receives. There is no connection that had a direction.

    recvfrom() gives the sender's address, and the answer goes there.
    """
    client, server = udp(sockets, bound=False), udp(sockets)
    check_an_answer_comes(client, client, server)


def test_the_answer_does_not_come_to_another_socket(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match="no answer came"):
        check_an_answer_comes(udp(sockets), udp(sockets), udp(sockets))


@linux
@claim("datagram-one-to-many", "udp(7)", "ip(7) IP_ADD_MEMBERSHIP, IP_MULTICAST_IF")
def test_one_socket_reaches_many_and_one_datagram_too(sockets: ExitStack) -> None:
    """One UDP socket talks to many peers, and one datagram can reach many sockets.

    The second is called multicast: the receivers have joined a group address.
    """
    sender = udp(sockets)
    peers = [udp(sockets) for _ in range(3)]
    for peer in peers:
        sender.sendto(b"for you", peer.getsockname())
    assert [peer.recv(1024) for peer in peers] == [b"for you"] * 3

    group, here = "239.1.2.3", socket.inet_aton("127.0.0.1")
    membership = socket.inet_aton(group) + here
    port = 0
    members = []
    for _ in range(2):
        member = udp(sockets, bound=False)
        member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        member.bind((group, port))
        port = member.getsockname()[1]
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        members.append(member)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
    sender.sendto(b"for all", (group, port))
    assert [member.recv(1024) for member in members] == [b"for all"] * 2


@claim("datagram-needs-no-accept", "udp(7)", "listen(2) ERRORS", "accept(2) ERRORS")
def test_a_bound_udp_socket_receives_at_once(sockets: ExitStack) -> None:
    """UDP has no listen() and no accept(): both fail with EOPNOTSUPP.

    Who has bound a port receives at once, and a sender need not even bind.
    """
    receiver, sender = udp(sockets), udp(sockets, bound=False)
    receiver.settimeout(0)
    assert error_of(receiver.listen) == errno.EOPNOTSUPP
    assert error_of(receiver.accept) == errno.EOPNOTSUPP
    receiver.settimeout(PATIENCE)
    assert sender.getsockname()[1] == 0
    sender.sendto(b"hello", receiver.getsockname())
    assert receiver.recvfrom(1024)[1][1] == sender.getsockname()[1] > 0


def check_messages_are_kept_apart(sender: socket.socket, other: socket.socket) -> None:
    """Fail unless each send() is one recv(), an empty one, too."""
    messages = [b"AB", b"", b"CD"]
    for message in messages:
        sender.send(message)
    other.settimeout(SILENCE)
    try:
        received = [other.recv(1024) for _ in messages]
    except TimeoutError as error:
        raise AssertionError("not as many as were sent") from error
    assert received == messages


@linux
@claim("datagrams-are-separate-messages", "udp(7)", "recv(2)", "RFC 768 Fields")
def test_one_send_is_one_recv(sockets: ExitStack) -> None:
    """Each datagram is one message: one send() is one recv(), if it arrives.

    What the recv() has no room for is thrown away, and an empty datagram is a
    message, too.
    """
    sender, receiver = udp(sockets), udp(sockets)
    sender.connect(receiver.getsockname())
    check_messages_are_kept_apart(sender, receiver)
    sender.send(b"0123456789")
    data, _, flags, _ = receiver.recvmsg(4)
    assert data == b"0123"
    assert flags & socket.MSG_TRUNC
    receiver.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        receiver.recv(1024)


def test_a_stream_does_not_keep_messages_apart(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="not as many as were sent"):
        check_messages_are_kept_apart(*ends)


def check_most(sender: socket.socket, receiver: socket.socket, most: int) -> None:
    """Fail unless so many bytes are one datagram, and one more is too long."""
    sender.connect(receiver.getsockname())
    assert sender.send(bytes(most)) == most
    assert len(receiver.recv(LARGEST_PACKET)) == most
    assert error_of(lambda: sender.send(bytes(most + 1))) == errno.EMSGSIZE


@linux
@claim(
    "datagram-size-limit",
    "RFC 768 Fields",
    "RFC 791 section 3.1",
    "RFC 8200 section 3",
    "send(2) ERRORS",
)
def test_a_datagram_fits_into_one_packet(sockets: ExitStack) -> None:
    """A UDP datagram holds at most 65507 bytes over IPv4, and 65527 over IPv6.

    More fails with EMSGSIZE. An IPv4 packet has 65535 bytes at most, and one of IPv6
    as many behind its header. The UDP header takes 8, that of IPv4 another 20.
    """
    check_most(udp(sockets), udp(sockets), 65_507)
    try:
        receiver, sender = (
            sockets.enter_context(socket.socket(socket.AF_INET6, DATAGRAM))
            for _ in range(2)
        )
        receiver.bind(("::1", 0))
    except OSError:
        return  # this machine has no ::1
    receiver.settimeout(PATIENCE)
    check_most(sender, receiver, 65_527)


@linux
@claim("datagram-is-light", "RFC 768 Fields", "RFC 8085 section 3.1")
def test_udp_adds_eight_bytes_and_remembers_no_peer(sockets: ExitStack) -> None:
    """UDP is light: a header of 8 bytes, and no state for each peer.

    What it leaves out, such as going slower when the network is full, is left to
    the application.
    """
    sender, receiver = udp(sockets), udp(sockets)
    sender.connect(receiver.getsockname())
    room = LARGEST_PACKET - IP_HEADER
    assert sender.send(bytes(room - UDP_HEADER)) == room - UDP_HEADER
    assert error_of(lambda: sender.send(bytes(room - UDP_HEADER + 1))) is not None
    receiver.recv(LARGEST_PACKET)
    port = f":{receiver.getsockname()[1]:04X} "
    for _ in range(10):
        udp(sockets).sendto(b"hello", receiver.getsockname())
        assert receiver.recv(1024) == b"hello"
    with open("/proc/net/udp") as table:  # noqa: PTH123
        rows = [row.split() for row in table][1:]
    mine = [row for row in rows if f"{row[1]} ".endswith(port)]
    assert len(mine) == 1
    assert mine[0][2] == "00000000:0000"  # no peer


def carry(data: bytes, sender: socket.socket, receiver: socket.socket) -> bytes:
    """Send in pieces to a reader that comes late; return what arrives."""
    size = 20_000
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    began = threading.Event()

    def send() -> None:
        for number, piece in enumerate(pieces):
            sender.sendall(piece)
            if number == 0:
                began.set()

    thread = threading.Thread(target=send, name="sender")
    thread.start()
    assert began.wait(PATIENCE)
    if sender.type == DATAGRAM:
        thread.join(PATIENCE)  # a stream would make the sender wait for the reader
    receiver.settimeout(SILENCE)
    received = bytearray()
    try:
        while len(received) < len(data):
            received += receiver.recv(LARGEST_PACKET)
    except TimeoutError:
        pass
    thread.join(PATIENCE)
    return bytes(received)


def late_reader(sockets: ExitStack) -> Ends:
    """Two UDP sockets; the second has room for one datagram of 20 kB at a time."""
    sender, receiver = udp(sockets), udp(sockets)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
    sender.connect(receiver.getsockname())
    return sender, receiver


@linux
@claim(
    "datagram-loss-is-allowed",
    "udp(7)",
    "RFC 8085 section 3.3",
    often_said="UDP tolerates the loss of packets.",
)
def test_udp_loses_and_tells_nobody(sockets: ExitStack) -> None:
    """UDP loses datagrams, and tells neither side.

    Whether a loss does harm is for the application to know; it has to notice it
    itself, for example by numbers.
    """
    sender, receiver = late_reader(sockets)
    messages = [b"%d" % number + bytes(20_000) for number in range(5)]
    for message in messages:
        assert sender.send(message) == len(message)
    receiver.settimeout(SILENCE)
    assert receiver.recv(LARGEST_PACKET) == messages[0]
    with pytest.raises(TimeoutError):
        receiver.recv(LARGEST_PACKET)
    for end in (sender, receiver):
        assert end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@linux
@claim(
    "reliability-matters-for-files-and-money",
    "RFC 8085 section 3.3",
    "RFC 9293 section 2.2",
)
def test_a_file_is_whole_over_tcp_only(sockets: ExitStack, ends: Ends) -> None:
    """Where every byte counts, as in a file or an order, UDP alone will not do.

    Of a file sent to a reader that is late, pieces are missing; over TCP it is whole.
    """
    file = os.urandom(1_000_000)
    assert carry(file, *ends) == file
    assert len(carry(file, *late_reader(sockets))) < len(file)


cited(
    "datagram-for-games-streaming",
    "What must be in time, such as a call, often uses UDP. "
    "Recorded video may as well come by HTTP, and so over TCP or QUIC.",
    "RFC 3550 section 11",
    "RFC 8216 section 1",
    often_said="UDP is for games and for streaming of video.",
)


@claim(
    "socket-is-a-five-tuple",
    "RFC 9293 section 4",
    "ip(7) Address format",
    "getpeername(2) ERRORS",
    often_said="A socket consists of a protocol, two IP addresses and two ports.",
)
def test_only_a_connected_internet_socket_has_all_five(
    sockets: ExitStack, listener: socket.socket, ends: Ends
) -> None:
    """These five name a connected socket of TCP or UDP.

    A listening socket and an unconnected UDP socket have no remote half.
    """
    for sock in (listener, udp(sockets)):
        assert sock.getsockname()[1] > 0
        assert error_of(sock.getpeername) == errno.ENOTCONN
    connected = udp(sockets)
    connected.connect(udp(sockets).getsockname())
    for sock in (*ends, connected):
        five = (sock.type, *sock.getsockname(), *sock.getpeername())
        assert all(five)
        assert len(five) == 5


@linux
@claim(
    "sender-knows-when-and-how-much",
    "send(2)",
    "RFC 9293 section 3.7.4",
    "tcp(7) TCP_CORK",
    often_said="The sender knows when its bytes are sent, and how many.",
)
def test_the_kernel_decides_when_it_sends(ends: Ends) -> None:
    """The sender knows only what it hands to its kernel.

    send() on a stream may take less than it was given, and the kernel decides when
    the bytes leave, and in how many segments.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows

    client, connection = ends
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    assert client.send(b"held") == 4
    unsent = fcntl.ioctl(client, SIOCOUTQNSD, bytes(4))
    assert struct.unpack("=i", unsent) == (4,)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    assert connection.recv(1024) == b"held"

    client.settimeout(0)
    most = 64_000_000  # bytes, far more than the buffers of both ends
    assert 0 < client.send(bytes(most)) < most


@pytest.mark.skipif(os.name != "posix", reason="there is no SO_RCVLOWAT")
@claim(
    "receiver-cannot-know-when-or-how-much",
    "recv(2)",
    "RFC 9293 section 3.9.1.3",
)
def test_recv_does_not_follow_the_sends(ends: Ends) -> None:
    """The receiver of a stream cannot know when bytes come, nor how many at a time.

    The bytes of several sends may come in one recv(), and those of one in several.
    """
    client, connection = ends
    connection.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    client.sendall(b"0123456789")
    connection.settimeout(PATIENCE)
    assert select.select([connection], [], [], PATIENCE)[0]
    assert [connection.recv(5), connection.recv(5)] == [b"01234", b"56789"]
    for piece in (b"AB", b"CD", b"EF"):
        client.sendall(piece)
    let_arrive(connection, 6)
    assert connection.recv(1024) == b"ABCDEF", "three sends, and one recv() takes all"


@linux
@claim("udp-error-comes-later", "udp(7) ERRORS", "ip(7) IP_RECVERR")
def test_a_connected_udp_socket_is_refused_late(sockets: ExitStack) -> None:
    """A connected UDP socket gets ECONNREFUSED from the call after the one at fault.

    On Linux an unconnected one gets nothing, unless it has set IP_RECVERR.
    """
    address = nobody(sockets)
    connected, unconnected = udp(sockets), udp(sockets)
    connected.connect(address)
    assert connected.send(b"hello") == 5
    assert select.select([connected], [], [], PATIENCE)[0]  # the error is there
    assert error_of(lambda: connected.send(b"hello")) == errno.ECONNREFUSED
    unconnected.sendto(b"hello", address)
    unconnected.settimeout(SILENCE)
    with pytest.raises(TimeoutError):
        unconnected.recv(1)
    unconnected.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    unconnected.sendto(b"hello", address)
    assert error_of(lambda: unconnected.recv(1)) == errno.ECONNREFUSED


@claim("udp-send-needs-an-address", "send(2) ERRORS", "udp(7)")
def test_an_unconnected_datagram_needs_an_address(sockets: ExitStack) -> None:
    """send() on an unconnected UDP socket fails: it does not say to whom.

    On Linux the error is EDESTADDRREQ.
    """
    sender = udp(sockets)
    asks = (errno.EDESTADDRREQ, errno.ENOTCONN)
    assert error_of(lambda: sender.send(b"to whom?")) in asks


@linux
@claim("udp-connect-sends-nothing", "connect(2)", "udp(7)")
def test_udp_connect_only_notes_the_addresses(sockets: ExitStack) -> None:
    """connect() on a UDP socket sends nothing.

    It notes the peer, and the own address on the route there. From then on the socket
    takes datagrams from that peer alone.
    """
    peer, stranger = udp(sockets), udp(sockets)
    sock = udp(sockets, bound=False)
    sock.connect(peer.getsockname())
    assert sock.getsockname()[0] == "127.0.0.1"
    assert sock.getpeername() == peer.getsockname()
    assert select.select([peer], [], [], SILENCE)[0] == []
    stranger.sendto(b"let me in", sock.getsockname())
    peer.sendto(b"it is me", sock.getsockname())
    assert sock.recv(1024) == b"it is me"


@linux
@claim("own-address-needs-a-route", "connect(2) ERRORS", "ip(7)")
def test_without_a_route_there_is_no_own_address() -> None:
    """Without a route to the other address, connect() fails with ENETUNREACH.

    That holds for UDP, too, although nothing would be sent.
    """
    own = "-n" if os.geteuid() == 0 else "-rn"  # a network with nothing in it
    done = subprocess.run(
        ["unshare", own, sys.executable, "-c", ROUTES],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if "unshare:" in done.stderr:
        pytest.skip(reason("network namespaces"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[Errno 101] Network is unreachable"] * 2
