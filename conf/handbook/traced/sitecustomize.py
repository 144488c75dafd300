"""Note every socket call of the program that is being recorded.

Python imports this module at start because `record` puts this folder on
PYTHONPATH. It wraps the methods of `socket.socket` from the outside, so that
the program runs unchanged and its child processes are seen too. Audit hooks
would miss listen, accept, send, recv and close.

Each call becomes one line, a dict as Python writes it, written as the call
returns (a child that ends by os._exit() runs no exit handlers). Standard library
only, and little of it: this runs inside the bare interpreter of the program.
"""

from __future__ import annotations

import _socket
import atexit
import contextlib
import errno
import functools
import os
import select
import selectors
import socket
import struct
import sys
import threading
import time
import weakref
import zlib

TYPE_CHECKING = False  # to import typing takes as long as a whole small program
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType
    from typing import Any

    from handbook.traced._handbook_frames import Conversation
    from handbook.traced._handbook_tasks import Tasks

    Address = tuple[str, int]
    Pair = tuple[int, Address, Address | None]
    Row = dict[str, Any]

INTO = {"recv_into"}
READS = {"accept", "recv", "recv_into", "recvfrom", "recvmsg"}
WRITES = {"send", "sendall", "sendto", "sendmsg"}
NAMES = {"bind", "listen", "connect", "connect_ex", "sendto"}
CALLS = (
    *sorted(READS | WRITES),
    "bind",
    "listen",
    "connect",
    "connect_ex",
    "shutdown",
    "setsockopt",
)
STATES = (  # in the order of their numbers, from 1: include/net/tcp_states.h
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)
STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
PREVIEW = 40
ANEW = {b"date", b"sec-websocket-key", b"sec-websocket-accept"}
ANEW |= {b"server", b"user-agent"}  # they name the version of Python
TLS = [b"\x14\x03", b"\x15\x03", b"\x16\x03", b"\x17\x03"]  # RFC 8446 section 5.1
# States that end by themselves, at the latest when a delayed ACK is sent.
PASSING = {
    *("SYN_SENT", "SYN_RECV", "NEW_SYN_RECV", "FIN_WAIT1", "LAST_ACK", "CLOSING"),
    "CLOSE",  # on its way to TIME_WAIT, or gone in a moment
}
# Whether connect() or a long sendall() slept shows only in how long it took. Another
# thread may keep the interpreter for some milliseconds, which is no sleep.
SLOW = 100_000_000  # nanoseconds
SETTLE = 0.3  # seconds to wait for that; a delayed ACK takes 0.2 at most
ARRIVE = 0.06  # seconds to wait until bytes that were sent have been acknowledged
SETTLE_PAUSE = 0.0005  # seconds
MISSED = 0.005  # seconds that a socket cannot be found before it is believed to be gone
# What asyncio does with its own sockets before and after its loop runs.
OWN = {"_close_self_pipe", "_make_self_pipe"}
IMPORT = "<frozen importlib._bootstrap>"
# Where packages are installed: a thread of theirs is no thread of the program.
PACKAGES = f"{os.sep}site-packages{os.sep}"


class Place:
    """Where a call comes from: a line of a snippet, or none (0)."""

    def __init__(
        self,
        program: str,
        line: int,
        by: str = "",
        task: dict[str, Any] | None = None,
        since: int | None = None,
        *,
        through: bool = False,
    ) -> None:
        """Take also `by`: a task, its event loop or a library's thread made the call.

        `since` is when the task began to wait for what its loop does now; `through`
        says that a package made the call, for the program.
        """
        self.program = program
        self.line = line
        self.by = by
        self.task = task
        self.since = since
        self.through = through


