"""Note what a program waits for idly, makes, starts, asks for and leaves behind.

It works from outside, as the recorder does: by audit events (sys.addaudithook) and by
wrapping the few functions that wait. The recorder writes what is found.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from handbook.traced.sitecustomize import Recorder

# Audit events that make a file, and which of their arguments names it.
MAKES = {
    "os.mkdir": 0,
    "os.link": 1,
    "os.rename": 1,
    "os.symlink": 1,
    "tempfile.mkdtemp": 0,
    "tempfile.mkstemp": 0,
}
ASKS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
WRITING = os.O_CREAT | os.O_TMPFILE if hasattr(os, "O_TMPFILE") else os.O_CREAT
LAST_WORDS = 1.0  # seconds in which a thread may end that has nothing left to do


class Watch:
    """Tells the recorder of one process what its program does beside its calls."""

    def __init__(self, recorder: Recorder, packages: str) -> None:
        """Begin to watch; `packages` is a part of the path of every package."""
        self.recorder = recorder
        self.packages = packages
        self.made: set[str] = set()
        sys.addaudithook(self.audit)
        time.sleep = self.waiting(time.sleep, "sleep", lambda seconds: seconds)
        for kind in (threading.Event, threading.Condition):
            kind.wait = self.waiting(  # type: ignore[method-assign]
                kind.wait, f"{kind.__name__}.wait", lambda timeout=None: timeout
            )
        self.start = threading.Thread.start
        threading.Thread.start = self.started()  # type: ignore[method-assign, assignment]
        self.threads: list[tuple[threading.Thread, dict[str, Any]]] = []
        atexit.register(self.at_exit)

    def write(self, event: str, **told: Any) -> None:  # noqa: ANN401
        """Hand one event to the recorder."""
        thread = threading.current_thread().name
        here = {"event": event, "pid": os.getpid(), "thread": thread}
        self.recorder.write(here | told)

    def place(self, depth: int) -> dict[str, Any]:
        """Name the line of a program that makes a call; empty if it is no program's."""
        frame = sys._getframe(depth)  # noqa: SLF001 - who made the call
        program = self.recorder.program_of(frame.f_code.co_filename)
        return {"program": program, "line": frame.f_lineno} if program else {}

    def nearest(self) -> dict[str, Any]:
        """Name the nearest line of a program on the stack, and say who asked."""
        frame = sys._getframe(1)  # noqa: SLF001
        while frame is not None:
            program = self.recorder.program_of(frame.f_code.co_filename)
            if program:
                return {"program": program, "line": frame.f_lineno}
            if self.packages in frame.f_code.co_filename:
                return {"by": "library"}
            frame = frame.f_back  # type: ignore[assignment]
        return {}

    def waiting(
        self,
        original: Callable[..., Any],
        name: str,
        limit: Callable[..., float | None],
    ) -> Callable[..., Any]:
        """Note a wait that ended because its time was over: nothing had happened."""

        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            place = self.place(2)
            came = original(*args, **kwargs)
            if place and not came:
                own = args if name == "sleep" else args[1:]
                seconds = limit(*own, **kwargs)
                if seconds:
                    self.write("idle", call=name, seconds=float(seconds), **place)
            return came

        return method

    def started(self) -> Callable[[threading.Thread], None]:
        """Remember the threads that the program starts, and where."""
        original = self.start

        @functools.wraps(original)
        def start(thread: threading.Thread) -> None:
            place = self.nearest()
            if "by" not in place:  # a package ends its own
                self.threads.append((thread, place))
            original(thread)

        return start

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what makes a file, and names that are looked up."""
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, str | bytes) and flags & WRITING == os.O_CREAT:
                self.makes(path)
        elif event in MAKES:
            self.makes(arguments[MAKES[event]])
        elif event == "socket.bind":
            address = arguments[1]
            if isinstance(address, str | bytes) and address[:1] not in {"", b"", "\0"}:
                self.makes(address)
        elif event in ASKS:
            self.write("asks", host=_text(arguments[0]), **self.nearest())

    def makes(self, path: Any) -> None:  # noqa: ANN401 - what os.fspath() takes
        """Note a path that exists from now on, once."""
        try:
            name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100
        except TypeError:
            return
        if name not in self.made and not os.path.lexists(name):
            self.made.add(name)
            self.write("makes", path=name)

    def at_exit(self) -> None:
        """Name the threads that still run, and a child that nobody waited for.

        And tell the processor time of this process and of those it has waited for.
        """
        self.write("used", seconds=sum(os.times()[:4]))
        for thread, place in self.threads:
            thread.join(LAST_WORDS)
            if thread.is_alive():
                self.write("thread", name=thread.name, **place)
        for child in _children() - _helpers():
            self.write("child", child=child)


def _children() -> set[int]:
    """Give the children of this process that it has not waited for (proc(5))."""
    found: set[int] = set()
    try:
        for task in os.listdir("/proc/self/task"):  # noqa: PTH208
            with open(f"/proc/self/task/{task}/children") as file:  # noqa: PTH123
                found |= set(map(int, file.read().split()))
    except OSError:  # no Linux, or one without this file
        pass
    return found


def _helpers() -> set[int]:
    """Give those that Python itself keeps until the end."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    own = getattr(getattr(tracker, "_resource_tracker", None), "_pid", None)
    return {own} if own else set()


def _text(value: object) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes) else ""
