"""The claims of "What is loopback?"."""

from __future__ import annotations

import contextlib
import errno
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]
    OwnNetwork = Callable[..., Any]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: /proc, namespaces or 127.0.0.0/8"
)

# What the programs in a network of their own begin with: eth0, a virtual Ethernet
# interface with the address ETH0, and the kernel's counters.
COUNTED = """
ETH0, OTHER = "198.51.100.1", "198.51.100.2"  # RFC 5737

def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)

def cable(peer_network=None):
    peer = bytes(16) + attribute(3, b"peer\\0")
    if peer_network is not None:
        peer += attribute(28, struct.pack("=i", peer_network))
    kind = attribute(1, b"veth") + attribute(2, attribute(1, peer))
    body = bytes(16) + attribute(3, b"eth0\\0") + attribute(18, kind)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW) as kernel:
        kernel.settimeout(60)
        kernel.sendall(struct.pack("=IHHQ", 16 + len(body), 16, 0x605, 1) + body)
        assert struct.unpack_from("=i", kernel.recv(4096), 16)[0] == 0
    for switch in Path("/proc/sys/net/ipv6/conf").glob("[ep]*/disable_ipv6"):
        switch.write_text("1")  # or it greets its neighbours, whenever it likes

def give(name, address):
    up(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        told = struct.pack("=HH4s8x", 2, 0, socket.inet_aton(address))
        fcntl.ioctl(control, 0x8916, struct.pack("16s16s", name, told))  # SIOCSIFADDR

def counters():
    now = {}
    for row in Path("/proc/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = row.partition(":")
        numbers = [int(number) for number in numbers.split()]
        keys = {"rx bytes": 0, "rx packets": 1, "tx bytes": 8, "tx packets": 9}
        for key, index in keys.items():
            now[f"{name.strip()} {key}"] = numbers[index]
    rows = [row.split() for row in Path("/proc/net/snmp").read_text().splitlines()]
    for names, values in zip(rows[::2], rows[1::2]):
        for name, value in zip(names[1:], values[1:]):
            now[f"{names[0][:-1]} {name}"] = int(value)
    return now

def grown(act, packets):
    before = counters()
    act()
    deadline = time.monotonic() + 60
    while True:
        now = counters()
        if now["Tcp InSegs"] - before["Tcp InSegs"] >= packets:
            return {name: now[name] - before[name] for name in before}
        assert time.monotonic() < deadline, "so many packets never came"

def converse(host, payload=b"hello"):
    listener = socket.create_server((host, 0))
    client = socket.socket()
    client.settimeout(60)
    made = grown(lambda: client.connect(listener.getsockname()), 3)
    connection, _ = listener.accept()
    connection.settimeout(60)
    asked = grown(lambda: client.sendall(payload), 2)
    answered = grown(lambda: connection.sendall(payload), 2)
    return {"made": made, "asked": asked, "answered": answered}
"""

BOTH_ADDRESSES = """
cable()
give(b"eth0", ETH0)
up(b"peer")
print(json.dumps({host: converse(host) for host in ("127.0.0.1", ETH0)}))
"""

# The same bytes to another host: a server in a second network, behind a cable.
OVER_THE_CABLE = """
import os
here = os.open("/proc/self/ns/net", os.O_RDONLY)
assert unshare(NEWNET) == 0
cable(here)
give(b"eth0", OTHER)
listener = socket.create_server((OTHER, 0))
libc = ctypes.CDLL(None)
assert libc.setns(here, NEWNET) == 0
give(b"peer", ETH0)
client = socket.socket()
client.settimeout(60)
before = counters()
client.connect(listener.getsockname())
client.sendall(b"hello")
connection, _ = listener.accept()
connection.settimeout(60)
assert connection.recv(5) == b"hello"
now = counters()
print(json.dumps({name: now[name] - before[name] for name in before}))
"""

