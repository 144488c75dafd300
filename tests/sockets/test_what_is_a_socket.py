"""The claims of "What is a socket?"."""

from __future__ import annotations

import asyncio
import errno
import functools
import http.client
import os
import select
import signal
import socket
import socketserver
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from patience import PATIENCE
from processes import receive

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import ExitStack

    Ends = tuple[socket.socket, socket.socket]

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="rests on Linux: /proc, its options or its limits"
)
LISTEN, ESTABLISHED = 10, 1  # states in TCP_INFO: include/net/tcp_states.h
LARGEST_PACKET = 65_535  # bytes: Total Length is 16 bits, RFC 791 section 3.1
IP_HEADER, UDP_HEADER = 20, 8  # bytes: RFC 791 section 3.1, RFC 768

# Takes a descriptor that was made elsewhere, and writes to it as to a file.
WRITER = """
import os, sys
os.write(int(sys.argv[1]), b"from process %d" % os.getpid())
"""
# Dials the address in its arguments: 127.0.0.1 and a port, or a path.
DIALLER = """
import os, socket, sys
family = socket.AF_INET if len(sys.argv) == 3 else socket.AF_UNIX
address = (sys.argv[1], int(sys.argv[2])) if len(sys.argv) == 3 else sys.argv[1]
with socket.socket(family) as sock:
    sock.settimeout(60)
    sock.connect(address)
    sock.sendall(b"process %d" % os.getpid())
    assert sock.recv(1024) == b"welcome"
"""
# Listens, says where, and then waits to be stopped. Goes on when it is dialled.
SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(60)
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        connection.sendall(b"I have read " + connection.recv(1024))
"""


def error_of(call: Callable[[], object]) -> int | None:
    """Return the errno of the error that call() raises."""
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return caught.value.errno


def waiting(sock: socket.socket) -> bool:
    """Say whether a recv() on this socket would return at once."""
    return bool(select.select([sock], [], [], 0)[0])


@pytest.fixture
def pair(sockets: ExitStack) -> Ends:
    """Two UNIX sockets that are connected to each other."""
    left, right = socket.socketpair()
    for end in (left, right):
        sockets.enter_context(end)
        end.settimeout(PATIENCE)
    return left, right


@pytest.fixture
def datagrams(sockets: ExitStack) -> Ends:
    """Two UDP sockets on 127.0.0.1; the first is connected to the second."""
    sender, receiver = (
        sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)
    )
    receiver.bind(("127.0.0.1", 0))
    receiver.settimeout(PATIENCE)
    sender.connect(receiver.getsockname())
    return sender, receiver


@linux
@claim("socket-is-ipc-endpoint", "socket(2)", "socketpair(2)", "fork(2)")
def test_another_process_writes_to_an_inherited_socket(pair: Ends) -> None:
    """A socket is an end point in the kernel through which processes talk.

    A process needs no more than a descriptor that refers to it.
    """
    left, right = pair
    number = left.fileno()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(number)], pass_fds=[number]
    ) as process:
        right.settimeout(PATIENCE)
        assert right.recv(1024) == b"from process %d" % process.pid
        assert process.pid != os.getpid()


@linux
@claim("socket-lets-processes-exchange-data", "socket(2)", "unix(7)", "ip(7)")
def test_processes_talk_by_tcp_and_by_a_path(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """Sockets let processes exchange data, on one machine or on several.

    On one machine they can do it by TCP, and without any network protocol as well.
    """
    folder = sockets.enter_context(tempfile.TemporaryDirectory())
    local = sockets.enter_context(socket.socket(socket.AF_UNIX))
    local.bind(f"{folder}/here")
    local.listen()
    host, port = listener.getsockname()
    for server, words in ((listener, [host, str(port)]), (local, [f"{folder}/here"])):
        server.settimeout(PATIENCE)
        with subprocess.Popen([sys.executable, "-c", DIALLER, *words]) as process:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(1024) == b"process %d" % process.pid
                connection.sendall(b"welcome")
            assert process.wait(PATIENCE) == 0


def inodes_in(table: str) -> set[int]:
    """Return the inodes of a table of sockets below /proc/net (proc(5))."""
    lines = Path("/proc/net", table).read_text().splitlines()
    column = lines[0].split().index("Inode") if table == "unix" else 9
    return {int(line.split()[column]) for line in lines[1:]}


def check_no_network_protocol(sock: socket.socket) -> None:
    """Fail unless the socket has no IP address and is in no table of TCP or UDP."""
    inode = os.fstat(sock.fileno()).st_ino
    assert inode in inodes_in("unix"), "the socket has a network protocol"
    assert not any(inode in inodes_in(table) for table in ("tcp", "tcp6", "udp"))
    assert sock.getsockname() == ""
    assert error_of(
        lambda: sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    ) in (errno.EOPNOTSUPP, errno.ENOPROTOOPT)


@linux
@claim(
    "socket-needs-a-network",
    "unix(7)",
    "socket(2)",
    often_said="Sockets are for programs that talk across a network.",
)
def test_unix_sockets_have_no_network(pair: Ends) -> None:
    """Not every socket uses a network.

    UNIX sockets carry bytes between programs of one machine without TCP, UDP or IP.
    """
    left, right = pair
    for end in pair:
        check_no_network_protocol(end)
    left.sendall(b"no network")
    assert right.recv(1024) == b"no network"


@linux
def test_the_check_of_no_network_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="has a network protocol"):
        check_no_network_protocol(ends[0])


@claim(
    "socket-api-between-app-and-transport",
    "socket(7)",
    "RFC 9293 section 3.9.1",
    "RFC 768 User Interface",
)
def test_the_calls_are_the_same_and_the_transport_differs(
    ends: Ends, datagrams: Ends
) -> None:
    """The socket calls are the interface between a program and a transport protocol.

    The same send() and recv() join bytes over TCP and keep messages apart over UDP.
    """
    for sender in (ends[0], datagrams[0]):
        assert sender.send(b"AB") == 2
        assert sender.send(b"CD") == 2
    assert receive(ends[1], 4) == b"ABCD"
    receiver = datagrams[1]
    assert [receiver.recv(4), receiver.recv(4)] == [b"AB", b"CD"]


@linux
@claim("socket-api-is-not-a-layer", "RFC 768 Fields", "RFC 791 section 3.1", "udp(7)")
def test_a_socket_adds_nothing_to_a_packet(datagrams: Ends) -> None:
    """The socket calls are no layer of their own: they add no header to a packet.

    The largest packet of IP, less the headers of IP and UDP, is all the program's.
    """
    sender, receiver = datagrams
    sender.settimeout(PATIENCE)
    room = LARGEST_PACKET - IP_HEADER - UDP_HEADER
    assert sender.send(bytes(room)) == room
    assert len(receiver.recv(LARGEST_PACKET)) == room
    assert error_of(lambda: sender.send(bytes(room + 1))) == errno.EMSGSIZE


@linux
@claim(
    "socket-sits-at-transport-layer",
    "socket(2)",
    "netlink(7)",
    "unix(7)",
    often_said="A socket works at the transport layer, layer 4.",
)
def test_only_some_sockets_have_a_transport(sockets: ExitStack) -> None:
    """Some sockets reach a transport protocol, and others have none.

    A TCP socket has TCP's options. A UNIX socket has none, nor has a netlink socket,
    through which a program talks to its own kernel.
    """

    def nodelay(sock: socket.socket) -> object:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    tcp = sockets.enter_context(socket.socket())
    local = sockets.enter_context(socket.socket(socket.AF_UNIX))
    netlink = sockets.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
    assert nodelay(tcp) == 0
    for other in (local, netlink):
        error = error_of(functools.partial(nodelay, other))
        assert error in {errno.EOPNOTSUPP, errno.ENOPROTOOPT}


@linux
@claim(
    "socket-is-application-layer-software",
    "socket(2)",
    "socket(7)",
    often_said="A socket is software of the application layer.",
)
def test_a_socket_works_while_its_process_is_stopped(sockets: ExitStack) -> None:
    """The socket is the kernel's; the application has only a descriptor for it.

    While the application is stopped, its socket still takes connections and bytes.
    """
    import fcntl  # noqa: PLC0415 - there is none on Windows
    import termios  # noqa: PLC0415

    process = sockets.enter_context(
        subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE)
    )
    sockets.callback(process.kill)
    assert process.stdout is not None
    port = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)

    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        client.sendall(b"hello")
        deadline = time.monotonic() + PATIENCE
        unacknowledged = 5
        while unacknowledged and time.monotonic() < deadline:
            answer = fcntl.ioctl(client, termios.TIOCOUTQ, bytes(4))
            unacknowledged = int.from_bytes(answer, sys.byteorder)
        assert unacknowledged == 0
        assert not waiting(client)
        os.kill(process.pid, signal.SIGCONT)
        assert client.recv(1024) == b"I have read hello"


def send_a_line(sock: socket.socket, data: bytes) -> None:
    """Send as a protocol of lines does: with an end of line."""
    sock.sendall(data + b"\r\n")


def check_carries_bytes_unchanged(
    send: Callable[[socket.socket, bytes], None], ends: Ends
) -> None:
    """Fail unless the other end gets the bytes that were given, and no more."""
    data = bytes(range(256))
    send(ends[0], data)
    ends[0].shutdown(socket.SHUT_WR)
    arrived = b""
    while piece := ends[1].recv(1024):
        arrived += piece
    assert arrived == data, "something was added"


@claim(
    "socket-implements-app-protocol",
    "RFC 9293 section 2.2",
    "RFC 9110 section 3.3",
    often_said="A socket implements a protocol of the application layer.",
)
def test_a_socket_carries_bytes_and_no_protocol(ends: Ends) -> None:
    """A stream socket carries the bytes it is given, and adds nothing to them.

    HTTP and the like are the work of the program or its library.
    """
    check_carries_bytes_unchanged(socket.socket.sendall, ends)


def test_the_check_of_unchanged_bytes_can_fail(ends: Ends) -> None:
    with pytest.raises(AssertionError, match="something was added"):
        check_carries_bytes_unchanged(send_a_line, ends)


def tcp_state(sock: socket.socket) -> int:
    """Return the kernel's state of a TCP socket: the first byte of tcp_info."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


