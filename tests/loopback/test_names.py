"""The claims of "Why is localhost refused while the server runs?"."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import cited, claim
from handbook.needs import reason

if TYPE_CHECKING:
    from collections.abc import Callable

    OwnNetwork = Callable[..., Any]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: namespaces and its C library"
)
glibc = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}),
    reason="another C library has other words",
)

EYEBALLS = Path(__file__).resolve().parents[2] / "snippets/loopback/happy_eyeballs.py"

cited(
    "node-takes-the-first-address",
    "Since version 17 Node.js keeps the resolver's order of the addresses of a name; "
    "before, it put those of IPv4 first. Since version 20 it tries them all.",
    "Node.js docs: dns.lookup(), history of verbatim",
    "Node.js docs: net.setDefaultAutoSelectFamily()",
)

# What the programs in a network of their own begin with. There localhost has both
# addresses, whatever this machine has: None means loopback to getaddrinfo().
BOTH = """
import asyncio

if not Path("/proc/net/if_inet6").exists():
    print(json.dumps("no IPv6"))
    sys.exit()

def outcome(host, port):
    try:
        with socket.create_connection((host, port), 60) as client:
            return client.getpeername()[0]
    except OSError as error:
        return error.errno

def listen(host, **options):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, 0), family=family, **options)
    server.settimeout(60)
    return server, server.getsockname()[1]

def lose_ipv6():
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        address = socket.inet_pton(socket.AF_INET6, "::1") + struct.pack(
            "=Ii", 128, socket.if_nametoindex("lo")
        )
        fcntl.ioctl(control, 0x8936, address)  # SIOCDIFADDR
"""


@pytest.fixture
def with_both(in_own_network: OwnNetwork) -> OwnNetwork:
    """Run a program in a network with 127.0.0.1 and ::1, if this kernel has IPv6."""

    def run(program: str) -> Any:
        told = in_own_network(BOTH + program)
        if told == "no IPv6":
            pytest.skip(reason("IPv6"))
        return told

    return run


@claim(
    "loopback-is-localhost",
    "RFC 6761 section 6.3",
    "getaddrinfo(3)",
    "hosts(5)",
    often_said="localhost is another word for 127.0.0.1.",
)
def test_localhost_has_to_be_looked_up() -> None:
    """The word localhost is a name. It stands for 127.0.0.1, for ::1, or for both.

    Which, the system's hosts file or its resolver says.
    """
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert {entry[4][0] for entry in found} <= {"127.0.0.1", "::1"}
    numeric = socket.AI_NUMERICHOST
    for number in ("127.0.0.1", "::1"):
        assert socket.getaddrinfo(number, 80, flags=numeric)[0][4][0] == number
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("localhost", 80, flags=numeric)


def check_each_refuses_the_other(outcomes: dict[str, list[Any]]) -> None:
    """Fail unless a server answers at its own address and at no other."""
    assert outcomes == {
        "127.0.0.1": ["127.0.0.1", errno.ECONNREFUSED],
        "::1": [errno.ECONNREFUSED, "::1"],
    }


BOUND_TO = """
outcomes = {}
for name in ("127.0.0.1", "::1"):
    server, port = listen(%s)
    outcomes[name] = [outcome("127.0.0.1", port), outcome("::1", port)]
print(json.dumps(outcomes))
"""


@linux
@claim(
    "a-server-on-one-family-refuses-the-other",
    "ipv6(7)",
    "RFC 4291 section 2.5.3",
    often_said="A server on 127.0.0.1 answers at localhost.",
)
def test_each_address_of_localhost_is_another_server(with_both: OwnNetwork) -> None:
    """A server on 127.0.0.1 refuses who dials ::1, and a server on ::1 127.0.0.1."""
    check_each_refuses_the_other(with_both(BOUND_TO % "name"))


@linux
def test_the_check_sees_a_server_on_both(with_both: OwnNetwork) -> None:
    with pytest.raises(AssertionError):
        check_each_refuses_the_other(with_both(BOUND_TO % '"::", dualstack_ipv6=True'))


@linux
@claim(
    "dual-stack-sees-mapped-addresses",
    "RFC 3493 section 3.7",
    "ipv6(7) IPV6_V6ONLY",
    "Python docs: socket.create_server()",
)
def test_one_socket_serves_both(with_both: OwnNetwork) -> None:
    """One IPv6 socket on :: can serve IPv4 too, if IPV6_V6ONLY is off.

    It sees an IPv4 client as ::ffff:127.0.0.1. create_server() turns the option on
    unless it is given dualstack_ipv6=True.
    """
    told = with_both(
        """
server, port = listen("::", dualstack_ipv6=True)
client = socket.create_connection(("127.0.0.1", port), 60)
connection, peer = server.accept()
alone, port = listen("::")
v6only = alone.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
print(json.dumps([peer[0], v6only, outcome("127.0.0.1", port), outcome("::1", port)]))
"""
    )
    assert told == ["::ffff:127.0.0.1", 1, errno.ECONNREFUSED, "::1"]


@linux
@claim(
    "create-connection-tries-every-address",
    "Python docs: socket.create_connection()",
    often_said="create_connection() dials the first address of a name.",
)
def test_the_second_address_answers(with_both: OwnNetwork) -> None:
    """create_connection() dials the addresses of a name one after the other.

    If none answers, it raises the error of the last, or with all_errors=True all.
    """
    told = with_both(
        """