class Recorder:
    """Writes the events of one process."""

    def __init__(self, path: str, programs: str) -> None:
        """Append to `path`; a call counts if a file below `programs` made it."""
        self.programs = os.path.realpath(programs) + os.sep
        self.path = path
        self.file = _open(path)
        self.inside = threading.local()
        self.serials: weakref.WeakKeyDictionary[socket.socket, int] = (
            weakref.WeakKeyDictionary()
        )
        self.made_at: weakref.WeakKeyDictionary[socket.socket, tuple[str, int]] = (
            weakref.WeakKeyDictionary()
        )
        self.sealed: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.talks: weakref.WeakKeyDictionary[socket.socket, Conversation | None] = (
            weakref.WeakKeyDictionary()
        )
        self.streams: weakref.WeakKeyDictionary[socket.socket, dict[str, int]] = (
            weakref.WeakKeyDictionary()
        )
        self.wakers: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.tasks: Tasks | None = None
        self.named: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.count = 0
        self.pairs: dict[str, Pair] = {}
        self.seen: dict[str, Row] = {}
        self.kernel = Kernel()
        self.alone = True
        self.known: dict[str, str | None] = {}
        self.lock = threading.Lock()
        self.write({"event": "process", "pid": os.getpid(), "parent": os.getppid()})

    def write(self, event: dict[str, Any]) -> None:
        """Append one event, as one write, so that processes never mix lines."""
        line = repr(event).encode("utf-8", "backslashreplace") + b"\n"
        try:
            os.write(self.file, line)
        except OSError:  # the program closed every descriptor it could find
            self.file = _open(self.path)
            os.write(self.file, line)

    def company(self, event: str, _arguments: object = None) -> None:
        """Note that another process goes on beside this one from now on."""
        if self.alone and event in STARTS:
            self.alone = False
            self.write({"event": "company", "pid": os.getpid()})

    def after_fork(self) -> None:
        """Begin anew in a forked child: its lane is its own."""
        self.lock = threading.Lock()
        self.inside = threading.local()
        self.alone = False
        self.kernel = Kernel()  # two processes would read each other's answers
        here = {"event": "process", "pid": os.getpid(), "parent": os.getppid()}
        self.write(here | {"inherits": self.count})

    def program_of(self, filename: str) -> str | None:
        """Name the snippet (`part/name`) a code object comes from, if any."""
        if filename not in self.known:
            path = os.path.realpath(filename)
            inside = path.startswith(self.programs) and path.endswith(".py")
            self.known[filename] = (
                path[len(self.programs) : -3].replace(os.sep, "/") if inside else None
            )
        return self.known[filename]

    def caller(self, name: str, sock: socket.socket) -> Place | None:
        """Find the nearest line of a snippet on the stack, and the task it runs in."""
        frame: FrameType | None = sys._getframe(3)  # noqa: SLF001 - who made the call
        if self.in_loop():
            return self.tasks_here().place(name, sock, frame)
        while frame is not None and frame.f_code.co_filename == socket.__file__:
            frame = frame.f_back
        if frame and PACKAGES in frame.f_code.co_filename and self.is_waker(sock):
            return None
        package = False
        while frame is not None:
            code = frame.f_code
            program = self.program_of(code.co_filename)
            if program is not None:
                return Place(program, frame.f_lineno, through=package)
            if code.co_filename == IMPORT or (
                code.co_name in OWN and code.co_filename.endswith("selector_events.py")
            ):
                return None  # what a library tries while it is imported, or asyncio
            package = package or PACKAGES in code.co_filename
            frame = frame.f_back
        if package and threading.current_thread() is not threading.main_thread():
            main = getattr(sys.modules.get("__main__"), "__file__", None)
            program = self.program_of(main) if main else None
            if program is not None:
                return Place(program, 0, "library")
        return None

    def is_waker(self, sock: socket.socket) -> bool:
        """Say whether this is one of a pair by which a library wakes its threads."""
        if sock not in self.wakers and sock.family.name == "AF_UNIX":
            with contextlib.suppress(OSError):
                if sock.getsockname() or sock.getpeername():
                    return False
            self.wakers.add(sock)
        return sock in self.wakers

    def in_loop(self) -> bool:
        """Say whether this thread runs an event loop of asyncio."""
        events = sys.modules.get("asyncio.events")
        running = getattr(events, "_get_running_loop", None)
        return running is not None and running() is not None

    def tasks_here(self) -> Tasks:
        """Give what knows the tasks; it is imported when the first loop runs."""
        if self.tasks is None:
            from _handbook_tasks import (  # type: ignore[import-not-found]  # noqa: PLC0415
                Tasks,
            )

            self.tasks = Tasks(self, Place)
        assert self.tasks is not None
        return self.tasks

    def serial(self, sock: socket.socket) -> int:
        """Number a socket object, in the order in which they were made."""
        with self.lock:
            if sock not in self.serials:
                self.count += 1
                self.serials[sock] = self.count
            return self.serials[sock]

    def call(
        self,
        name: str,
        sock: socket.socket,
        run: Callable[[], Any],
        arguments: tuple[Any, ...] = (),
    ) -> Any:  # noqa: ANN401 - whatever the wrapped method returns
        """Run one socket call and note what it did.

        Only the recorder's own work is hidden from the record: a signal handler
        may make calls while this one waits.
        """
        if getattr(self.inside, "busy", False):
            return run()
        with self.unseen():
            caller = self.caller(name, sock)
            event = self.begun(name, sock, arguments, caller) if caller else {}
            words = self.follow_ahead(name, sock, arguments)
        if caller is None:
            result = run()
            with self.unseen():
                if not words:
                    self.follow(name, sock, arguments, result)
            return result
        if words:
            event["frames"] = words
        will_wait = event["event"] == "waits"
        event |= {"event": "call", "begin": time.monotonic_ns()}
        if caller.since is not None:  # the task has waited for what the loop does now
            event["begin"], will_wait = self.waited(caller), True
        try:
            result = run()
        except BaseException as error:
            event["end"] = time.monotonic_ns()
            event["error"] = _error(error)
            raise
        else:
            event["end"] = time.monotonic_ns()
            with self.unseen():
                self.gave(event, sock, arguments, result, caller)
            return result
        finally:
            with self.unseen():
                slow = event["end"] - event["begin"] > SLOW
                event["blocked"] = will_wait or (name in WRITES | {"connect"} and slow)
                self.done(event, sock, caller)

    def begun(
        self,
        name: str,
        sock: socket.socket,
        arguments: tuple[Any, ...],
        caller: Place,
    ) -> Row:
        """Say what is known before a call; write it down at once if it will wait."""
        event: Row = {
            "event": "call",
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "program": caller.program,
            "line": caller.line,
            "call": name,
            "arguments": [_plain(argument) for argument in arguments],
        }
        if caller.by and name == "sendmsg":  # into how many pieces is asyncio's affair
            whole = b"".join(bytes(piece) for piece in arguments[0])
            event["arguments"] = [_plain(whole)]
        if caller.by:
            event["by"] = caller.by
        if caller.task is not None:
            event["task"] = caller.task
        if name in INTO:  # what the buffer holds before the call is nobody's business
            buffer = arguments[0] if arguments else b""
            event["arguments"] = [len(memoryview(buffer).cast("B"))]
        if name != "socket":
            event["socket"] = self.serial(sock)
            event["fd"] = sock.fileno()
        bounds_it = not (caller.by or caller.through)  # a package bounds its own
        if bounds_it and self.unbounded(name, sock, arguments):
            event["unbounded"] = True
        if self.would_wait(name, sock):
            event["event"] = "waits"
            self.write(event | {"at": time.monotonic_ns()})
        return event

    def gave(
        self,
        event: Row,
        sock: socket.socket,
        arguments: tuple[Any, ...],
        result: object,
        caller: Place,
    ) -> None:
        """Add what a call gave, and what went by in it."""
        name = event["call"]
        event["result"] = self.result(name, result, caller)
        if name in INTO and isinstance(result, int):
            event["result"] = _plain(_passed(name, arguments, result))
        if "frames" not in event:
            words = self.follow(name, sock, arguments, result)
            if words:
                event["frames"] = words
        if caller.by:
            event |= self.so_far(name, sock, arguments, result)

    def done(self, event: Row, sock: socket.socket, caller: Place) -> None:
        """Add what the kernel has after a call, and write it all down."""
        if "error" not in event or event["call"] != "socket":
            self.about(event, sock, caller)
        changed = self.look()
        event["seen"] = time.monotonic_ns()
        if changed:
            event["kernel"] = changed
        if caller.task is not None:
            self.tasks_here().ended[caller.task["number"]] = event["end"]
        if not self.of_the_loop(event):
            self.write(event)

    @contextlib.contextmanager
    def unseen(self) -> Iterator[None]:
        """Hide the calls of the recorder itself."""
        self.inside.busy = True
        try:
            yield
        finally:
            self.inside.busy = False

    def select(
        self, ask: Callable[..., Any], seconds: float | None, place: Place
    ) -> Any:  # noqa: ANN401 - whatever the wrapped function returns
        """Note whether the program had to wait, and how many sockets were ready."""
        event: dict[str, Any] = {
            "event": "call",
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "program": place.program,
            "line": place.line,
            "call": "select",
            "arguments": [],
            "socket": 0,
            "blocked": False,
            "begin": time.monotonic_ns(),
        }
        found = ask(0)
        if not _ready(found) and (seconds is None or seconds > 0):
            event["blocked"] = True
            self.write(event | {"event": "waits", "at": event["begin"]})
            found = ask(seconds)
            if seconds is not None and not _ready(found):
                told = {key: event[key] for key in ("pid", "thread", "program", "line")}
                idle = {"event": "idle", "call": "select", "seconds": float(seconds)}
                self.write(told | idle)
        event["end"] = event["seen"] = time.monotonic_ns()
        event["result"] = _ready(found)
        self.write(event)
        return found

    def waited(self, caller: Place) -> int:
        """Say since when a task has waited: not before its last call had ended."""
        ended = self.tasks_here().ended.get((caller.task or {}).get("number", 0), 0)
        return max(caller.since or 0, ended + 1)

    @staticmethod
    def of_the_loop(event: Row) -> bool:
        """Say whether a call failed as an event loop's calls do, to be made again.

        A connect() that has begun counts as made if the connection is there: on
        loopback it is there at once.
        """
        if event["call"] == "setsockopt" and event.get("task", {}).get("number") == -1:
            return True  # what asyncio sets for every connection alike
        error = event.get("error", {})
        if event.get("by") not in {"task", "loop"} or "Blocking" not in error.get(
            "type", ""
        ):
            return False
        if event["call"] == "connect" and "peer" in event:
            del event["error"]
            return False
        return event["call"] in READS or event["call"] == "connect"

    def follow(  # noqa: PLR0911 - one return for each kind of talk
        self,
        name: str,
        sock: socket.socket,
        arguments: tuple[Any, ...],
        result: object,
    ) -> list[str]:
        """Read along, and say which WebSocket frames went by."""
        if name in STREAMED and sock in self.sealed:
            return ["TLS"] if _passed(name, arguments, result) else []
        if name not in STREAMED or self.talks.get(sock, sock) is None:
            return []
        flags = arguments[1:2] if name == "recv" else arguments[2:3]
        if name not in WRITES and flags and flags[0] & socket.MSG_PEEK:
            return []
        data = _passed(name, arguments, result)
        if not data:
            return []
        if sock not in self.talks:
            self.talks[sock] = None
            start = data[:4]
            if start[:2] in TLS:
                self.sealed.add(sock)
                return ["TLS"]
            if not (b"GET ".startswith(start) or b"HTTP".startswith(start)):
                return []
            from _handbook_frames import (  # type: ignore[import-not-found]  # noqa: PLC0415
                Conversation,
            )

            self.talks[sock] = Conversation()
        talk = self.talks[sock]
        if talk is None:
            return []
        words = talk.feed("sent" if name in WRITES else "received", data)
        if talk.over:
            self.talks[sock] = None
        return words

    def follow_ahead(
        self, name: str, sock: socket.socket, arguments: tuple[Any, ...]
    ) -> list[str]:
        """Read the answer to a handshake before it goes out.

        Another thread may receive the first frame before the call has returned here.
        """
        if name not in WRITES - {"sendmsg", "sendto"} or not self.talks.get(sock):
            return []
        if bytes(arguments[0][:12]) != b"HTTP/1.1 101":
            return []
        return self.follow(name, sock, arguments, len(arguments[0]))

    def so_far(
        self,
        name: str,
        sock: socket.socket,
        arguments: tuple[Any, ...],
        result: object,
    ) -> dict[str, Any]:
        """Sum up what a stream has brought: how it is cut differs from run to run."""
        if name not in STREAMED or name in WRITES:
            return {}
        data = _steady(_passed(name, arguments, result))
        sums = self.streams.setdefault(sock, {"bytes": 0, "crc": 0})
        sums["bytes"] += len(data)
        sums["crc"] = zlib.crc32(data, sums["crc"])
        return {"stream": dict(sums)}

    def about(self, event: dict[str, Any], sock: socket.socket, caller: Place) -> None:
        """Add what is known of the socket after the call."""
        if event["call"] == "socket":
            event["socket"] = self.serial(sock)
            event["fd"] = sock.fileno()
            self.made_at[sock] = caller.program, caller.line
        event["type"] = sock.type.name
        event["family"] = sock.family.name
        self.addresses(event, sock)

    def would_wait(self, name: str, sock: socket.socket) -> bool:
        """Ask, without waiting, whether the call will have to wait."""
        if name not in READS | WRITES or sock.fileno() < 0 or sock.gettimeout() == 0.0:
            return False
        wanted = select.POLLIN if name in READS else select.POLLOUT
        poll = select.poll()
        poll.register(sock.fileno(), wanted)
        return not poll.poll(0)

    @staticmethod
    def unbounded(name: str, sock: socket.socket, arguments: tuple[Any, ...]) -> bool:
        """Say whether the call may wait for as long as the other side likes.

        A time-out bounds it, one of Python's or of the kernel's (socket(7),
        SO_RCVTIMEO), and so does MSG_DONTWAIT. What is sent as a datagram, and what
        a connect() without a handshake does, waits for nobody.
        """
        if name not in READS | WRITES | {"connect", "connect_ex"}:
            return False
        if sock.fileno() < 0 or sock.gettimeout() is not None:
            return False
        if name not in READS and sock.type == socket.SOCK_DGRAM:
            return False
        flags = 0
        for flag in arguments[1:]:
            flags |= int(flag) if isinstance(flag, int) else 0
        if flags & getattr(socket, "MSG_DONTWAIT", 0):
            return False
        option = "SO_RCVTIMEO" if name in READS else "SO_SNDTIMEO"
        size = struct.calcsize("ll")
        try:
            given = sock.getsockopt(socket.SOL_SOCKET, getattr(socket, option), size)
        except (AttributeError, OSError):
            return True
        return not any(given)

    def result(self, name: str, result: object, caller: Place) -> object:
        """Put a result into plain words."""
        if name == "accept" and isinstance(result, tuple):
            conn, peer = result
            self.made_at[conn] = caller.program, caller.line
            self.named.add(conn)
            if conn.family in (socket.AF_INET, socket.AF_INET6):
                self.watch(conn.family, conn.getsockname(), peer)
            return {
                "socket": self.serial(conn),
                "fd": conn.fileno(),
                "local": _plain(conn.getsockname()),
                "peer": _plain(peer),
            }
        return _plain(result)

    def addresses(self, event: dict[str, Any], sock: socket.socket) -> None:
        """Add the addresses of an Internet socket to the calls that give it any.

        After other calls they are known already, and asking would be a race: a
        socket whose other end has just left may have no peer any more.
        """
        known_before = sock in self.named
        self.named.add(sock)
        if (known_before and event["call"] not in NAMES) or sock.fileno() < 0:
            return
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return
        known: dict[str, Any] = {}
        for key, ask in (("local", sock.getsockname), ("peer", sock.getpeername)):
            with contextlib.suppress(OSError):
                known[key] = ask()
                event[key] = _plain(known[key])
        if sock.type != socket.SOCK_STREAM:
            return
        if event["call"] == "listen" and "error" not in event:
            self.watch(sock.family, known["local"], None)
        elif "peer" in known:
            self.watch(sock.family, known["local"], known["peer"])

    def watch(self, family: int, local: Address, peer: Address | None) -> None:
        """Ask the kernel about this socket from now on, and about its other end."""
        pairs = [(family, local[:2], peer[:2] if peer else None)]
        if peer:
            pairs.append((family, peer[:2], local[:2]))
        for pair in pairs:
            self.pairs.setdefault(_key(pair), pair)

    def look(self) -> list[Row]:
        """Say what changed in the kernel's table, once it has settled.

        With other threads or processes about, nothing settles: then it is looked
        at as it is. A socket that is no longer there has the state GONE.
        """
        if not self.pairs:
            return []
        pairs = list(self.pairs.values())
        try:
            rows = self.kernel.rows(pairs)
        except OSError:  # its descriptor is gone
            self.kernel = Kernel()
            rows = self.kernel.rows(pairs)
        if self.alone and threading.active_count() == 1 and not self.in_loop():
            began = whole = time.monotonic()  # when no socket was missed, last
            while True:
                now = time.monotonic()
                if self.seen.keys() <= rows.keys():
                    whole = now
                # On its way into TIME-WAIT a socket is for a moment not to be found.
                sure = now - whole >= MISSED or whole == now
                if sure and now - began >= _patience(rows.values()):
                    break
                time.sleep(SETTLE_PAUSE)  # waits: the kernel has no event for "settled"
                rows = self.kernel.rows(pairs)
        changed = [row for key, row in rows.items() if self.seen.get(key) != row]
        changed += [
            {"local": row["local"], "peer": row["peer"], "state": "GONE"}
            for key, row in self.seen.items()
            if key not in rows
        ]
        self.seen = rows
        return changed

    def at_exit(self) -> None:
        """Name the sockets that the program leaves open."""
        for sock in list(self.serials):
            if sock.fileno() >= 0 and sock in self.made_at:
                program, line = self.made_at[sock]
                self.write({"event": "leak", "program": program, "line": line})