@linux
@claim("socket-abstracts-kernel-protocols", "socket(7)", "tcp(7) TCP_INFO")
def test_the_protocol_is_in_the_kernel(listener: socket.socket, ends: Ends) -> None:
    """A socket is a program's handle on protocols that the kernel implements.

    The program can ask it for the state in which the kernel's TCP is.
    """
    assert tcp_state(listener) == LISTEN
    assert [tcp_state(end) for end in ends] == [ESTABLISHED, ESTABLISHED]


@linux
@claim(
    "socket-is-a-file-on-unix", "inode(7)", "socket(7)", "lseek(2) ERRORS", "proc(5)"
)
def test_a_socket_is_a_file_of_its_own_type(pair: Ends) -> None:
    """On UNIX a socket is a file of a type of its own, without a position.

    read() and write() work on its descriptor; seeking gives ESPIPE, and opening it
    by a path gives ENXIO.
    """
    left, right = pair
    number = right.fileno()
    status = os.fstat(number)
    assert stat.S_ISSOCK(status.st_mode)
    link = Path(f"/proc/self/fd/{number}").readlink()
    assert str(link) == f"socket:[{status.st_ino}]"
    os.write(left.fileno(), b"as to a file")
    assert os.read(number, 1024) == b"as to a file"
    assert error_of(lambda: os.lseek(number, 0, os.SEEK_SET)) == errno.ESPIPE
    assert error_of(lambda: os.pread(number, 1, 0)) == errno.ESPIPE
    path = f"/proc/self/fd/{number}"
    assert error_of(lambda: os.open(path, os.O_RDWR)) == errno.ENXIO


