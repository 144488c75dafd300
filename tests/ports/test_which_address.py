"""The claims of "Which address do I bind?"."""

from __future__ import annotations

import errno
import select
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from handbook.claims import cited, claim
from needing import needing, require
from patience import PATIENCE

if TYPE_CHECKING:
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: its rules for bind(), 127.0.0.0/8"
)
HERE, SECOND, EVERY = "127.0.0.1", "127.0.0.2", "0.0.0.0"
NOBODYS = "198.51.100.1"  # an address for documentation: RFC 5737
TRIES = 20


def server(
    sockets: ExitStack, host: str, port: int = 0, *, share: bool = False
) -> socket.socket:
    """Listen on an address; "::6" is :: for IPv6 alone."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = sockets.enter_context(socket.socket(family))
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host.removesuffix("6"), port))
    listener.listen()
    listener.settimeout(PATIENCE)
    return listener


def port_of(sock: socket.socket) -> int:
    port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def dial(sockets: ExitStack, host: str, port: int) -> socket.socket:
    return sockets.enter_context(socket.create_connection((host, port), PATIENCE))


def second_server(
    sockets: ExitStack, host: str, port: int, *, share: bool = False
) -> socket.socket | None:
    """Listen on a number that another socket has; None if that is refused."""
    try:
        return server(sockets, host, port, share=share)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return None


def two_servers(
    sockets: ExitStack, first: str, second: str, *, share: bool = False
) -> tuple[socket.socket, socket.socket] | None:
    """Listen twice on one number; None if the kernel refuses the second server.

    Another program may hold a number by chance, so more than one is tried.
    """
    for _ in range(3):
        one = server(sockets, first, share=share)
        other = second_server(sockets, second, port_of(one), share=share)
        if other is not None:
            return one, other
    return None


@linux
@claim(
    "wildcard-takes-every-address",
    "ip(7) Address format",
    "RFC 1122 section 3.2.1.3",
)
def test_a_server_of_every_address_is_met_at_each(sockets: ExitStack) -> None:
    """A server that is bound to 0.0.0.0 is reached at each IPv4 address of its machine.

    The accepted socket has the one that the client dialled.
    """
    every = server(sockets, EVERY)
    for host in (HERE, SECOND, "127.9.9.9"):
        dial(sockets, host, port_of(every))
        connection, _ = every.accept()
        sockets.enter_context(connection)
        assert connection.getsockname() == (host, port_of(every))


def check_is_refused_elsewhere(sockets: ExitStack, bound: str, dialled: str) -> None:
    """Fail unless a server that is bound to one address is refused at another."""
    for _ in range(TRIES):  # until the number is free at the other address, too
        listener = server(sockets, bound)
        holder = sockets.enter_context(socket.socket())
        try:
            if bound != EVERY:  # it holds every address itself
                holder.bind((dialled, port_of(listener)))
        except OSError:
            continue
        break
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        result = client.connect_ex((dialled, port_of(listener)))
    assert result == errno.ECONNREFUSED, "reached"


@linux
@claim(
    "bound-address-limits-who-reaches",
    "bind(2)",
    "ip(7) Address format",
    often_said="0.0.0.0, 127.0.0.1 and localhost are the same.",
)
def test_a_server_is_refused_at_other_addresses(sockets: ExitStack) -> None:
    """A server that is bound to one address is refused at the others of its machine.

    Bound to 127.0.0.1 it is reached from its own machine only; bound to 0.0.0.0, from
    wherever the machine is.
    """
    check_is_refused_elsewhere(sockets, HERE, SECOND)
    check_is_refused_elsewhere(sockets, SECOND, HERE)


@linux
def test_the_check_of_other_addresses_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match="reached"):
        check_is_refused_elsewhere(sockets, EVERY, SECOND)


@linux
@claim(
    "dialling-zero-is-dialling-oneself",
    "RFC 1122 section 3.2.1.3",
    "Linux net/ipv4/route.c, ip_route_output_key_hash_rcu()",
)
def test_zero_dials_this_machine(sockets: ExitStack) -> None:
    """Linux takes 0.0.0.0 for 127.0.0.1 when a program dials it.

    If the client is bound to an address, 0.0.0.0 is that one.
    """
    listener = server(sockets, HERE)
    client = dial(sockets, EVERY, port_of(listener))
    assert client.getpeername() == (HERE, port_of(listener))
    other = server(sockets, "127.0.0.5")
    bound = sockets.enter_context(socket.socket())
    bound.settimeout(PATIENCE)
    bound.bind(("127.0.0.5", 0))
    bound.connect((EVERY, port_of(other)))
    assert bound.getpeername() == ("127.0.0.5", port_of(other))


@claim("empty-host-is-the-wildcard", "Python docs: socket, Socket families")
def test_the_empty_name_is_every_address() -> None:
    """In Python the empty string stands for 0.0.0.0 in bind()."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        assert sock.getsockname()[0] == EVERY


@linux
@claim("bind-needs-an-own-address", "bind(2)", "ip(7) ip_nonlocal_bind")
def test_an_address_of_another_machine_cannot_be_bound() -> None:
    """bind() to another machine's address fails: EADDRNOTAVAIL.

    On Linux an option or a setting can allow it: IP_FREEBIND, ip_nonlocal_bind.
    """
    require("addresses bound only where they are")
    with socket.socket() as sock, pytest.raises(OSError, match="requested") as caught:
        sock.bind((NOBODYS, 0))
    assert caught.value.errno == errno.EADDRNOTAVAIL