def _ready(found: Any) -> int:  # noqa: ANN401 - a list, or three lists
    """Count what select() found ready."""
    return sum(map(len, found)) if isinstance(found, tuple) else len(found)


STREAMED = (READS | WRITES) - {"accept", "recvfrom", "sendto"}


def _passed(name: str, arguments: tuple[Any, ...], result: Any) -> bytes:  # noqa: ANN401
    """Give the bytes that a call really sent or received."""
    if name in INTO:
        return bytes(memoryview(arguments[0]).cast("B")[:result])
    if name not in WRITES:
        return bytes(result[0] if isinstance(result, tuple) else result)
    pieces = arguments[0] if name == "sendmsg" else [arguments[0]]
    data = b"".join(bytes(piece) for piece in pieces)
    return data if name == "sendall" else data[:result]


def _open(path: str) -> int:
    return _high_descriptor(
        os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    )


def _high_descriptor(descriptor: int) -> int:
    """Move a descriptor up, so that the program's own begin where they always do."""
    try:
        import fcntl  # noqa: PLC0415 - not on every system
        import resource  # noqa: PLC0415
    except ImportError:
        return descriptor
    # A child inherits the limit, and may have less of it left than its parent had.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    for least in (600, limit - 8, limit // 2):
        if 0 < least < limit:
            with contextlib.suppress(OSError):
                high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, least)
                os.close(descriptor)
                return high
    return descriptor


