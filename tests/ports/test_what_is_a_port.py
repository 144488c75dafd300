"""The claims of "What is a port?"."""

from __future__ import annotations

import errno
import hashlib
import hmac
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook.claims import claim
from handbook.needs import reason
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    Address = tuple[str, int]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: /proc, linux/tcp.h, 127.0.0.0/8"
)
glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="rests on glibc's getaddrinfo()"
)

TCP_SAVE_SYN, TCP_SAVED_SYN = 27, 28  # linux/tcp.h
NOBODY = 65534
SETTINGS = Path("/proc/sys/net/ipv4")

SERVE = """
import os, socket, sys
with socket.socket(fileno=int(sys.argv[1])) as listener:
    listener.settimeout(60)
    for _ in range(int(sys.argv[2])):
        with listener.accept()[0] as connection:
            connection.sendall(b"%d" % os.getpid())
"""
BIND_AS_PLAIN_USER = """
import errno, os, socket, sys
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for port in map(int, sys.argv[1:]):
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            print(errno.errorcode[error.errno])
        else:
            print("bound")
"""


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def is_free(sock: socket.socket, address: Address) -> bool:
    """Bind the address, or say that another socket has it."""
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True


def bound(
    sockets: ExitStack, *kinds: tuple[socket.SocketKind, str]
) -> list[socket.socket]:
    """Bind a socket of each type and IPv4 address, all to one port number.

    The kernel picks the number for the first. Another program may hold it for one of
    the others, so other numbers are tried, 20 at most.
    """
    for _ in range(20):
        made: list[socket.socket] = []
        number = 0
        for kind, host in kinds:
            sock = sockets.enter_context(socket.socket(type=kind))
            if not is_free(sock, (host, number)):
                break
            number = port_of(sock)
            made.append(sock)
        else:
            return made
    pytest.fail("no number was free for all of them, in 20 tries")


@claim(
    "port-lets-one-host-offer-many-services",
    "RFC 9293 section 2.2",
    "RFC 6335 section 6",
)
def test_the_port_says_which_service_answers(
    sockets: ExitStack, listener: socket.socket
) -> None:
    """Ports let one host offer many services.

    The port in the address decides which of its listening sockets gets a client.
    """
    other = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    both = [listener, other]
    for wanted in (listener, other, listener):
        client = sockets.enter_context(
            socket.create_connection(wanted.getsockname(), PATIENCE)
        )
        assert select.select(both, [], [], PATIENCE)[0] == [wanted]
        connection, peer = wanted.accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()


def saved_syn(connection: socket.socket) -> bytes:
    """Return the TCP header of the segment that began an accepted connection."""
    packet = connection.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, 128)
    return packet[(packet[0] & 0x0F) * 4 :]


