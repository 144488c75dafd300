"""The claims of "How do many workers share one port?"."""

from __future__ import annotations

import contextlib
import errno
import http.client
import http.server
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from handbook.claims import claim
from needing import require
from patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="asks /proc and TCP_INFO, and waits with epoll"
)

WORKERS = 4

# A worker in a process of its own. It has the listening socket by its descriptor,
# waits in the way that it is told, and answers each client with its name.
WORKER = """
import select, socket, sys
name, way, descriptor = sys.argv[1], sys.argv[2], int(sys.argv[3])
listener = socket.socket(fileno=descriptor)
wait = lambda: None
if way == "time-out":
    listener.settimeout(60)
elif way != "blocking":
    listener.settimeout(0)
    epoll = select.epoll()
    flags = select.EPOLLEXCLUSIVE if way.startswith("exclusive") else 0
    epoll.register(listener, select.EPOLLIN | flags)
    wait = lambda: epoll.poll(60)
print("ready", flush=True)
while True:
    wait()
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        continue
    except OSError as error:
        print(error.errno, flush=True)
        break
    with connection:
        connection.settimeout(60)
        connection.sendall(name.encode())
        if way.endswith("busy"):
            connection.recv(1)
"""

# A server that gets its listening socket, or the address of one, by standard input.
SUCCESSOR = """
import socket, sys
with socket.socket(fileno=0) as parent:
    parent.settimeout(60)
    data, descriptors, _, _ = socket.recv_fds(parent, 100, maxfds=1)
    if descriptors:
        listener = socket.socket(fileno=descriptors[0])
    else:
        listener = socket.create_server(("127.0.0.1", int(data)))
    listener.settimeout(60)
    with listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(60)
                connection.sendall(b"new")
"""

PID_SERVER = """
import os, socket
with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(60)
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        connection.sendall(str(os.getpid()).encode())
"""

FORK_WITH_A_THREAD = """
import os, sys, threading, warnings
lock, held, over = threading.Lock(), threading.Event(), threading.Event()
def hold():
    with lock:
        held.set()
        over.wait(60)
thread = threading.Thread(target=hold)
thread.start()
held.wait(60)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    process = os.fork()
    if process == 0:
        os._exit(1 if lock.acquire(timeout=0.2) else 0)
status = os.waitpid(process, 0)[1]
over.set()
thread.join(60)
print(os.waitstatus_to_exitcode(status), len(caught), *(w.message for w in caught))
"""


@contextlib.contextmanager
def python(
    program: str, *arguments: str, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process that is ended in any case."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        **options,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints, within a minute."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], PATIENCE)[0], "it prints nothing"
    return process.stdout.readline().strip()


def wait_until(happened: Callable[[], bool]) -> None:
    """Return as soon as it has happened; fail after 10 seconds."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it has not happened"


def asleep(process: subprocess.Popen[str]) -> bool:
    """Say whether a process sleeps (proc(5), /proc/PID/stat)."""
    stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
    return stat.rpartition(") ")[2].startswith("S")


def sleeps(process: subprocess.Popen[str]) -> int:
    """Return how often a process has gone to sleep."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def queue_of(listener: socket.socket) -> int:
    """Return how many wait in the accept queue."""
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
    return int(struct.unpack_from("=I", info, 24)[0])


def workers_of(
    listener: socket.socket, way: str, sockets: ExitStack, number: int = WORKERS
) -> list[subprocess.Popen[str]]:
    """Start workers that share a listening socket, one after the other."""
    descriptor = listener.fileno()
    started = []
    for name in range(1, number + 1):
        arguments = str(name), way, str(descriptor)
        worker = python(WORKER, *arguments, pass_fds=[descriptor])
        started.append(sockets.enter_context(worker))
        assert line_of(started[-1]) == "ready"
        wait_until(lambda: asleep(started[-1]))
    return started


def blocking_listener(sockets: ExitStack) -> socket.socket:
    """Return a listening socket without O_NONBLOCK, which a time-out would set."""
    return sockets.enter_context(socket.create_server(("127.0.0.1", 0)))


def served_and_woken(
    way: str, sockets: ExitStack, clients: int
) -> tuple[list[str], list[int]]:
    """Return for each client who served it, and how many workers it woke."""
    listener = blocking_listener(sockets)
    workers = workers_of(listener, way, sockets)
    served, woken = [], []
    for _ in range(clients):
        before = [sleeps(worker) for worker in workers]
        with socket.create_connection(
            listener.getsockname(), timeout=PATIENCE
        ) as client:
            served.append(client.recv(10).decode())
        wait_until(lambda: all(map(asleep, workers)))
        after = [sleeps(worker) for worker in workers]
        woken.append(sum(a > b for a, b in zip(after, before, strict=True)))
    return served, woken