# What a capture on lo sees of a conversation: for each packet, whether the checksums
# of IP and TCP are right (RFC 1071), and whether the one of TCP was only begun, with
# the pseudo header (RFC 9293 section 3.1).
CAPTURED = """
def total(data):
    data += bytes(len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xFFFF) + (value >> 16)
    return value

ip_alone = socket.htons(0x0800)  # ETH_P_IP
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, ip_alone) as capture:
    capture.settimeout(60)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), 60)
        connection, _ = listener.accept()
        client.sendall(b"hello")
        assert connection.recv(5) == b"hello"
    seen = []
    while not seen or not seen[-1]["hello"]:
        packet = capture.recv(65_536)
        ip, segment = packet[:20], packet[20:]
        pseudo = ip[12:] + struct.pack("!BBH", 0, 6, len(segment))
        (told,) = struct.unpack_from("!H", segment, 16)
        seen.append({
            "IP": total(ip) == 0xFFFF,
            "TCP": total(pseudo + segment) == 0xFFFF,
            "begun": told == total(pseudo),
            "hello": segment.endswith(b"hello"),
        })
print(json.dumps(seen))
"""
NOTHING_BUT_LO = """
print(json.dumps([converse("127.0.0.1"), socket.if_nameindex()]))
"""

FRESH = """
def flags():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        told = fcntl.ioctl(control, 0x8913, struct.pack("16sH14x", b"lo", 0))
        return struct.unpack_from("=16xH", told)[0]

def dial(port):
    with socket.socket() as client:
        client.settimeout(60)
        return client.connect_ex(("127.0.0.1", port))

assert unshare(NEWNET) == 0
listener = socket.create_server(("", 0))
port = listener.getsockname()[1]
told = [flags() & 1, dial(port)]
up(b"lo")
told += [flags() & 1, dial(port)]
print(json.dumps(told))
"""

DIAL_AND_SEND = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60) as client:
    client.sendall(sys.argv[2].encode())
"""

# A range of one port, so that the kernel must give the client the very port it dials.
DIAL_NOBODY = """
client = socket.socket()
client.settimeout(60)
client.connect(("127.0.0.1", 40000))
client.sendall(b"is anybody there?")
answer = client.recv(99).decode()
print(json.dumps([client.getsockname(), client.getpeername(), answer]))
"""


@contextlib.contextmanager
def other_program(port: int, message: bytes) -> Iterator[None]:
    """Let another program dial, send and end; at the end of the block it has ended."""
    argv = [sys.executable, "-c", DIAL_AND_SEND, str(port), message.decode()]
    with subprocess.Popen(argv) as process:
        try:
            yield
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()


def result_of(address: tuple[str, int], sockets: ExitStack) -> int:
    """Dial, and return the error's number, or 0."""
    client = sockets.enter_context(socket.socket())
    client.settimeout(PATIENCE)
    return client.connect_ex(address)


@claim(
    "loopback-returns-to-same-host",
    "RFC 1122 section 3.2.1.3 (g)",
    "netdevice(7) IFF_LOOPBACK",
)
def test_what_lo_sends_it_receives(in_own_network: OwnNetwork) -> None:
    """What a host sends to loopback comes back to the same host.

    On Linux each byte that lo sends is a byte that lo receives.
    """
    for host, steps in in_own_network(COUNTED + BOTH_ADDRESSES).items():
        for step, grown in steps.items():
            assert grown["lo tx packets"] > 0, (host, step)
            assert grown["lo rx packets"] == grown["lo tx packets"]
            assert grown["lo rx bytes"] == grown["lo tx bytes"]


@claim(
    "loopback-is-called-lo0",
    "netdevice(7)",
    "FreeBSD lo(4)",
    often_said="The loopback interface is called lo0.",
)
def test_the_name_of_the_interface(in_own_network: OwnNetwork) -> None:
    """The loopback interface is called lo on Linux, and lo0 on macOS and the BSDs."""
    names = dict(in_own_network(COUNTED + NOTHING_BUT_LO)[1]).values()
    assert "lo" in names
    assert "lo0" not in names