def _steady(data: bytes) -> bytes:
    """Write dots for what a head of HTTP says anew each time."""
    if not data.startswith((b"GET ", b"POST ", b"HTTP/")):
        return data
    head, end, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    for number, line in enumerate(lines):
        name, colon, said = line.partition(b":")
        if name.lower() in ANEW:
            lines[number] = name + colon + b"." * len(said)
    return b"\r\n".join(lines) + end + body


def _without_port(data: bytes) -> bytes:
    """Leave the port out of a request's Host: the preview names it, the sum cannot."""
    if not data.startswith((b"GET ", b"POST ")):
        return data
    head, colon, rest = data.partition(b"\r\nHost: 127.0.0.1:")
    return head + colon + rest.lstrip(b"0123456789") if colon else data


def _plain(value: object) -> object:
    """Turn a value into something JSON can say."""
    if isinstance(value, bytes | bytearray | memoryview):
        data = _steady(bytes(value))
        told = {"bytes": len(data), "starts": repr(data[:PREVIEW])}
        if len(data) <= PREVIEW:
            return told
        return told | {"crc": zlib.crc32(_without_port(data))}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return int(value)  # a flag such as MSG_PEEK would be written as its name
    return type(value).__name__


def _error(error: BaseException) -> dict[str, Any]:
    number = getattr(error, "errno", None)
    return {
        "type": type(error).__name__,
        "errno": errno.errorcode.get(number) if number is not None else None,
        "message": str(error),
    }