@linux
@claim(
    "os-files-are-two-kinds",
    "inode(7)",
    often_said="To the operating system there are two kinds of file: data and devices.",
)
def test_there_are_more_kinds_of_file(tmp_path: Path, sockets: ExitStack) -> None:
    """POSIX has seven types of file, and a socket is one of them.

    The others are regular files, directories, symbolic links, FIFOs and the two
    kinds of device, character and block.
    """
    regular, link, fifo = tmp_path / "regular", tmp_path / "link", tmp_path / "fifo"
    regular.touch()
    link.symlink_to(regular)
    os.mkfifo(fifo)
    short = sockets.enter_context(tempfile.TemporaryDirectory())
    path = Path(short, "socket")  # a path of at most 107 bytes: unix(7)
    sockets.enter_context(socket.socket(socket.AF_UNIX)).bind(str(path))
    made = (regular, tmp_path, link, fifo, path, Path(os.devnull))
    types = [stat.S_IFMT(each.lstat().st_mode) for each in made]
    assert types == [
        stat.S_IFREG,
        stat.S_IFDIR,
        stat.S_IFLNK,
        stat.S_IFIFO,
        stat.S_IFSOCK,
        stat.S_IFCHR,
    ]
    assert len({*types, stat.S_IFBLK}) == 7