def check_one_connection_wakes_one(way: str, sockets: ExitStack) -> None:
    """Fail if a connection wakes more than the worker that serves it."""
    _, woken = served_and_woken(way, sockets, 5)
    assert woken == [1] * 5, f"{way} woke {woken}"


@claim(
    "blocking-accept-takes-turns",
    "Linux net/ipv4/inet_connection_sock.c, inet_csk_wait_for_connect()",
)
def test_blocking_workers_take_turns(sockets: ExitStack) -> None:
    """Linux wakes one worker of those that block in accept(), the longest waiting.

    So idle workers take turns.
    """
    served, woken = served_and_woken("blocking", sockets, 2 * WORKERS)
    assert served == ["1", "2", "3", "4"] * 2
    assert woken == [1] * (2 * WORKERS)


@claim(
    "a-time-out-makes-a-herd",
    "CPython Modules/socketmodule.c, sock_call_ex()",
    "poll(2)",
)
def test_with_a_time_out_a_connection_wakes_every_worker(sockets: ExitStack) -> None:
    """With a time-out, Python's accept() waits in poll(): a connection wakes all.

    One gets it. The others find nothing, and go back to sleep inside the same call.
    """
    with pytest.raises(AssertionError, match=r"time-out woke \[4, 4, 4, 4, 4\]"):
        check_one_connection_wakes_one("time-out", sockets)


@claim("epoll-wakes-every-worker", "epoll_ctl(2) EPOLLEXCLUSIVE")
def test_plain_epoll_wakes_every_worker(sockets: ExitStack) -> None:
    """A connection wakes every process that waits for the listener in its epoll."""
    with pytest.raises(AssertionError, match=r"epoll woke \[4, 4, 4, 4, 4\]"):
        check_one_connection_wakes_one("epoll", sockets)


@claim("epollexclusive-ends-the-herd", "epoll_ctl(2) EPOLLEXCLUSIVE")
def test_epollexclusive_wakes_one(sockets: ExitStack) -> None:
    """With EPOLLEXCLUSIVE a connection wakes one sleeping worker and not all.

    The manual promises no more than "one or more".
    """
    check_one_connection_wakes_one("exclusive", sockets)


def check_shares_evenly(way: str, sockets: ExitStack) -> None:
    """Fail unless two clients a worker are served by each worker."""
    served, _ = served_and_woken(way, sockets, 2 * WORKERS)
    share = {name: served.count(name) for name in sorted(set(served))}
    assert share == dict.fromkeys("1234", 2), f"{share}"


@claim(
    "the-kernel-shares-evenly",
    "epoll_ctl(2) EPOLLEXCLUSIVE",
    "Linux fs/eventpoll.c, ep_ptable_queue_proc()",
    often_said="The kernel shares the connections evenly among the workers.",
)
def test_one_worker_takes_all(sockets: ExitStack) -> None:
    """The kernel does not balance among those who wait for one listening socket.

    It wakes who stands first in its list.

    With EPOLLEXCLUSIVE that is the worker that registered first, each time it is idle.
    """
    with pytest.raises(AssertionError, match=r"{'1': 8}"):
        check_shares_evenly("exclusive", sockets)


def test_the_check_of_the_share_can_pass(sockets: ExitStack) -> None:
    check_shares_evenly("blocking", sockets)


@claim("a-busy-worker-is-passed-over", "Linux fs/eventpoll.c, ep_poll_callback()")
def test_a_busy_worker_is_not_woken(sockets: ExitStack) -> None:
    """EPOLLEXCLUSIVE passes over a worker that is busy, and wakes the next one.

    Only a process that sleeps in epoll is woken.
    """
    listener = blocking_listener(sockets)
    workers_of(listener, "exclusive busy", sockets)
    clients = []
    for name in ("1", "2", "3"):
        client = socket.create_connection(listener.getsockname(), timeout=PATIENCE)
        clients.append(sockets.enter_context(client))  # it stays, and keeps one busy
        assert client.recv(10).decode() == name
    for client in clients:
        client.close()


@claim(
    "receiver-picks-process-first",
    "RFC 9293 section 4",
    "accept(2)",
    often_said="The host first picks the process that is to receive, then delivers.",
)
def test_a_connection_belongs_to_a_socket_and_to_no_process(
    sockets: ExitStack,
) -> None:
    """The kernel delivers to a socket, found by addresses and ports.

    Of several processes that hold the socket, whichever calls first takes what came.
    """
    listener = blocking_listener(sockets)
    address = listener.getsockname()
    client = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    client.sendall(b"for whom?")
    wait_until(lambda: queue_of(listener) == 1)  # here, and nobody's yet
    (worker,) = workers_of_queue(listener, sockets)
    assert client.recv(10) == b"1"
    second = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    assert second.recv(10) == b"1"
    worker.kill()
    worker.wait(PATIENCE)
    third = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    listener.settimeout(PATIENCE)
    connection, peer = listener.accept()  # this process holds it, too
    sockets.enter_context(connection)
    assert peer == third.getsockname()