@claim(
    "loopback-uses-127-0-0-1",
    "RFC 1122 section 3.2.1.3 (g)",
    "RFC 4291 section 2.5.3",
    "ip(7) Address format",
    often_said="The loopback address is 127.0.0.1.",
)
def test_loopback_is_a_whole_network(sockets: ExitStack) -> None:
    """All addresses from 127.0.0.0 to 127.255.255.255 are loopback, and in IPv6 ::1.

    Linux takes connections for every one but the last, which is for broadcasts;
    before 5.14 also not for the first.
    """
    for host in ("127.0.0.2", "127.77.0.1", "127.255.255.254"):
        listener = sockets.enter_context(socket.create_server((host, 0)))
        assert result_of(listener.getsockname(), sockets) == 0
    everywhere = sockets.enter_context(socket.create_server(("", 0)))
    port = everywhere.getsockname()[1]
    assert result_of(("127.9.9.9", port), sockets) == 0
    assert result_of(("127.255.255.255", port), sockets) == errno.ENETUNREACH


@claim("bound-to-one-loopback-address", "ip(7) Address format", "bind(2)")
def test_a_server_on_127_0_0_1_is_not_at_127_0_0_9(in_own_network: OwnNetwork) -> None:
    """A server bound to one address of loopback does not answer at the others.

    Bound to 0.0.0.0 it answers at all of them.
    """
    told = in_own_network(
        """
results = []
for bound in ("127.0.0.1", "0.0.0.0"):
    listener = socket.create_server((bound, 0))
    for dialled in ("127.0.0.1", "127.0.0.9"):
        client = socket.socket()
        client.settimeout(60)
        results.append(client.connect_ex((dialled, listener.getsockname()[1])))
print(json.dumps(results))
"""
    )
    assert told == [0, errno.ECONNREFUSED, 0, 0]


def check_no_interface_but_lo(steps: dict[str, dict[str, int]]) -> None:
    """Fail if an interface with a cable has carried anything."""
    for grown in steps.values():
        carried = {
            name.split()[0]
            for name, number in grown.items()
            if name.endswith("packets") and number
        }
        assert carried == {"lo"}


@claim(
    "loopback-is-virtual-no-nic",
    "netdevice(7)",
    "RFC 1122 section 3.2.1.3 (g)",
    "Linux drivers/net/loopback.c",
)
def test_loopback_works_without_any_card(in_own_network: OwnNetwork) -> None:
    """Loopback is an interface without hardware: no network card sees the packets.

    It works in a network that has no other interface.
    """
    told = Path("/sys/class/net/lo")
    assert told.resolve() == Path("/sys/devices/virtual/net/lo")
    assert not (told / "device").exists()
    steps, _ = in_own_network(COUNTED + NOTHING_BUT_LO)
    check_no_interface_but_lo(steps)


@claim(
    "own-address-goes-over-lo",
    "ip-route(8) local",
    often_said="Only 127.0.0.1 goes over loopback; my own address goes over the card.",
)
def test_the_hosts_own_address_goes_over_lo(in_own_network: OwnNetwork) -> None:
    """What a Linux host sends to any address of its own goes over lo.

    The interface that has the address carries nothing.
    """
    check_no_interface_but_lo(in_own_network(COUNTED + BOTH_ADDRESSES)["198.51.100.1"])


@claim(
    "path-socket-tcpip-nic",
    "RFC 1122 section 3.2.1.3 (g)",
    "netdevice(7)",
    often_said="Data always goes through TCP/IP and the network card to the network.",
)
def test_only_another_hosts_data_meets_the_card(in_own_network: OwnNetwork) -> None:
    """Data for another host leaves through a network card, data for the own host not.

    Both go through the socket, TCP and IP.
    """
    away = in_own_network(COUNTED + OVER_THE_CABLE)
    assert away["lo tx packets"] == 0
    assert away["peer tx packets"] >= 3
    assert away["Tcp OutSegs"] >= 3
    home = in_own_network(COUNTED + BOTH_ADDRESSES)["127.0.0.1"]
    check_no_interface_but_lo(home)
    assert home["asked"]["Tcp OutSegs"] == 2