class Kernel:
    """What the kernel's table of TCP sockets says about a few of them.

    Each is asked for by its two addresses, as ss does it (sock_diag(7)); where
    that is not to be had, the whole of /proc/net/tcp is read (proc(5)), which takes
    a thousand times as long. `unread` of a listening socket is the length of its
    accept queue; a socket is `owned` if its inode is not 0, that is, if a
    descriptor refers to it.
    """

    ASK = struct.Struct("=IHHII BBBBI HH16s16sIII")
    ANSWER = struct.Struct("=BBBB HH16s16sIII IIIII")
    HEAD = struct.Struct("=IHHII")
    BY_FAMILY, REQUEST, NO_COOKIE = 20, 1, 0xFFFFFFFF

    def __init__(self) -> None:
        """Open what is asked, out of the way of the program's descriptors."""
        self.lock = threading.Lock()
        self.asked = 0
        self.tables: list[int] = []
        self.socket = -1
        try:
            family, protocol = socket.AF_NETLINK, 4  # NETLINK_SOCK_DIAG
            raw = _socket.socket(family, socket.SOCK_DGRAM, protocol)
            self.socket = _high_descriptor(raw.detach())
            os.set_blocking(self.socket, False)
            here = (socket.AF_INET, ("127.0.0.1", 1), ("127.0.0.1", 1))
            self.ask(*here)
        except (AttributeError, OSError):
            for name in ("/proc/net/tcp", "/proc/net/tcp6"):
                with contextlib.suppress(OSError):
                    table = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
                    self.tables.append(_high_descriptor(table))
            self.socket = -1

    def rows(self, pairs: list[Pair]) -> dict[str, Row]:
        """Look every pair up: (family, local address, peer address or None)."""
        if self.socket < 0:
            return self.read(pairs)
        found = {}
        with self.lock:
            for pair in pairs:
                row = self.ask(*pair)
                if row is not None:
                    found[_key(pair)] = row
        return found

    def ask(self, family: int, local: Address, peer: Address | None) -> Row | None:
        """Ask for one socket; None if the kernel has none with these addresses."""
        peer = peer or (_wildcard(family), 0)
        self.asked += 1
        os.write(
            self.socket,
            self.ASK.pack(
                *(self.ASK.size, self.BY_FAMILY, self.REQUEST, self.asked, 0),
                *(family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF),
                *(socket.htons(local[1]), socket.htons(peer[1])),
                *(_packed(family, local[0]), _packed(family, peer[0])),
                *(0, self.NO_COOKIE, self.NO_COOKIE),
            ),
        )
        reply = os.read(self.socket, 4096)
        while self.HEAD.unpack_from(reply)[3] != self.asked:
            # A signal came between an earlier question and its answer.
            reply = os.read(self.socket, 4096)
        if self.HEAD.unpack_from(reply)[1] != self.BY_FAMILY:
            number = -struct.unpack_from("=i", reply, self.HEAD.size)[0]
            if number == errno.ENOENT:
                return None
            raise OSError(number, os.strerror(number))
        answer = self.ANSWER.unpack_from(reply, self.HEAD.size)
        state, ports = answer[1], answer[4:6]
        # Where there is no such connection, the kernel gives the listening socket.
        if socket.ntohs(ports[1]) != peer[1]:
            return None
        return {
            "local": [local[0], local[1]],
            "peer": [peer[0], peer[1]],
            "state": STATES[state - 1],
            # Of a listening socket this is the backlog.
            "unacked": 0 if STATES[state - 1] == "LISTEN" else answer[13],
            "unread": answer[12],
            "owned": answer[15] != 0,
        }

    def read(self, pairs: list[Pair]) -> dict[str, Row]:
        """Read the whole tables, and keep what was asked for."""
        wanted = {_key(pair) for pair in pairs}
        found = {}
        for table in self.tables:
            data = b""
            while piece := os.pread(table, 1 << 16, len(data)):
                data += piece
            for line in data.decode("ascii").splitlines()[1:]:
                cells = line.split()
                local, peer = _address(cells[1]), _address(cells[2])
                key = f"{local[0]}:{local[1]} {peer[0]}:{peer[1]}"
                if key not in wanted:
                    continue
                sent, _, unread = cells[4].partition(":")
                state = STATES[int(cells[3], 16) - 1]
                found[key] = {
                    "local": local,
                    "peer": peer,
                    "state": state,
                    "unacked": 0 if state == "LISTEN" else int(sent, 16),
                    "unread": int(unread, 16),
                    "owned": cells[9] != "0",
                }
        return found


