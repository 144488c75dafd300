"""Wrong on purpose: two processes count in shared memory, and nobody waits.

Needs: Linux
Varies: counted {int>=1}
"""

import mmap
import multiprocessing
import os
import sys

EACH = 500_000


def count(number: memoryview) -> None:
    """Add one, many times: each time read the number, add, and write it back."""
    for _ in range(EACH):
        number[0] += 1


def main() -> None:
    """Let two processes count the same number up."""
    with mmap.mmap(-1, mmap.PAGESIZE) as memory, memoryview(memory) as view:
        number = view.cast("q")
        together = multiprocessing.get_context("fork").Barrier(2)
        children = []
        for _ in range(2):
            child = os.fork()
            if child == 0:
                together.wait(timeout=5)  # so that neither has ended when one begins
                count(number)
                os._exit(0)
            children.append(child)
        for child in children:
            os.waitpid(child, 0)
        counted = number[0]
        number.release()
        print(f"counted {counted} of {2 * EACH}")
        print("some are lost:", counted < 2 * EACH)


if sys.platform == "linux":
    main()
else:
    print("This program needs Linux: other systems may start processes otherwise.")
