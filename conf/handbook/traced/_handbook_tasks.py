"""Tell which task of asyncio a socket call belongs to, and where that task stands.

A task's own call has the task's coroutines below it on the stack. What the event
loop does in a callback (it receives, accepts, sends the rest, closes) belongs to
the task that waits for it: the one whose chain of awaits ends in something that
holds this socket. Imported once a program runs an event loop, and not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import time
import weakref
from asyncio import events, selector_events, tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from handbook.traced.sitecustomize import Place, Recorder

    Task = asyncio.Task[Any]

# What asyncio does for itself, to wake its own loop from other threads.
OWN = {"_read_from_self", "_write_to_self", "_close_self_pipe", "_make_self_pipe"}
OWN_FILE = selector_events.__file__
RUN = events.Handle._run.__code__  # noqa: SLF001
GIVEN = re.compile(r"Task-\d+")  # a name that nobody chose
# A task in one of these waits for something, but not for bytes to come.
ELSEWHERE = {"wait_closed", "drain", "_drain_helper", "keepalive"}
PACKAGES = f"{os.sep}site-packages{os.sep}"
EVENT_LOOP = {"number": -1}


class Tasks:
    """Knows the tasks of this process."""

    def __init__(self, recorder: Recorder, place: type[Place]) -> None:
        """Watch the event loops of this process for `recorder`."""
        self.make = place
        self.program_of = recorder.program_of
        self.numbers: weakref.WeakKeyDictionary[Task, int] = weakref.WeakKeyDictionary()
        self.count = 0
        self.ended: dict[int, int] = {}  # number of a task -> end of its last call
        self.paused: weakref.WeakKeyDictionary[Task, int] = weakref.WeakKeyDictionary()
        self.touched: weakref.WeakKeyDictionary[socket.socket, Task] = (
            weakref.WeakKeyDictionary()
        )
        self.told: weakref.WeakKeyDictionary[Task, dict[str, Any]] = (
            weakref.WeakKeyDictionary()
        )
        self.closed: weakref.WeakKeyDictionary[socket.socket, Place] = (
            weakref.WeakKeyDictionary()
        )
        self._note_pauses()
        self._note_closes()
        self._note_failures(recorder)

    def _note_pauses(self) -> None:
        run = events.Handle._run  # noqa: SLF001
        paused = self.paused

        def noted(handle: Any) -> None:  # noqa: ANN401 - a Handle, with its privates
            task = getattr(handle._callback, "__self__", None)  # noqa: SLF001
            run(handle)
            if isinstance(task, asyncio.Task):
                paused[task] = time.monotonic_ns()

        events.Handle._run = noted  # type: ignore # noqa: PGH003, SLF001

    def _note_closes(self) -> None:
        """Remember who asked a transport to close: the socket is closed later."""
        base = selector_events._SelectorTransport  # type: ignore[attr-defined] # noqa: SLF001
        for name in ("close", "abort"):
            original = getattr(base, name)

            def noted(transport: Any, _original: Any = original) -> None:  # noqa: ANN401
                sock = transport._sock  # noqa: SLF001
                if sock is not None and sock not in self.closed:
                    import sys  # noqa: PLC0415

                    place = self.place("close", sock, sys._getframe(1))  # noqa: SLF001
                    if place is not None and place.by == "task":
                        self.closed[sock] = place
                _original(transport)

            setattr(base, name, noted)

    def _note_failures(self, recorder: Recorder) -> None:
        """Give the recorder a connect() that failed after it had begun."""
        base = selector_events.BaseSelectorEventLoop
        original = base._sock_connect_cb  # type: ignore[attr-defined] # noqa: SLF001

        def noted(loop: Any, waits: Any, sock: socket.socket, address: Any) -> None:  # noqa: ANN401
            original(loop, waits, sock, address)
            error = (
                waits.exception() if waits.done() and not waits.cancelled() else None
            )
            if isinstance(error, OSError):

                def fail() -> None:
                    raise error

                with contextlib.suppress(OSError):
                    recorder.call("connect", sock, fail, (address,))

        base._sock_connect_cb = noted  # type: ignore[attr-defined] # noqa: SLF001

    def place(
        self, call: str, sock: socket.socket, frame: FrameType | None
    ) -> Place | None:
        """Say where a call comes from that is made while an event loop runs.

        None if it is asyncio's own, or if no snippet has anything to do with it.
        """
        line, function, program = 0, "", None
        while frame is not None and frame.f_code is not RUN:
            if is_own(frame):
                return None
            found = self.program_of(frame.f_code.co_filename)
            if found is not None:
                program, line = program or found, line or frame.f_lineno
                function = frame.f_code.co_name
            frame = frame.f_back
        main = None
        while frame is not None:
            if frame.f_code.co_name == "run_until_complete":
                main = main or frame.f_locals.get("future")
            program = program or self.program_of(frame.f_code.co_filename)
            frame = frame.f_back
        if program is None:
            return None
        task = tasks.current_task(events._get_running_loop())  # noqa: SLF001
        if task is None:
            return self._called_back(call, sock, program, line, main)
        told = self.tell(task, main, function)
        owner = self.touched.get(sock, task)
        if not function and owner is not task:
            # A task of a library that cares for the connection of another.
            return self.make(program, 0, "library", self.tell(owner, main, ""))
        if told is not EVENT_LOOP:
            self.touched[sock] = task
        return self.make(program, line, "task", told)

    def _called_back(
        self, call: str, sock: socket.socket, program: str, line: int, main: Task | None
    ) -> Place:
        """Find the task for which the loop makes this call."""
        known = self.closed.get(sock) if call == "close" else None
        if known is not None:
            return self.make(known.program, known.line, "loop", known.task)
        task, where, function = self._waiting(call, sock)
        if task is None:
            return self.make(program, line, "loop", EVENT_LOOP)
        since = None
        self.touched.setdefault(sock, task)
        if where is not None:
            program, line = where
            since = self.paused.get(task) if call in WAITED else None
        told = self.tell(task, main, function)
        return self.make(program, line, "loop", told, since)

    def _waiting(
        self, call: str, sock: socket.socket
    ) -> tuple[Task | None, tuple[str, int] | None, str]:
        """Give the task that waits for a socket, its line, and its own function."""
        loop = events._get_running_loop()  # noqa: SLF001
        transports = getattr(loop, "_transports", {})
        transport = transports.get(sock.fileno())
        protocol = transport.get_protocol() if transport is not None else None
        things = [each for each in (sock, transport, protocol) if each is not None]
        best: tuple[int, Task | None, tuple[str, int] | None, str] = (0, None, None, "")
        for task in asyncio.all_tasks(loop):
            frames = list(_chain(task.get_coro()))
            ours = [i for i, f in enumerate(frames) if self._ours(f)]
            library = frames[ours[-1] + 1 :] if ours else frames
            concerned = any(_concerns(each, things) for each in library)
            touched = self.touched.get(sock) is task
            if touched and ours and not library and call in READING:
                # It waits for a bare future, such as that of a ping.
                concerned = not isinstance(_last(task.get_coro()), asyncio.Task)
            if not concerned and not touched:
                continue
            function, where = "", None
            if ours:
                function = frames[ours[0]].f_code.co_name
            aside = bool(library) and library[0].f_code.co_name in ELSEWHERE
            if ours and concerned and not (aside and call in READING):
                frame = frames[ours[-1]]
                where = (
                    self.program_of(frame.f_code.co_filename) or "",
                    frame.f_lineno,
                )
            rank = 1 + 4 * (where is not None) + 2 * touched
            if rank > best[0]:
                best = (rank, task, where, function)
        if best[1] is None and sock in self.touched:
            return self.touched[sock], None, ""  # it has ended
        return best[1:]

    def _ours(self, frame: FrameType) -> bool:
        return self.program_of(frame.f_code.co_filename) is not None

    def tell(self, task: Task, main: Task | None, function: str) -> dict[str, Any]:
        """Say all that a lane may be named by."""
        if task not in self.numbers:
            self.count += 1
            self.numbers[task] = self.count
        name = task.get_name()
        coroutine = task.get_coro()
        code = getattr(coroutine, "cr_code", None)
        if not function and code is not None and code.co_filename == OWN_FILE:
            return EVENT_LOOP  # it makes a transport of what it has accepted
        return {
            "number": self.numbers[task],
            "name": "" if GIVEN.fullmatch(name) else name,
            "main": task is main,
            "function": function,
            "coroutine": _named(coroutine),
        }


READING = {"recv", "recv_into", "recvfrom", "recvmsg"}
WAITED = READING | {"accept", "connect"}


def is_own(frame: FrameType) -> bool:
    """Say whether asyncio is at work for itself here."""
    code = frame.f_code
    return code.co_name in OWN and code.co_filename == OWN_FILE


def _named(coroutine: object) -> str:
    """Name a coroutine, or its library where its own name says little."""
    name = getattr(coroutine, "__name__", "task")
    code = getattr(coroutine, "cr_code", None)
    library = code.co_filename.partition(PACKAGES)[2] if code is not None else ""
    if library and (name.startswith("_") or name in {"start", "run"}):
        return str(library.partition(os.sep)[0])
    return str(name)


def _awaited(waits: object) -> tuple[FrameType | None, object]:
    """Give the frame of something that waits, and what it waits for."""
    for kind in ("cr", "gi", "ag"):
        if hasattr(waits, f"{kind}_frame"):
            inner = "gi_yieldfrom" if kind == "gi" else f"{kind}_await"
            return getattr(waits, f"{kind}_frame"), getattr(waits, inner)
    if isinstance(waits, asyncio.Future):
        return None, None
    # An asynchronous generator's step, or what __await__() gave, tells nothing.
    for each in gc.get_referents(waits):
        if type(each).__name__ in WAITING:
            return None, each
    return None, None


WAITING = {
    *("coroutine", "generator", "async_generator"),
    *("async_generator_asend", "coroutine_wrapper"),
}


def _chain(waits: object) -> Iterator[FrameType]:
    """Yield the frames of a coroutine that waits, outermost first."""
    while waits is not None:
        frame, waits = _awaited(waits)
        if frame is not None:
            yield frame


def _last(waits: object) -> object:
    """Give what a coroutine waits for in the end."""
    while (inner := _awaited(waits)[1]) is not None:
        waits = inner
    return waits


def _concerns(frame: FrameType, things: list[object]) -> bool:
    """Say whether a library's function is at work on one of these."""
    known = frame.f_locals
    if any(known.get("sock") is thing for thing in things):
        return True
    owner = known.get("self")
    if owner is None:
        return False
    if any(owner is thing for thing in things):
        return True
    for name in ("_transport", "transport", "_protocol", "_sockets"):
        held = None
        with contextlib.suppress(Exception):
            held = getattr(owner, name, None)
        if held is None:
            continue
        if any(held is thing for thing in things):
            return True
        if name == "_sockets" and any(thing in held for thing in things):
            return True
    return False