def workers_of_queue(
    listener: socket.socket, sockets: ExitStack
) -> list[subprocess.Popen[str]]:
    return workers_of(listener, "blocking", sockets, 1)


@claim("running-a-program-makes-a-process", "fork(2)", "execve(2)")
def test_two_runs_are_two_processes(sockets: ExitStack) -> None:
    """Running a program makes a process; a server and its client are two of them.

    They talk over 127.0.0.1 like strangers.
    """
    server = sockets.enter_context(python(PID_SERVER))
    dial = (
        "import os, socket, sys; "
        "c = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60); "
        "print(os.getpid(), c.recv(100).decode()); c.close()"
    )
    client = sockets.enter_context(python(dial, line_of(server)))
    own, others = line_of(client).split()
    assert (int(own), int(others)) == (client.pid, server.pid)
    assert len({client.pid, server.pid, os.getpid()}) == 3


@claim("many-processes-need-demux", "RFC 793 section 1.5")
def test_each_process_answers_on_its_own_port(sockets: ExitStack) -> None:
    """A machine runs many processes at once, and ports tell their sockets apart."""
    servers = [sockets.enter_context(python(PID_SERVER)) for _ in range(3)]
    ports = [int(line_of(server)) for server in servers]
    assert len(set(ports)) == 3
    for server, port in reversed(list(zip(servers, ports, strict=True))):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            assert int(client.recv(100)) == server.pid


@claim("shutdown-ends-accept-everywhere", "Linux net/ipv4/af_inet.c, inet_shutdown()")
def test_shutdown_wakes_every_worker(sockets: ExitStack) -> None:
    """On Linux, shutdown() of a listening socket ends accept() in every process.

    It raises EINVAL there, also where it sleeps. Clients in the queue are reset.
    """
    listener = blocking_listener(sockets)
    workers = workers_of(listener, "blocking", sockets, 2)
    listener.shutdown(socket.SHUT_RDWR)
    for worker in workers:
        assert int(line_of(worker)) == errno.EINVAL
        assert worker.wait(PATIENCE) == 0

    another = blocking_listener(sockets)
    address = another.getsockname()
    client = sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
    another.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionResetError):
        client.recv(1)


@claim("non-blocking-mode-is-shared", "fcntl(2) File status flags", "fork(2)")
def test_non_blocking_mode_belongs_to_the_socket(sockets: ExitStack) -> None:
    """A time-out in one process makes the socket non-blocking in all that share it.

    Python's own note of the time-out is not shared. So another process that set none
    gets BlockingIOError at once.
    """
    listener = blocking_listener(sockets)
    with socket.socket(fileno=os.dup(listener.fileno())) as shared:
        assert os.get_blocking(shared.fileno())
        listener.settimeout(PATIENCE)
        assert shared.gettimeout() is None
        assert not os.get_blocking(shared.fileno())
        with pytest.raises(BlockingIOError):
            shared.accept()


@claim("fork-copies-held-locks", "fork(2) NOTES", "Python docs: os.fork")
def test_fork_with_a_thread(sockets: ExitStack) -> None:
    """A lock that another thread holds during fork() stays locked in the child.

    No thread is there to release it. Python warns of this since 3.12.
    """
    told = line_of(sockets.enter_context(python(FORK_WITH_A_THREAD)))
    status, warned, said = told.split(" ", 2) if "(" in told else (*told.split(), "")
    assert status == "0"
    if sys.version_info >= (3, 12):
        assert warned == "1"
        assert "use of fork() may lead to deadlocks in the child" in said
    else:
        assert warned == "0"


@claim(
    "reuseport-queues-are-separate",
    "socket(7) SO_REUSEPORT",
    "Linux ip-sysctl.rst, tcp_migrate_req",
)
def test_a_closed_reuseport_socket_takes_its_queue_along(sockets: ExitStack) -> None:
    """With SO_REUSEPORT each socket has a queue of its own.

    When one is closed, the clients in its queue are reset, though another listens on.
    """
    require("queues that end with their listener")
    one = sockets.enter_context(socket.create_server(("127.0.0.1", 0), reuse_port=True))
    address = one.getsockname()
    other = sockets.enter_context(socket.create_server(address, reuse_port=True))
    clients = [
        sockets.enter_context(socket.create_connection(address, timeout=PATIENCE))
        for _ in range(60)
    ]
    wait_until(lambda: queue_of(one) + queue_of(other) == 60)
    in_one, in_other = queue_of(one), queue_of(other)
    assert in_one > 0
    assert in_other > 0
    poller = select.poll()
    for client in clients:
        poller.register(client, 0)  # that is, for errors only
    assert not poller.poll(0)
    one.close()
    wait_until(lambda: len(poller.poll(0)) >= in_one)
    reset = 0
    for client in clients:
        client.settimeout(0)
        try:
            client.recv(1)
        except ConnectionResetError:
            reset += 1
        except BlockingIOError:
            pass
    assert reset == in_one
    assert queue_of(other) == in_other