def check_is_no_device(descriptor: int) -> None:
    """Fail unless the descriptor is a socket's, and not that of a device."""
    mode = os.fstat(descriptor).st_mode
    assert not stat.S_ISCHR(mode), "it is a device"
    assert not stat.S_ISBLK(mode)
    assert stat.S_ISSOCK(mode)


@linux
@claim(
    "socket-is-a-device-file",
    "inode(7)",
    "netdevice(7)",
    often_said="A socket is the network device in the form of a file.",
)
def test_a_socket_is_no_device_file(ends: Ends) -> None:
    """A socket is no device file, and a network interface has no file of its name.

    In /dev there is no lo, nor any other interface of the machine.
    """
    check_is_no_device(ends[0].fileno())
    names = [name for _, name in socket.if_nameindex()]
    assert "lo" in names
    assert not [name for name in names if Path("/dev", name).exists()]


@linux
def test_the_check_of_devices_can_fail() -> None:
    device = os.open(os.devnull, os.O_RDWR)
    try:
        with pytest.raises(AssertionError, match="it is a device"):
            check_is_no_device(device)
    finally:
        os.close(device)


@linux
@claim(
    "socket-write-leaves-by-nic",
    "ip(7) IP_PKTINFO",
    "RFC 1122 section 3.2.1.3",
    "send(2)",
    often_said="What you write to a socket leaves through the network card.",
)
def test_what_is_sent_to_oneself_meets_no_card(datagrams: Ends, pair: Ends) -> None:
    """write() gives bytes to the kernel, and no network card need ever see them.

    What goes to 127.0.0.1 arrives by the loopback interface, and between UNIX sockets
    there is no interface at all.
    """
    sender, receiver = datagrams
    packet_info = 8  # IP_PKTINFO on Linux; Python names it from 3.14 on
    receiver.setsockopt(socket.IPPROTO_IP, packet_info, 1)
    assert os.write(sender.fileno(), b"where to?") == 9
    data, told, _, _ = receiver.recvmsg(1024, socket.CMSG_SPACE(12))
    assert data == b"where to?"
    [(_, _, info)] = told
    interface = struct.unpack_from("@i", info)[0]
    assert socket.if_indextoname(interface) == "lo"

    left, right = pair
    check_no_network_protocol(left)
    assert os.write(left.fileno(), b"still here") == 10
    assert waiting(right)  # the kernel has it; nobody has read it


@linux
@claim(
    "socket-is-virtual-network-device",
    "netdevice(7)",
    "socket(2)",
    often_said="A socket is a virtual network device.",
)
def test_a_socket_adds_no_interface(sockets: ExitStack) -> None:
    """A socket is no network device: making sockets adds no interface.

    Virtual network devices exist, such as the loopback interface.
    """
    before = socket.if_nameindex()
    made = [sockets.enter_context(socket.socket()) for _ in range(100)]
    assert len({sock.fileno() for sock in made}) == 100
    assert socket.if_nameindex() == before
    assert "lo" in {name for _, name in before}


def check_has_no_address(sock: socket.socket) -> None:
    """Fail if the socket has an IP address and a port of its own."""
    assert sock.getsockname() in {("0.0.0.0", 0), ""}, "it has an address"


