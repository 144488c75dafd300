"""Six things that happen to a peer, and what five ways of looking make of each.

A filter drops all that comes for the client, as if the cable were cut.

Needs: Linux, socket filters
Takes: 5 seconds
"""

import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
DROP_ALL = struct.pack("HP", 1, ctypes.addressof(DROP))  # a struct sock_fprog
NO_LINGER = struct.pack("ii", 1, 0)
TCP, SOL = socket.IPPROTO_TCP, socket.SOL_SOCKET
CAUSES = ["is well", "closed", "reset", "killed", "stopped", "cut off", "rebooted"]
WAYS = ["recv()", "send() twice", "keep-alive", "user time-out", "heartbeat"]


def suffer(cause: str, sockets: list[socket.socket]) -> None:
    """Do in the peer's process what happens to it."""
    for sock in sockets:
        if cause in ("reset", "rebooted"):
            sock.setsockopt(SOL, socket.SO_LINGER, NO_LINGER)
        if cause in ("closed", "reset", "rebooted"):
            sock.close()
    if cause == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if cause != "is well":
        os.kill(os.getpid(), signal.SIGSTOP)
    threads = [threading.Thread(target=answer, args=(sock,)) for sock in sockets]
    for thread, way in zip(threads, WAYS, strict=True):
        thread.name = f"the peer's {way}"
        thread.start()
    for thread in threads:
        thread.join(30)


def answer(sock: socket.socket) -> None:
    """Be well until killed: read what comes, and answer each ping."""
    sock.settimeout(30)  # longer than anybody looks
    while data := sock.recv(1024):
        if data == b"ping":
            sock.sendall(b"pong")


def look(way: str, sock: socket.socket) -> str:
    """Return what one way of looking finds in a few seconds."""
    sock.settimeout(3.5 if way == "keep-alive" else 2)
    if way == "keep-alive":
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT):
            sock.setsockopt(TCP, option, 1)
        sock.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
    if way == "user time-out":
        sock.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 1000)
    try:
        if way not in ("recv()", "keep-alive"):
            sock.sendall(b"ping" if way == "heartbeat" else b"data")
        if way == "send() twice":
            reaction = select.poll()
            reaction.register(sock, 0)
            reaction.poll(300)  # milliseconds; an error or a hang-up ends it early
            sock.sendall(b"data")
            return "taken"
        return repr(sock.recv(1024))
    except TimeoutError as error:
        if error.errno is None:
            return "no pong" if way == "heartbeat" else "nothing"
        return errno.errorcode[error.errno]
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def set_filter(sock: socket.socket, option: int) -> None:
    """Attach the filter to a socket, or take it away (socket(7)).

    Raises:
        OSError: the kernel does not take the filter.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    size = len(DROP_ALL)
    if libc.setsockopt(sock.fileno(), SOL, option, DROP_ALL, size):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        return client, listener.accept()[0]


def strike(cause: str, clients: list[socket.socket], peers: list[socket.socket]) -> int:
    """Let it happen to a peer's process; return its number."""
    if cause in ("cut off", "rebooted"):  # nothing of what happens is heard
        for client in clients:
            set_filter(client, SO_ATTACH_FILTER)
    process = os.fork()
    if process == 0:
        suffer(cause, peers)
        os._exit(0)
    for sock in peers:
        sock.close()
    if cause != "is well":
        os.waitpid(process, os.WUNTRACED)  # returns when it has stopped or died
    if cause == "rebooted":
        for client in clients:
            set_filter(client, SO_DETACH_FILTER)
    return process


def main() -> None:
    """Try each way on each cause, all at once, and print them as a table."""
    with socket.socket() as probe:
        set_filter(probe, SO_ATTACH_FILTER)  # a PermissionError comes before all else
    table: dict[tuple[str, str], str] = {}
    clients: dict[tuple[str, str], socket.socket] = {}
    processes: dict[str, int] = {}

    def fill(cell: tuple[str, str]) -> None:
        table[cell] = look(cell[1], clients[cell])

    try:
        for cause in CAUSES:
            pairs = [pair() for _ in WAYS]
            ours, theirs = (list(ends) for ends in zip(*pairs, strict=True))
            for way, sock in zip(WAYS, ours, strict=True):
                clients[cause, way] = sock
            processes[cause] = strike(cause, ours, theirs)
        threads = [
            threading.Thread(target=fill, args=(cell,), name=" ".join(cell))
            for cell in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        for cause, process in processes.items():
            if cause != "killed":
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
        for sock in clients.values():
            sock.close()
    for cause in CAUSES:
        cells = [table[cause, way] for way in WAYS]
        print(f"{cause:<10}" + "".join(f"{cell:<12}" for cell in cells).rstrip())


if sys.platform == "linux":
    try:
        main()
    except PermissionError:
        print(
            "This program needs CAP_NET_ADMIN, as root has it, for its socket filter."
        )
else:
    print("This program needs Linux: a socket filter cuts the connection.")