@linux
@claim("destination-port-is-in-the-data", "RFC 9293 section 3.1", "RFC 768 Fields")
def test_both_ports_stand_in_the_header(
    listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """Each TCP segment carries both ports in its first four bytes.

    The sender's port comes first, the receiver's second.
    """
    listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
    client, connection = dial()
    ports = struct.unpack("!HH", saved_syn(connection)[:4])
    assert ports == (port_of(client), port_of(listener))


@linux
@claim(
    "port-is-a-logical-device",
    "RFC 9293 section 3.1",
    "ip(7) Address format",
    often_said="A port is a logical device.",
)
def test_a_port_is_two_bytes_and_no_device(
    sockets: ExitStack, listener: socket.socket, dial: Callable[[], Ends]
) -> None:
    """A port is no device but a number, two bytes in the header of a segment.

    Binding it adds no interface to the machine.
    """
    before = socket.if_nameindex()
    for _ in range(20):
        bound(sockets, (socket.SOCK_STREAM, "127.0.0.1"))
    assert socket.if_nameindex() == before
    listener.setsockopt(socket.IPPROTO_TCP, TCP_SAVE_SYN, 1)
    _, connection = dial()
    assert saved_syn(connection)[2:4] == port_of(listener).to_bytes(2, "big")


@claim(
    "port-belongs-to-transport-layer",
    "RFC 9293 section 3.1",
    "RFC 768 Fields",
    "ip(7) Address format",
)
def test_tcp_and_udp_have_ports_of_their_own(sockets: ExitStack) -> None:
    """Ports belong to the transport protocol.

    TCP and UDP each have their own, so both can have the same number at once.
    """
    local = "127.0.0.1"
    tcp, udp = bound(sockets, (socket.SOCK_STREAM, local), (socket.SOCK_DGRAM, local))
    assert tcp.getsockname() == udp.getsockname()
    tcp.listen()
    tcp.settimeout(PATIENCE)
    udp.settimeout(PATIENCE)
    client = sockets.enter_context(
        socket.create_connection(tcp.getsockname(), PATIENCE)
    )
    sender = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
    sender.sendto(b"datagram", udp.getsockname())
    assert udp.recvfrom(1024)[0] == b"datagram"
    connection, peer = tcp.accept()
    sockets.enter_context(connection)
    assert peer == client.getsockname()


@claim(
    "port-range-0-to-65536",
    "RFC 6335 section 6",
    "RFC 9293 section 3.1",
    often_said="Port numbers run from 0 to 65536.",
)
def test_the_last_port_is_65535() -> None:
    """Port numbers run from 0 to 65535, because a port has 16 bits.

    Port 0 is reserved: in bind() it means "pick one for me".
    """
    for wrong in (65_536, -1):
        with (
            socket.socket() as sock,
            pytest.raises(OverflowError, match=r"port must be 0-65535"),
        ):
            sock.bind(("127.0.0.1", wrong))
    with socket.socket() as last:
        if is_free(last, ("127.0.0.1", 65_535)):  # if not, somebody has it: it exists
            assert port_of(last) == 65_535
    with socket.socket() as picked:
        picked.bind(("127.0.0.1", 0))
        assert 0 < port_of(picked) <= 65_535


@linux
@glibc
@claim(
    "create-connection-wraps-the-port",
    "Python docs: socket.create_connection()",
    "Python docs: socket.getaddrinfo()",
    often_said="Python refuses a port above 65535.",
)
def test_create_connection_dials_another_port(listener: socket.socket) -> None:
    """With glibc, create_connection() cuts a port above 65535 to its last 16 bits.

    It then dials that other port without a word, where connect() raises OverflowError.
    """
    host, port = listener.getsockname()
    with socket.create_connection((host, port + 65_536), PATIENCE) as client:
        assert client.getpeername() == (host, port)
    with socket.socket() as client, pytest.raises(OverflowError, match="0-65535"):
        client.connect((host, port + 65_536))
    assert socket.getaddrinfo(host, 70_000)[0][4] == (host, 4464)


def check_two_processes_answer(
    sockets: ExitStack, listener: socket.socket, clients_of_each: list[int]
) -> None:
    """Let processes share the listener; the answers must come from two of them."""
    listener.set_inheritable(True)
    descriptor = listener.fileno()
    for count in clients_of_each:
        process = sockets.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", SERVE, str(descriptor), str(count)],
                pass_fds=[descriptor],
            )
        )
        sockets.callback(process.kill)
    answers = set()
    for _ in range(sum(clients_of_each)):
        with socket.create_connection(listener.getsockname(), PATIENCE) as client:
            answers.add(int(client.recv(1024)))
    assert len(answers) == 2
    assert os.getpid() not in answers


@linux
@claim(
    "port-identifies-a-process",
    "RFC 9293 section 4",
    "socket(7) SO_REUSEPORT",
    often_said="A port identifies a process.",
)
def test_one_port_has_two_processes_and_one_process_three_ports(
    sockets: ExitStack, listener: socket.socket
) -> None:
    """A port leads to a socket, and not to a process.

    One process may have many ports, and several processes may serve one.
    """
    mine = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    for one in mine:
        sockets.enter_context(one)
    assert len({port_of(one) for one in mine}) == 3
    check_two_processes_answer(sockets, listener, [1, 1])


@linux
def test_the_check_can_tell_one_process_from_two(
    sockets: ExitStack, listener: socket.socket
) -> None:
    with pytest.raises(AssertionError, match="1 == 2"):
        check_two_processes_answer(sockets, listener, [2])