@claim(
    "every-socket-has-ip-and-port",
    "socket(7)",
    "bind(2)",
    "unix(7)",
    often_said="Every socket has an address: IP and port.",
)
def test_a_socket_need_have_no_address(pair: Ends, listener: socket.socket) -> None:
    """A new socket has no address, and a UNIX socket never has an IP and a port.

    An Internet socket gets its address from bind(), or from the kernel when it
    connects, listens or sends without one.
    """
    with socket.socket() as new:
        check_has_no_address(new)
        new.bind(("127.0.0.1", 0))
        assert new.getsockname()[1] != 0
    for call in (
        lambda sock: sock.connect(listener.getsockname()),
        socket.socket.listen,
    ):
        with socket.socket() as unbound:
            unbound.settimeout(PATIENCE)
            check_has_no_address(unbound)
            call(unbound)
            assert unbound.getsockname()[1] != 0
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        check_has_no_address(datagrams)
        datagrams.sendto(b"hello", listener.getsockname())
        assert datagrams.getsockname()[1] != 0
    for end in pair:
        check_has_no_address(end)


def test_the_check_of_addresses_can_fail(listener: socket.socket) -> None:
    with pytest.raises(AssertionError, match="it has an address"):
        check_has_no_address(listener)


@linux
@claim("socket-returns-a-descriptor", "socket(2)", "close(2)")
def test_a_new_socket_has_the_lowest_free_number() -> None:
    """socket() returns a descriptor: the lowest number that the process has free.

    After close() the same number may be another socket's.
    """
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    with socket.socket() as first:
        assert first.fileno() == lowest
        first.close()
        assert error_of(lambda: os.fstat(lowest)) == errno.EBADF
        with socket.socket() as second:
            assert second.fileno() == lowest


@linux
@claim("type-chosen-at-creation", "socket(2)", "ip(7)", "socket(7) SO_TYPE")
def test_the_type_is_chosen_once(sockets: ExitStack) -> None:
    """The type is chosen when the socket is made: stream for TCP, datagram for UDP.

    It cannot be changed afterwards.
    """
    for kind, protocol in (
        (socket.SOCK_STREAM, socket.IPPROTO_TCP),
        (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    ):
        sock = sockets.enter_context(socket.socket(socket.AF_INET, kind))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == kind
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == protocol
        change = (socket.SOL_SOCKET, socket.SO_TYPE, int(socket.SOCK_SEQPACKET))
        error = error_of(functools.partial(sock.setsockopt, *change))
        assert error == errno.ENOPROTOOPT


@linux
@claim(
    "type-decides-l4-protocol",
    "socket(2)",
    "unix(7)",
    often_said="The type of a socket decides the protocol of layer 4.",
)
def test_a_stream_need_not_be_tcp(sockets: ExitStack) -> None:
    """Family, type and protocol number decide together which protocol a socket uses.

    A stream socket of the family AF_INET is TCP by default; one of AF_UNIX has no
    protocol of layer 4 at all.
    """
    tcp = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    local = sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    assert tcp.type == local.type == socket.SOCK_STREAM
    protocols = [
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) for sock in (tcp, local)
    ]
    assert protocols == [socket.IPPROTO_TCP, 0]
    wrong = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP)
    assert error_of(lambda: socket.socket(*wrong)) == errno.EPROTONOSUPPORT


@linux
@claim("io-calls-recv-send-read-write", "send(2)", "recv(2)", "socket(7)")
def test_read_and_write_mix_with_recv_and_send(ends: Ends) -> None:
    """On a stream, read() and write() do what recv() and send() do without flags."""
    client, connection = ends
    assert os.write(client.fileno(), b"written") == 7
    assert connection.recv(1024) == b"written"
    assert connection.send(b"sent") == 4
    os.set_blocking(client.fileno(), True)
    assert waiting(client) or select.select([client], [], [], PATIENCE)[0]
    assert os.read(client.fileno(), 1024) == b"sent"


def check_stream_goes_on_after(
    end_one: Callable[[socket.socket], None], ends: Ends
) -> None:
    """Fail if ending one of two descriptors ends the stream for the peer."""
    client, connection = ends
    with connection.dup() as copy:
        copy.settimeout(PATIENCE)
        end_one(connection)
        try:
            copy.sendall(b"still open")
        except BrokenPipeError as error:
            raise AssertionError("the stream was ended") from error
        # Bytes keep their order: an end sent by close() would come before these.
        assert client.recv(1024) == b"still open"
    assert client.recv(1024) == b""


