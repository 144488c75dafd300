"""Wrong on purpose: a program only looks into shared memory, and it is gone.

SharedMemory is meant for the processes of one program. In another one, Python's
resource tracker takes the segment for forgotten when that program ends.

Needs: Linux
"""

import subprocess
import sys
from multiprocessing import resource_tracker, shared_memory

LOOK = """
import sys
from multiprocessing import resource_tracker, shared_memory
untracked = {"track": False} if sys.version_info >= (3, 13) else {}
segment = shared_memory.SharedMemory(sys.argv[1], **(untracked if CURED else {}))
if CURED and not untracked:
    resource_tracker.unregister("/" + segment.name, "shared_memory")
print("other program: I see", bytes(segment.buf[:5]))
segment.close()
"""


def look(name: str, *, cured: bool) -> None:
    """Let another program attach the segment, read it, close it and end."""
    program = f"CURED = {cured}\n{LOOK}"
    ended = subprocess.run(
        [sys.executable, "-c", program, name],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    print(ended.stdout, end="")


def main() -> None:
    """Make a segment, and let two programs look into it."""
    mine = shared_memory.SharedMemory(create=True, size=64)
    try:
        assert mine.buf is not None
        mine.buf[:5] = b"hello"
        for cured in (True, False):
            look(mine.name, cured=cured)
            try:
                again = shared_memory.SharedMemory(mine.name)
                again.close()
                print("it is still there")
            except FileNotFoundError:
                print("it is gone: FileNotFoundError")
    finally:
        mine.close()
        try:
            mine.unlink()
        except FileNotFoundError:
            resource_tracker.unregister("/" + mine.name, "shared_memory")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: it shows what the resource tracker does there.")