@linux
@claim(
    "port-is-unique-value-given-to-process",
    "bind(2)",
    "ip(7)",
    often_said="A port is a unique value that each process is given.",
)
def test_one_number_is_bound_four_times(sockets: ExitStack) -> None:
    """A socket gets a port, when it asks for one or when it first needs one.

    The number is unique only for one protocol and one local address.
    """
    unbound = sockets.enter_context(socket.socket())
    assert port_of(unbound) == 0
    four = bound(
        sockets,
        (socket.SOCK_STREAM, "127.0.0.1"),
        (socket.SOCK_STREAM, "127.0.0.2"),
        (socket.SOCK_DGRAM, "127.0.0.1"),
        (socket.SOCK_DGRAM, "127.0.0.2"),
    )
    assert len({port_of(sock) for sock in four}) == 1
    assert error_of(lambda: unbound.bind(four[0].getsockname())) == errno.EADDRINUSE
    assert port_of(unbound) == 0


@claim(
    "one-socket-one-port",
    "bind(2) EINVAL",
    "ip(7) Address format",
    often_said="Each socket has exactly one port.",
)
def test_a_socket_has_one_local_port_at_most(ends: Ends) -> None:
    """An Internet socket has at most one port of its own.

    A new one has none yet, a connected one knows its peer's as well, and one port may
    belong to many sockets.
    """
    with socket.socket() as sock:
        assert port_of(sock) == 0
        sock.bind(("127.0.0.1", 0))
        first = port_of(sock)
        assert error_of(lambda: sock.bind(("127.0.0.1", 0))) == errno.EINVAL
        assert port_of(sock) == first
    client, connection = ends
    assert client.getpeername()[1] == port_of(connection) != port_of(client)
    if hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as unix:
            assert unix.getsockname() == ""


@linux
@claim(
    "port-taken-from-system-managed-ports",
    "RFC 6335 section 6",
    "ip(7) ip_local_port_range",
    often_said="A socket gets its port from those that the standard manages.",
)
def test_the_kernel_draws_from_its_own_range(sockets: ExitStack) -> None:
    """A client's port comes from the range of its kernel.

    A server may ask for any free number that it is permitted, assigned to a service
    or not.
    """
    first, last = map(int, (SETTINGS / "ip_local_port_range").read_text().split())
    listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    drawn = set()
    for _ in range(20):
        address = listener.getsockname()
        client = sockets.enter_context(socket.create_connection(address, PATIENCE))
        drawn.add(port_of(client))
    assert len(drawn) == 20
    assert all(first <= port <= last for port in drawn)

    lowest = max(1024, int((SETTINGS / "ip_unprivileged_port_start").read_text()))
    outside = [port for port in range(lowest, 65_536) if not first <= port <= last]
    for port in outside:
        with socket.socket() as server:
            if is_free(server, ("127.0.0.1", port)):
                assert port_of(server) == port
                break
    else:
        assert not outside, "not one number outside the range could be bound"


@claim("sender-needs-a-port-too", "RFC 9293 section 3.1", "RFC 768 Fields", "udp(7)")
def test_the_answer_comes_to_the_senders_port(sockets: ExitStack, ends: Ends) -> None:
    """Who sends has a port too, so that an answer can come back.

    The kernel picks one when a TCP socket connects or a UDP socket first sends.
    """
    client, connection = ends
    assert connection.getpeername() == client.getsockname()
    assert port_of(client) > 0

    server, sender = (
        sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)
    )
    server.bind(("127.0.0.1", 0))
    server.settimeout(PATIENCE)
    sender.settimeout(PATIENCE)
    sender.sendto(b"question", server.getsockname())
    question, address = server.recvfrom(1024)
    assert question == b"question"
    assert address[1] == port_of(sender) > 0
    server.sendto(b"answer", address)
    assert sender.recvfrom(1024) == (b"answer", server.getsockname())


@claim("port-zero-picks-a-free-port", "ip(7)", "Python docs: socket.create_server()")
def test_port_zero_gives_different_ports(sockets: ExitStack) -> None:
    """bind() to port 0 takes a free port; getsockname() tells which."""
    picked = [bound(sockets, (socket.SOCK_STREAM, "127.0.0.1"))[0] for _ in range(10)]
    assert 0 not in {port_of(sock) for sock in picked}
    assert len({port_of(sock) for sock in picked}) == 10


