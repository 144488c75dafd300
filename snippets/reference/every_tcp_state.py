"""A real socket in each of the eleven states of TCP, as the kernel names them.

Each holder makes the sockets, and returns the addresses of the one in question
and, if a descriptor refers to it, that socket.

Needs: Linux
"""

import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

Address = tuple[str, int]
Held = tuple[Address, Address, socket.socket | None]
NOBODY = ("0.0.0.0", 0)


def listening(ended: ExitStack, backlog: int = 5) -> socket.socket:
    """Return a listening socket whose connections can take little."""
    listener = ended.enter_context(socket.socket())
    listener.settimeout(5)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def pair(ended: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    listener = listening(ended)
    client = socket.create_connection(listener.getsockname(), timeout=5)
    ended.enter_context(client)
    connection, _ = listener.accept()
    connection.settimeout(5)
    return client, ended.enter_context(connection)


def fill(sock: socket.socket) -> None:
    """Send until no more fits: a FIN then has to wait behind the bytes."""
    sock.settimeout(0)
    with suppress(BlockingIOError):
        sock.sendall(bytes(10_000_000))


def of(sock: socket.socket) -> Held:
    """Return a connected socket with its addresses."""
    return sock.getsockname(), sock.getpeername(), sock


def listen(ended: ExitStack) -> Held:
    """Bind and listen."""
    listener = listening(ended)
    return listener.getsockname(), NOBODY, listener


def syn_sent(ended: ExitStack) -> Held:
    """Dial a full accept queue."""
    listener = listening(ended, backlog=0)
    address = listener.getsockname()
    ended.enter_context(socket.create_connection(address, timeout=5))
    select.select([listener], [], [], 5)  # now the one place is taken
    client = ended.enter_context(socket.socket())
    client.settimeout(0)
    client.connect_ex(address)
    return client.getsockname(), address, client


def syn_received(ended: ExitStack) -> Held:
    """Dial, and send nothing."""
    listener = listening(ended)
    # The kernel now waits for data before it takes the handshake for finished.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    client = socket.create_connection(listener.getsockname(), timeout=5)
    ended.enter_context(client)
    return listener.getsockname(), client.getsockname(), None


def established(ended: ExitStack) -> Held:
    """Connect and accept."""
    return of(pair(ended)[0])


def fin_wait_1(ended: ExitStack) -> Held:
    """Shut down behind a full window."""
    client, _ = pair(ended)
    fill(client)
    client.shutdown(socket.SHUT_WR)
    return of(client)


def fin_wait_2(ended: ExitStack) -> Held:
    """Shut down; the peer goes on."""
    client, _ = pair(ended)
    client.shutdown(socket.SHUT_WR)
    return of(client)


def close_wait(ended: ExitStack) -> Held:
    """The peer shuts down; do nothing."""
    client, connection = pair(ended)
    connection.shutdown(socket.SHUT_WR)
    return of(client)


def closing(ended: ExitStack) -> Held:
    """Both shut down at the same time."""
    client, connection = pair(ended)
    fill(client)
    client.shutdown(socket.SHUT_WR)  # the peer will not see this FIN
    connection.shutdown(socket.SHUT_WR)
    return of(client)


def last_ack(ended: ExitStack) -> Held:
    """Shut down second, window full."""
    client, connection = pair(ended)
    connection.shutdown(socket.SHUT_WR)
    client.recv(1)  # returns b'' when the FIN is there
    fill(client)
    client.shutdown(socket.SHUT_WR)
    return of(client)


def time_wait(ended: ExitStack) -> Held:
    """Close first."""
    client, connection = pair(ended)
    local, peer = client.getsockname(), client.getpeername()
    client.close()
    connection.recv(1)
    connection.close()
    return local, peer, None


def closed(ended: ExitStack) -> Held:
    """Call socket(), and no more."""
    new = ended.enter_context(socket.socket())
    return new.getsockname(), NOBODY, new


STATES: dict[str, tuple[str, str, Callable[[ExitStack], Held]]] = {
    "LISTEN": ("LISTEN", "0A", listen),
    "SYN-SENT": ("SYN-SENT", "02", syn_sent),
    "SYN-RECEIVED": ("SYN-RECV", "03", syn_received),
    "ESTABLISHED": ("ESTAB", "01", established),
    "FIN-WAIT-1": ("FIN-WAIT-1", "04", fin_wait_1),
    "FIN-WAIT-2": ("FIN-WAIT-2", "05", fin_wait_2),
    "CLOSE-WAIT": ("CLOSE-WAIT", "08", close_wait),
    "CLOSING": ("CLOSING", "0B", closing),
    "LAST-ACK": ("LAST-ACK", "09", last_ack),
    "TIME-WAIT": ("TIME-WAIT", "06", time_wait),
    "CLOSED": ("UNCONN", "-", closed),
}


def in_table(local: Address, peer: Address) -> str:
    """Return the state that /proc/net/tcp has for two addresses (proc(5))."""

    def cell(address: Address) -> str:
        host = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
        return f"{host:08X}:{address[1]:04X}"

    wanted = cell(local), cell(peer)
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, state, *_ = line.split()
        if (here, there) == wanted:
            return state
    return "-"


def in_tcp_info(sock: socket.socket | None) -> str:
    """Return tcpi_state of TCP_INFO (tcp(7)), "-" where there is no descriptor."""
    if sock is None:
        return "-"
    return str(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0])


def main() -> None:
    """Hold each state, wait until the kernel says so, and print what it says."""
    print(f"{'RFC 9293':13} {'ss':11} {'/proc':6} {'TCP_INFO':9} held by")
    for name, (in_ss, expected, hold) in STATES.items():
        with ExitStack() as ended:
            local, peer, sock = hold(ended)
            deadline = time.monotonic() + 5
            while in_table(local, peer) != expected and time.monotonic() < deadline:
                pass
            state, number = in_table(local, peer), in_tcp_info(sock)
            print(f"{name:13} {in_ss:11} {state:6} {number:9} {hold.__doc__}")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it asks TCP_INFO and /proc/net/tcp.")