def test_the_check_sees_packets_on_a_cable(in_own_network: OwnNetwork) -> None:
    away = in_own_network(COUNTED + OVER_THE_CABLE)
    with pytest.raises(AssertionError, match="peer"):
        check_no_interface_but_lo({"away": away})


@claim(
    "loopback-passes-tcp-ip",
    "RFC 1122 section 3.2.1.3 (g)",
    "RFC 9293 section 3.1",
    often_said="On one machine the data takes a shortcut around TCP/IP.",
)
def test_tcp_and_ip_run_on_loopback(in_own_network: OwnNetwork) -> None:
    """TCP over loopback is TCP: handshake, headers and acknowledgements are all there.

    Each packet on lo is received by IP and by TCP.
    """
    steps = in_own_network(COUNTED + BOTH_ADDRESSES)["127.0.0.1"]
    assert [grown["lo rx packets"] for grown in steps.values()] == [3, 2, 2]
    for grown in steps.values():
        assert grown["Ip InReceives"] == grown["Tcp InSegs"] == grown["lo rx packets"]
    # Two packets with 20 bytes of IP, 20 of TCP and 12 of options, and 5 of data.
    assert steps["asked"]["lo rx bytes"] == 2 * 52 + 5


@claim(
    "loopback-computes-no-checksum",
    "Linux drivers/net/loopback.c, NETIF_F_HW_CSUM",
    "Linux checksum-offloads.rst",
)
def test_tcps_checksum_is_left_unfinished_on_lo(in_own_network: OwnNetwork) -> None:
    """On loopback Linux computes no checksum of TCP: there is no wire to damage bytes.

    It begins one and leaves it to a card that never comes. So a capture on lo shows a
    wrong one, and yet the bytes arrive.
    """
    seen = in_own_network(CAPTURED)
    assert len(seen) >= 4  # the handshake, and the data
    assert all(packet["IP"] for packet in seen)  # so the sum is computed rightly here
    assert all(packet["begun"] and not packet["TCP"] for packet in seen)


@claim(
    "same-host-six-steps",
    "RFC 9293 section 3.10.2",
    "RFC 9293 section 3.10.3",
    "RFC 1122 section 3.2.1.3 (g)",
    often_said="On one machine the answer comes back through TCP/IP, not by loopback.",
)
def test_the_answer_takes_the_same_way_back(in_own_network: OwnNetwork) -> None:
    """Between two programs of one host the answer takes the way of the question.

    It goes through the socket, TCP, IP and loopback, and up again.
    """
    steps = in_own_network(COUNTED + BOTH_ADDRESSES)["127.0.0.1"]
    for name in ("lo rx packets", "lo rx bytes", "Ip InReceives", "Tcp InSegs"):
        assert steps["answered"][name] == steps["asked"][name] > 0


@claim(
    "frontend-backend-via-loopback",
    "RFC 1122 section 3.2.1.3 (g)",
    "network_namespaces(7)",
    often_said="A front end and a back end on one machine talk over loopback.",
)
def test_who_dials_from_another_network_is_refused(
    listener: socket.socket, in_own_network: OwnNetwork
) -> None:
    """Two programs talk over loopback if they share a network and dial a local address.

    The script of a web page runs at the reader's: 127.0.0.1 is the reader's machine
    there. In a container it is the container.
    """
    port = listener.getsockname()[1]
    with other_program(port, b"front end"):
        connection, peer = listener.accept()
    with connection:
        connection.settimeout(PATIENCE)
        assert connection.recv(1024) == b"front end"
        assert peer[0] == "127.0.0.1"
    refused = in_own_network(
        f"""
client = socket.socket()
client.settimeout(60)
print(client.connect_ex(("127.0.0.1", {port})))
"""
    )
    assert refused == errno.ECONNREFUSED