def _patience(rows: Iterable[Row]) -> float:
    """Say how many seconds it is worth to wait for the rows to settle."""
    seconds = 0.0
    for row in rows:
        if row["state"] in PASSING:
            seconds = SETTLE
        elif row["unacked"]:
            seconds = max(seconds, ARRIVE)
    return seconds


def _wildcard(family: int) -> str:
    return "::" if family == socket.AF_INET6 else "0.0.0.0"  # noqa: S104 - a name


def _packed(family: int, address: str) -> bytes:
    return socket.inet_pton(family, address.partition("%")[0]).ljust(16, b"\0")


def _key(pair: Pair) -> str:
    family, local, peer = pair
    peer = peer or (_wildcard(family), 0)
    return f"{local[0]}:{local[1]} {peer[0]}:{peer[1]}"


def _address(cell: str) -> list[Any]:
    address, _, port = cell.partition(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return [socket.inet_ntop(family, packed), int(port, 16)]


def _install(recorder: Recorder) -> None:  # noqa: C901 - one wrapper for each kind
    def wrap(name: str) -> None:
        original = getattr(socket.socket, name)

        @functools.wraps(original)
        def method(self: socket.socket, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if name == "sendmsg" and args:  # an iterator could be read once only
                args = ([*args[0]], *args[1:])
            return recorder.call(
                name,
                self,
                lambda: original(self, *args, **kwargs),
                args,
            )

        setattr(socket.socket, name, method)

    for name in CALLS:
        if hasattr(socket.socket, name):
            wrap(name)

    make = socket.socket.__init__

    @functools.wraps(make)
    def init(self: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        if kwargs.get("fileno") is not None or (len(args) > 3 and args[3] is not None):
            make(self, *args, **kwargs)
            recorder.serial(self)  # before a fork, so that a child knows it again
            return
        recorder.call("socket", self, lambda: make(self, *args, **kwargs))

    socket.socket.__init__ = init  # type: ignore[method-assign]

    real_close = socket.socket._real_close  # type: ignore[attr-defined] # noqa: SLF001

    @functools.wraps(real_close)
    def close(self: socket.socket, *args: Any) -> None:  # noqa: ANN401
        if self.fileno() < 0:
            real_close(self, *args)
            return
        recorder.call("close", self, lambda: real_close(self, *args))

    socket.socket._real_close = close  # type: ignore[attr-defined] # noqa: SLF001
    _install_select(recorder)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=recorder.after_fork)
    sys.addaudithook(recorder.company)
    atexit.register(recorder.at_exit)


def _install_select(recorder: Recorder) -> None:
    """See the waits of a program's own loop, which select() does for all sockets."""

    def wrap(original: Callable[..., Any], where: int) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            frame = sys._getframe(1)  # noqa: SLF001
            program = recorder.program_of(frame.f_code.co_filename)
            if program is None or kwargs.keys() - {"timeout"}:
                return original(*args, **kwargs)
            seconds = args[where] if len(args) > where else kwargs.get("timeout")
            place = Place(program, frame.f_lineno)
            return recorder.select(
                lambda *given: original(*args[:where], *given), seconds, place
            )

        return method

    for kind in {each for each in vars(selectors).values() if isinstance(each, type)}:
        if "select" in vars(kind):
            kind.select = wrap(kind.select, 1)  # type: ignore[attr-defined]
    select.select = wrap(select.select, 3)


_events = os.environ.get("HANDBOOK_EVENTS")
if _events:
    from _handbook_watch import Watch  # type: ignore[import-not-found]

    _recorder = Recorder(_events, os.environ["HANDBOOK_PROGRAMS"])
    _install(_recorder)
    Watch(_recorder, PACKAGES)
