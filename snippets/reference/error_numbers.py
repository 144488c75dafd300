"""The error numbers that socket calls give, with Python's class and text for each.

Numbers and texts are the system's: the same name has another number on macOS.

Needs: Linux
"""

import errno
import os
import sys

NAMES = """
    EBADF EAGAIN ENOMEM EACCES EEXIST ENODEV EINVAL EMFILE ENFILE ENOSPC ESPIPE EPIPE
    EPERM EINTR ENOENT ENXIO ENOTSOCK EDESTADDRREQ EMSGSIZE EPROTOTYPE ENOPROTOOPT
    EPROTONOSUPPORT EOPNOTSUPP EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN
    ENETUNREACH ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ETIMEDOUT ECONNREFUSED
    EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS
"""


def main() -> None:
    """Print one line for each error number, in their order."""
    for number, name in sorted((getattr(errno, name), name) for name in NAMES.split()):
        kind = type(OSError(number, "")).__name__  # PEP 3151
        print(f"{name:<15}  {number:>3}  {kind:<22}  {os.strerror(number)}")


if sys.platform == "linux":
    main()
else:
    print("The numbers shown are Linux's: nothing to print here.")