@linux
@claim(
    "close-ends-the-connection",
    "close(2)",
    "shutdown(2)",
    "RFC 9293 section 3.6",
    often_said="close() ends the connection.",
)
def test_the_last_close_ends_the_stream(ends: Ends) -> None:
    """close() frees one descriptor, and only the last one ends the stream.

    dup() and fork() make more descriptors of one socket. shutdown() ends the stream
    whatever their number.
    """
    check_stream_goes_on_after(socket.socket.close, ends)


@linux
def test_the_check_of_close_can_fail(ends: Ends) -> None:
    def shut(sock: socket.socket) -> None:
        sock.shutdown(socket.SHUT_WR)

    with pytest.raises(AssertionError, match="the stream was ended"):
        check_stream_goes_on_after(shut, ends)


@linux
@claim(
    "close-wakes-nobody",
    "close(2) Multithreaded processes and close()",
    "shutdown(2)",
    often_said="close() ends a recv() that waits in another thread.",
)
@pytest.mark.parametrize(("end", "wakes"), [("close", False), ("shutdown", True)])
def test_shutdown_wakes_a_thread_and_close_does_not(
    ends: Ends, end: str, *, wakes: bool
) -> None:
    """On Linux close() does not wake a recv() that waits in another thread.

    shutdown() does: the recv() returns b'' at once.
    """
    ours, theirs = ends
    ours.settimeout(None)  # with a time-out Python would wait in poll()
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(ours.recv(1024)), name="reader")
    reader.start()
    try:
        stat_file = Path(f"/proc/self/task/{reader.native_id}/stat")
        give_up = time.monotonic() + PATIENCE
        while stat_file.read_text().rpartition(") ")[2][0] != "S":
            assert time.monotonic() < give_up, "the reader never waited"
        if end == "close":
            ours.close()
        else:
            ours.shutdown(socket.SHUT_RDWR)
        reader.join(PATIENCE if wakes else 0.3)
        assert reader.is_alive() is not wakes
    finally:
        theirs.sendall(b"at last") if not wakes else theirs.close()
        reader.join(PATIENCE)
    assert got == ([b""] if wakes else [b"at last"])


@claim(
    "sockets-are-not-inherited",
    "PEP 446",
    "Python docs: os, Inheritance of File Descriptors",
)
@pytest.mark.skipif(os.name != "posix", reason="asks for a descriptor by its number")
def test_a_started_program_does_not_get_our_sockets(listener: socket.socket) -> None:
    """A program that Python starts does not get its sockets, unless they are passed."""
    look = "import os, sys; os.fstat(int(sys.argv[1]))"
    command = [sys.executable, "-c", look, str(listener.fileno())]

    def started(**how: Any) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            **how,
        )
        return str(done.stderr)

    assert "Bad file descriptor" in started(close_fds=False)
    assert not started(pass_fds=[listener.fileno()])


@claim(
    "socket-programming-definition",
    "socket(7)",
    "unix(7)",
)
def test_the_same_program_talks_over_the_network_and_within_the_machine(
    ends: Ends, sockets: ExitStack
) -> None:
    """Socket programming is exchanging data over a network by these calls.

    Within one machine the same calls work without a network.
    """
    near, far = socket.socketpair()  # AF_UNIX where there is one
    pairs = [ends, (sockets.enter_context(near), sockets.enter_context(far))]
    for one, other in pairs:
        other.settimeout(PATIENCE)
        one.sendall(b"the same calls")
        assert receive(other, 14) == b"the same calls"