@claim(
    "free-port-is-not-reserved",
    "bind(2) EADDRINUSE",
    often_said="A port that was free a moment ago is free for me.",
)
def test_another_socket_takes_the_port_that_was_free() -> None:
    """A port that was found free is not reserved.

    Once the socket that found it is closed, anybody may take it.
    """
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = probe.getsockname()
        with socket.socket() as other, socket.socket() as mine:
            if not is_free(other, address):
                continue  # a third one was faster still
            assert not is_free(mine, address)
            return
    pytest.fail("never free again, in 20 tries")


@linux
@claim("clients-port-is-taken", "bind(2) EADDRINUSE", "ip(7) ip_local_port_range")
def test_a_server_cannot_have_a_clients_port(ends: Ends) -> None:
    """A port that the kernel has given to a client is taken for a server.

    It does not help that the server allows the reuse of addresses.
    """
    client, _ = ends
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        assert not is_free(server, client.getsockname())
        assert is_free(server, ("127.0.0.1", 0))


@linux
@claim(
    "privileged-ports-need-a-right",
    "ip(7) Address format",
    "capabilities(7) CAP_NET_BIND_SERVICE",
    "Linux ip-sysctl.rst, ip_unprivileged_port_start",
)
def test_a_plain_user_may_not_bind_low_ports() -> None:
    """On Linux only a process with a special right may bind the lowest ports.

    Others get EACCES. The first port that is free for all is 1024, unless
    ip_unprivileged_port_start says otherwise.
    """
    first = int((SETTINGS / "ip_unprivileged_port_start").read_text())
    low = [port for port in (1, 80, first - 1) if 0 < port < first]
    if not low:
        pytest.skip(reason("privileged ports"))
    high = [port for port in (80, first) if first <= port and port > 0]
    ran = subprocess.run(
        [sys.executable, "-c", BIND_AS_PLAIN_USER, *map(str, low + high)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    results = ran.stdout.split()
    assert len(results) == len(low) + len(high) >= 1
    assert set(results[: len(low)]) == {"EACCES"}
    assert set(results[len(low) :]) <= {"bound", "EADDRINUSE"}


KEY = b"known to the client and the honest server alone"


def trusts_the_port(server: socket.socket) -> bool:
    """Give the password to whoever answers on the right port."""
    server.sendall(b"my password")
    return bool(server.recv(1024))


def asks_for_proof(server: socket.socket) -> bool:
    """Believe only who can sign what nobody has signed before."""
    challenge = os.urandom(16)
    server.sendall(challenge)
    proof = hmac.digest(KEY, challenge, hashlib.sha256)
    return hmac.compare_digest(server.recv(1024), proof)


def check_client_is_deceived(
    sockets: ExitStack, client: Callable[[socket.socket], bool]
) -> None:
    """Stop an honest server, put another on its port, and let the client dial."""
    for _ in range(20):
        with socket.create_server(("127.0.0.1", 0)) as honest:
            address = honest.getsockname()
        impostor = sockets.enter_context(socket.socket())
        if is_free(impostor, address):  # if not, another test was faster
            break
    else:
        pytest.fail("the port was never free again, in 20 tries")
    impostor.listen()
    impostor.settimeout(PATIENCE)
    heard = []

    def answer() -> None:
        connection, _ = impostor.accept()
        with connection:
            connection.settimeout(PATIENCE)
            heard.append(connection.recv(1024))
            connection.sendall(b"welcome")

    thread = threading.Thread(target=answer, name="impostor")
    thread.start()
    with socket.create_connection(address, PATIENCE) as server:
        believed = client(server)
    thread.join(PATIENCE)
    assert heard
    assert believed, "the client noticed"


@claim(
    "port-demux-is-security",
    "IANA Service Name and Transport Protocol Port Number Registry, Note",
    often_said="Ports are there for security: they bring data to the right program.",
)
def test_another_program_answers_on_the_port(sockets: ExitStack) -> None:
    """A port is an address, and no proof of who answers there.

    Once a server has stopped, another program may take its port; a client that trusts
    the number gives it the password.
    """
    check_client_is_deceived(sockets, trusts_the_port)


def test_a_client_that_asks_for_proof_is_not_deceived(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match="the client noticed"):
        check_client_is_deceived(sockets, asks_for_proof)