@claim(
    "container-has-its-own-localhost",
    "network_namespaces(7)",
    often_said="localhost in a container is the machine that it runs on.",
)
def test_two_networks_have_two_loopbacks(in_own_network: OwnNetwork) -> None:
    """Each network namespace has a loopback of its own.

    So has a container, unless it shares a namespace.

    The same port of 127.0.0.1 can be taken in both, by different servers.
    """
    told = in_own_network(
        """
first = socket.create_server(("127.0.0.1", 0))
address = first.getsockname()
assert unshare(NEWNET) == 0
up(b"lo")
second = socket.create_server(address)
client = socket.create_connection(address, 60)
taken = []
for listener in (first, second):
    listener.settimeout(0)
    try:
        taken.append(listener.accept()[1] == client.getsockname())
    except BlockingIOError:
        taken.append(False)
print(json.dumps(taken))
"""
    )
    assert told == [False, True]


@claim("fresh-loopback-is-down", "ip-netns(8) EXAMPLES", "netdevice(7) IFF_UP")
def test_loopback_of_a_new_network_is_down(in_own_network: OwnNetwork) -> None:
    """In a new network namespace lo is down, and connect() fails with ENETUNREACH."""
    assert in_own_network(FRESH) == [0, errno.ENETUNREACH, 1, 0]


@claim("lo-mtu", "Linux drivers/net/loopback.c")
def test_the_mtu_of_lo(in_own_network: OwnNetwork) -> None:
    """The MTU of lo is 65536 bytes on Linux; that of Ethernet is usually 1500."""
    cases = in_own_network(
        COUNTED
        + """
cable()
sizes = {}
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
    for name in ("lo", "eth0"):
        told = fcntl.ioctl(control, 0x8921, struct.pack("16s16x", name.encode()))
        sizes[name] = struct.unpack_from("=16xi", told)[0]  # SIOCGIFMTU
print(json.dumps(sizes))
"""
    )
    assert cases == {"lo": 65536, "eth0": 1500}


@claim(
    "a-socket-may-connect-to-itself",
    "RFC 9293 section 3.5",
    often_said="If connect() succeeds, a server is there.",
)
def test_a_client_gets_the_port_that_it_dials(
    sockets: ExitStack, in_own_network: OwnNetwork
) -> None:
    """On Linux a TCP socket can be connected to itself.

    A client that dials a port of the range for clients may be given that very port.
    """
    sock = sockets.enter_context(socket.socket())
    sock.settimeout(PATIENCE)
    sock.bind(("127.0.0.1", 0))
    sock.connect(sock.getsockname())
    assert sock.getpeername() == sock.getsockname()

    told = in_own_network(DIAL_NOBODY, "ip_local_port_range=40000 40000")
    here = ["127.0.0.1", 40_000]
    assert told == [here, here, "is anybody there?"]


@claim("write-moves-data-to-kernel", "send(2)", "RFC 9293 section 3.9.1.2")
def test_the_kernel_has_a_copy(ends: Ends, listener: socket.socket) -> None:
    """send() copies the bytes into the kernel.

    The program may change its buffer at once, or end: the kernel goes on sending them,
    unless the connection breaks, or the program left bytes unread.
    """
    client, connection = ends
    buffer = bytearray(b"original")
    client.sendall(buffer)
    buffer[:] = b"changed!"
    assert connection.recv(1024) == b"original"

    with other_program(listener.getsockname()[1], b"last words"):
        pass  # it has ended, and nothing has been accepted yet
    orphan, _ = listener.accept()
    with orphan:
        orphan.settimeout(PATIENCE)
        assert orphan.recv(1024) == b"last words"
        assert orphan.recv(1024) == b""