server, port = listen("127.0.0.1")
order = [entry[4][0] for entry in socket.getaddrinfo(None, port, type=1)]
reached = outcome(None, port)
server.close()
lose_ipv6()
order_without = [entry[4][0] for entry in socket.getaddrinfo(None, port, type=1)]
last = outcome(None, port)
try:
    socket.create_connection((None, port), 60, all_errors=True)
except ExceptionGroup as group:
    every = [error.errno for error in group.exceptions]
print(json.dumps([order, reached, order_without, last, every]))
"""
    )
    order, reached, order_without, last, every = told
    assert order == ["::1", "127.0.0.1"]
    assert reached == "127.0.0.1"
    assert order_without == ["127.0.0.1", "::1"]
    assert every == [errno.ECONNREFUSED, errno.EADDRNOTAVAIL]
    assert last == errno.EADDRNOTAVAIL


@linux
@claim(
    "no-ipv6-is-errno-99",
    "ip(7) ERRORS",
    "RFC 6724 section 6",
    often_said="Errno 99 means that something is wrong with the server's address.",
)
def test_without_the_address_the_error_is_99(with_both: OwnNetwork) -> None:
    """Where ::1 is missing, bind() and connect() to it fail with EADDRNOTAVAIL."""
    told = with_both(
        """
lose_ipv6()
try:
    listen("::1")
except OSError as error:
    print(json.dumps([error.errno, outcome("::1", 9)]))
"""
    )
    assert told == [errno.EADDRNOTAVAIL] * 2 == [99, 99]


@linux
@claim("asyncio-names-every-error", "Python docs: asyncio.loop.create_connection()")
def test_asyncio_gives_the_errors_of_all_addresses(with_both: OwnNetwork) -> None:
    """asyncio.open_connection() names each address that failed, in one message."""
    told = with_both(
        """
server, port = listen("127.0.0.1")
server.close()
try:
    asyncio.run(asyncio.wait_for(asyncio.open_connection(None, port), 60))
except OSError as error:
    print(json.dumps([port, str(error)]))
"""
    )
    port, message = told
    assert message == (
        "Multiple exceptions: "
        f"[Errno 111] Connect call failed ('::1', {port}, 0, 0), "
        f"[Errno 111] Connect call failed ('127.0.0.1', {port})"
    )


RACE = """
silent, port = listen("::1", backlog=0)
held = socket.create_connection(silent.getsockname()[:2], 60)
other = socket.create_server(("127.0.0.1", port))
import select
select.select([silent], [], [], 60)

async def dial(**options):
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(None, port, **options), 0.9
        )
    except TimeoutError:
        return "timed out"
    peer = writer.get_extra_info("peername")[0]
    writer.close()
    return peer

async def main():
    return [await dial(), await dial(happy_eyeballs_delay=0.05)]

print(json.dumps(asyncio.run(main())))
"""


@linux
@claim(
    "happy-eyeballs-need-a-delay",
    "RFC 8305 section 5",
    "Python docs: asyncio.loop.create_connection()",
    often_said="If the first address does not answer, the client takes the second.",
)
def test_asyncio_races_only_if_it_is_told_to(with_both: OwnNetwork) -> None:
    """A client that dials one address after the other waits for a silent one.

    With happy_eyeballs_delay, asyncio dials the next address meanwhile and takes
    whichever answers first.
    """
    assert with_both(RACE) == ["timed out", "127.0.0.1"]


@linux
@claim("getaddrinfo-gives-a-list", "getaddrinfo(3)", "RFC 3493 section 6.1")
def test_one_entry_for_each_address_and_kind() -> None:
    """On Linux getaddrinfo() gives one entry for each address and kind of socket.

    Ask for a type, or each address comes more than once.
    """
    numeric = socket.AI_NUMERICHOST
    every = socket.getaddrinfo("127.0.0.1", 80, flags=numeric)
    stream = socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM, flags=numeric)
    assert len(every) > len(stream) == 1
    assert stream[0][0] == socket.AF_INET
    assert stream[0][4] == ("127.0.0.1", 80)


@linux
@glibc
@claim(
    "gaierror-is-about-the-name",
    "getaddrinfo(3)",
    "Python docs: socket.gaierror",
    often_said="Name or service not known means that the server is down.",
)
def test_a_wrong_name_fails_before_anything_is_dialled() -> None:
    """A gaierror means that a name could not be turned into an address.

    Nothing has been dialled by then. Its numbers are those of getaddrinfo(), no errno.
    """
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo("http://127.0.0.1/", 80, flags=socket.AI_NUMERICHOST)
    assert str(caught.value) == "[Errno -2] Name or service not known"
    assert caught.value.errno == socket.EAI_NONAME
    assert caught.value.errno not in errno.errorcode
    assert isinstance(caught.value, OSError)


@linux
def test_an_address_that_fails_at_once_is_not_taken(with_both: OwnNetwork) -> None:
    """The program's race goes on to the next address, and tells the last error.

    The winner's calls wait as long as the caller said, not as the race did: not at all.
    """
    told = with_both(
        f"""
import contextlib, io, runpy
lose_ipv6()
server, port = listen("127.0.0.1")
with contextlib.redirect_stdout(io.StringIO()):
    race = runpy.run_path({str(EYEBALLS)!r})["first_to_answer"]
    found = []
    for host in ("::1", "127.0.0.1"):
        found += socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    with race(found, 5) as winner:
        peer, patience = winner.getpeername()[0], winner.gettimeout()
    try:
        race(found[:1], 5)
    except OSError as error:
        failed = error.errno
print(json.dumps([peer, patience, failed]))
"""
    )
    assert told == ["127.0.0.1", 5, errno.EADDRNOTAVAIL]