@claim(
    "languages-provide-socket-apis",
    "Python docs: socket",
    "Python docs: socketserver",
    "Python docs: asyncio, Streams",
)
def test_pythons_libraries_end_in_the_same_sockets(
    run_async: Callable[[Coroutine[Any, Any, Any]], Any],
) -> None:
    """Languages and libraries offer sockets in many forms.

    In Python `socketserver`, `asyncio` and `http.client` all hold a `socket`.
    """

    class Echo(socketserver.StreamRequestHandler):
        timeout = PATIENCE

        def handle(self) -> None:
            assert isinstance(self.request, socket.socket)
            self.wfile.write(self.rfile.readline())

    async def ask(port: int) -> tuple[object, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sock = writer.get_extra_info("socket")
        number = socket.fromfd(sock.fileno(), sock.family, sock.type)
        with number:
            peer = number.getpeername()
        writer.write(b"through asyncio\n")
        answer = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return peer, answer

    with socketserver.TCPServer(("127.0.0.1", 0), Echo) as server:
        assert isinstance(server.socket, socket.socket)
        server.timeout = PATIENCE
        one = threading.Thread(target=server.handle_request, name="server")
        one.start()
        try:
            told = run_async(ask(server.server_address[1]))
        finally:
            one.join(PATIENCE)
        assert told == (server.server_address, b"through asyncio\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
        client = http.client.HTTPConnection(host, port, timeout=PATIENCE)
        client.connect()
        try:
            assert isinstance(client.sock, socket.socket)
            assert client.sock.getpeername() == listener.getsockname()
        finally:
            client.close()


@claim(
    "custom-bidirectional-protocol-possible",
    "RFC 9293 section 2.2",
    "RFC 6455 section 1.7",
)
def test_a_protocol_of_ones_own_runs_over_a_socket(ends: Ends) -> None:
    """On a socket you can build a protocol of your own in which both sides ask.

    WebSocket is such a protocol. A web page cannot: it gets no TCP socket.
    """

    def ask(sock: socket.socket, question: bytes) -> None:
        sock.sendall(struct.pack("!H", len(question)) + question)

    def hear(sock: socket.socket) -> bytes:
        (size,) = struct.unpack("!H", receive(sock, 2))
        return receive(sock, size)

    client, server = ends
    ask(client, b"what time is it?")
    ask(server, b"who are you?")  # nobody has to wait for a turn
    assert hear(server) == b"what time is it?"
    assert hear(client) == b"who are you?"


@claim(
    "all-app-layer-comms-use-sockets",
    "RFC 9110 section 3.3",
    "RFC 4253 section 4",
    often_said="Every protocol of the application layer uses sockets in the end.",
)
def test_http_can_be_read_from_a_pipe() -> None:
    """HTTP and SSH need a reliable way for bytes, and most often it is a socket.

    It may be something else: Python's HTTP client reads a response from a pipe.
    """
    read, write = os.pipe()
    with os.fdopen(write, "wb") as out:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    class Pipe:
        def makefile(self, mode: str) -> object:
            return os.fdopen(read, mode)

    response = http.client.HTTPResponse(Pipe())  # type: ignore[arg-type]
    response.begin()
    with response:
        assert not stat.S_ISSOCK(os.fstat(read).st_mode)
        assert (response.status, response.read()) == (200, b"hello")


@claim(
    "sockets-fill-http-gap",
    "socket(2) HISTORY",
    "RFC 9293 section 2.2",
    "RFC 9110 section 3.4",
    often_said=(
        "HTTP cannot push from the server, so sockets were made for talk in both "
        "directions."
    ),
)
def test_http_runs_on_a_socket_that_goes_both_ways(
    listener: socket.socket, sockets: ExitStack
) -> None:
    """Sockets are older than HTTP, and HTTP runs on them.

    Its connection goes both ways. That only the client asks is HTTP's own rule.
    """
    port = listener.getsockname()[1]
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    sockets.callback(client.close)
    client.connect()
    connection = sockets.enter_context(listener.accept()[0])
    connection.settimeout(PATIENCE)
    assert isinstance(client.sock, socket.socket)
    connection.sendall(b"pushed")  # before any request: the socket does not mind
    assert receive(client.sock, 6) == b"pushed"
    client.request("GET", "/")
    assert receive(connection, 16) == b"GET / HTTP/1.1\r\n"
    connection.sendall(b"pushed again, where an answer is due\r\n")
    with pytest.raises(http.client.BadStatusLine):
        client.getresponse()  # HTTP does mind


@claim("sockets-usually-use-tcpip", "socket(2)", "Python docs: socket.socket")
def test_the_default_is_tcp_over_ipv4(sockets: ExitStack) -> None:
    """Most sockets use TCP/IP, and so does Python's socket() unless told otherwise.

    There are other families, for example for one machine or for the kernel.
    """
    default = sockets.enter_context(socket.socket())
    assert default.family == socket.AF_INET
    protocol = default.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
    assert protocol == socket.IPPROTO_TCP
    for family in (socket.AF_UNIX, socket.AF_NETLINK):
        other = sockets.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        assert other.family == family