@linux
@claim(
    "bind-makes-a-unique-port",
    "bind(2)",
    "ip(7) Address format",
    often_said="bind() gives the server socket a unique port number.",
)
def test_two_servers_have_one_number(sockets: ExitStack) -> None:
    """bind() asks for an address, IP and port together, and the kernel permits it.

    It does not make the number unique: servers on two addresses may have the same.
    """
    both = two_servers(sockets, HERE, SECOND)
    assert both is not None
    first, second = both
    assert port_of(first) == port_of(second)
    for listener in (first, second):
        client = dial(sockets, *listener.getsockname())
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()


V4, V6 = (EVERY, HERE, SECOND), ("::", "::6", "::1")
OVERLAPS_V4 = {(EVERY, HERE), (EVERY, SECOND)}
OVERLAPS_V6 = {("::", other) for other in (*V4, "::6", "::1")} | {("::6", "::1")}


def overlap(first: str, second: str) -> bool:
    """Say whether some address is in both: the rule that the matrix follows."""
    pairs = OVERLAPS_V4 | OVERLAPS_V6
    return first == second or (first, second) in pairs or (second, first) in pairs


@linux
@pytest.mark.parametrize("second", V4)
@pytest.mark.parametrize("first", V4)
@claim(
    "os-keeps-ports-from-overlapping",
    "ip(7) Address format",
    "bind(2) EADDRINUSE",
    "tcp(7)",
    often_said="The system keeps records, so that no two sockets use the same port.",
)
def test_only_overlapping_addresses_conflict(
    sockets: ExitStack, first: str, second: str
) -> None:
    """The kernel refuses a second server only if their addresses overlap.

    0.0.0.0 overlaps every IPv4 address. 127.0.0.1 and 127.0.0.2 do not overlap.
    """
    refused = two_servers(sockets, first, second) is None
    assert refused == overlap(first, second)


@linux
@needing("IPv6")
@pytest.mark.parametrize("second", V4 + V6)
@pytest.mark.parametrize("first", V6)
@claim("dual-stack-takes-both", "ipv6(7) IPV6_V6ONLY")
def test_the_ipv6_wildcard_takes_ipv4_too(
    sockets: ExitStack, first: str, second: str
) -> None:
    """On Linux a server bound to :: takes the number in IPv4, too, by default.

    With IPV6_V6ONLY, which net.ipv6.bindv6only sets, it leaves IPv4 alone.
    """
    with socket.socket(socket.AF_INET6) as new:
        only = new.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    assert only == int(Path("/proc/sys/net/ipv6/bindv6only").read_text())
    for pair in ((first, second), (second, first)):
        refused = two_servers(sockets, *pair) is None
        assert refused == overlap(first, second)


@linux
@needing("IPv6")
def test_python_makes_servers_for_ipv6_alone(sockets: ExitStack) -> None:
    for host, only in (("::", 1), ("::1", 1)):
        made = socket.create_server((host, 0), family=socket.AF_INET6)
        sockets.enter_context(made)
        assert made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == only


def check_client_comes_to(
    sockets: ExitStack, wanted: str, dialled: str, order: tuple[str, str]
) -> None:
    """Fail unless the server of the wanted address gets the client."""
    both = two_servers(sockets, *order, share=True)
    assert both is not None
    dial(sockets, dialled, port_of(both[0]))
    ready, _, _ = select.select(both, [], [], PATIENCE)
    got = [listener.getsockname()[0] for listener in ready]
    assert got == [wanted], f"{got} got it"


ORDERS = pytest.mark.parametrize("order", [(EVERY, HERE), (HERE, EVERY)])


@linux
@ORDERS
@claim(
    "data-goes-to-process-having-that-port",
    "RFC 9293 section 3.4.1",
    "RFC 793 section 2.7",
    "RFC 768 Fields",
    "ip(7) Address format",
    often_said="What arrives goes to the process that has the destination port.",
)
def test_the_exact_address_comes_first(
    sockets: ExitStack, order: tuple[str, str]
) -> None:
    """The kernel looks for a socket by protocol, both addresses and both ports.

    A connected socket comes first, then a server of exactly that address, and last one
    of every address.
    """
    check_client_comes_to(sockets, HERE, HERE, order)
    check_client_comes_to(sockets, EVERY, "127.0.0.9", order)


@linux
def test_the_first_on_the_port_does_not_get_it(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match=r"'127\.0\.0\.1'. got it"):
        check_client_comes_to(sockets, EVERY, HERE, (EVERY, HERE))


@linux
def test_a_connected_socket_comes_before_a_server(
    sockets: ExitStack, listener: socket.socket, ends: Ends
) -> None:
    client, connection = ends
    client.sendall(b"to the connection")
    assert connection.recv(1024) == b"to the connection"
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()

    peer, stranger, served, for_peer = (
        sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(4)
    )
    for sock in (served, for_peer):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(PATIENCE)
    served.bind((HERE, 0))
    for_peer.bind(served.getsockname())
    peer.bind((HERE, 0))
    for_peer.connect(peer.getsockname())
    peer.sendto(b"from the peer", served.getsockname())
    stranger.sendto(b"from a stranger", served.getsockname())
    assert for_peer.recv(1024) == b"from the peer"
    assert served.recv(1024) == b"from a stranger"


cited(
    "host-is-node-with-ip",
    "Routers have IP addresses, too. A host is the end system: "
    "it uses the network for the programs that run on it.",
    "RFC 1122 section 1.1.1",
    often_said="A host is a node that has an IP address.",
)
cited(
    "node-is-any-device",
    "In the words of IPv6 a node is a device that implements IPv6: a host or a router.",
    "RFC 8200 section 2",
    often_said="A node is any device that is attached to the network.",
)
