"""Two processes count in shared memory, one at a time: a lock makes it exact.

Needs: Linux
"""

import mmap
import multiprocessing
import os
import sys
from multiprocessing.synchronize import Lock

EACH = 20_000


def count(number: memoryview, lock: Lock) -> None:
    """Add one, many times; nobody else reads or writes meanwhile."""
    for _ in range(EACH):
        with lock:
            number[0] += 1


def main() -> None:
    """Let two processes count the same number up."""
    lock = multiprocessing.get_context("fork").Lock()
    with mmap.mmap(-1, mmap.PAGESIZE) as memory, memoryview(memory) as view:
        number = view.cast("q")
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                count(number, lock)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        counted = number[0]
        number.release()
        print(f"counted {counted} of {2 * EACH}")


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: other systems may start processes otherwise.")