Seen = dict[str, int]


def pass_the_listener(listener: socket.socket, to: socket.socket, _: Seen) -> None:
    """Send the listening socket, and close the own descriptor."""
    socket.send_fds(to, [b"!"], [listener.fileno()])
    listener.close()


def close_and_let_bind(listener: socket.socket, to: socket.socket, seen: Seen) -> None:
    """Close the listening socket, and let the new process make another.

    The process runs already. One that must start first leaves the port closed longer.
    """
    port = listener.getsockname()[1]
    listener.close()
    wait_until(lambda: seen["refused"] > 0)  # until a client has dialled meanwhile
    to.sendall(str(port).encode())


def check_nobody_is_refused(
    handover: Callable[[socket.socket, socket.socket, Seen], None], sockets: ExitStack
) -> None:
    """Fail if a client is refused while a new process takes over.

    Clients dial all the time, one after the other.
    """
    listener, keeper = (sockets.enter_context(socket.socket()) for _ in range(2))
    for sock in (listener, keeper):  # the keeper lets nobody else have the port
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(listener.getsockname() if sock is keeper else ("127.0.0.1", 0))
    listener.listen()
    listener.settimeout(PATIENCE)
    address = listener.getsockname()
    ours, theirs = (sockets.enter_context(end) for end in socket.socketpair())
    new = python(SUCCESSOR, stdin=theirs.fileno())
    sockets.enter_context(new)
    seen: Seen = {"old": 0, "new": 0, "refused": 0}
    stop = threading.Event()

    def dial() -> None:
        while not stop.is_set():
            try:
                with socket.create_connection(address, timeout=PATIENCE) as client:
                    seen[client.recv(10).decode()] += 1
            except (ConnectionRefusedError, ConnectionResetError):
                seen["refused"] += 1

    dialling = threading.Thread(target=dial, name="clients")
    dialling.start()
    try:
        while seen["old"] < 20:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"old")
        handover(listener, ours, seen)
        wait_until(lambda: seen["new"] >= 20 or not dialling.is_alive())
    finally:
        stop.set()
        dialling.join(PATIENCE)
    assert seen["new"] >= 20
    assert seen["refused"] == 0, f"refused {seen['refused']}"


@claim(
    "passed-listener-refuses-nobody",
    "unix(7) SCM_RIGHTS",
    "Python docs: socket.send_fds",
    often_said="To restart a server you must close its port for a moment.",
)
def test_a_passed_listener_refuses_nobody(sockets: ExitStack) -> None:
    """A listening socket can be handed to a new process while clients go on dialling.

    None is refused: the socket and its queue live as long as a descriptor does.
    """
    check_nobody_is_refused(pass_the_listener, sockets)


def test_the_check_of_the_handover_can_fail(sockets: ExitStack) -> None:
    with pytest.raises(AssertionError, match=r"refused [1-9]"):
        check_nobody_is_refused(close_and_let_bind, sockets)


@claim(
    "web-server-one-socket-per-connection",
    "RFC 9112 section 9.3",
    "accept(2)",
)
def test_three_requests_come_on_one_socket(sockets: ExitStack) -> None:
    """A web server on one port has a socket for each connection.

    That is not one for each request: over HTTP/1.1 three come on the same one.
    """
    peers: list[object] = []
    accepted = 0

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def do_GET(self) -> None:
            peers.append(self.client_address)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    class Server(http.server.HTTPServer):
        def get_request(self) -> tuple[socket.socket, Any]:
            nonlocal accepted
            accepted += 1
            return super().get_request()

    server = sockets.enter_context(Server(("127.0.0.1", 0), Handler))
    for connection in (1, 2):
        thread = threading.Thread(target=server.handle_request, name="server")
        thread.start()
        port = server.server_address[1]
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        with contextlib.closing(client):
            for _ in range(3):
                client.request("GET", "/")
                assert client.getresponse().read() == b""
        thread.join(PATIENCE)
        assert accepted == connection
        assert len(peers) == 3 * connection
        assert len(set(peers)) == connection
