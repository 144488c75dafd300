"""What programs and tests need of a machine: is it here, and what brings it?

A need is a word: a system, a command, a file, `pip install a-package`, a setting of
the network, or a right of the user. Each that can be missing has a remedy, the one
line to type, so that a skip can always say what would run it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SYSTEMS = ("Linux", "macOS", "Windows")
PACKAGE = "pip install "
AS_ROOT = "sudo make test, on a machine or in a container of your own"
# What brings a command to Debian and Ubuntu, where it is not named like its package.
DEBIAN = {
    "chromium": "chromium libatomic1",
    "nc": "netcat-openbsd",
    "nginx": "nginx-light",
    "node": "nodejs node-ws",
    "ss": "iproute2",
    "names of services": "netbase",
}
_SETTINGS = Path("/proc/sys/net/ipv4")  # ip(7), tcp(7)
_REASON = re.compile(r"\bneeds (?P<needs>[^;]+); to run it: ")


@dataclass(frozen=True)
class Condition:
    """Something that no package brings: how to see it, and how to get it."""

    present: Callable[[], bool]
    remedy: str


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def _set_to(name: str, *values: int) -> Callable[[], bool]:
    """Say whether a setting of IPv4 has one of these values; no setting is 0."""

    def look() -> bool:
        path = _SETTINGS / name
        return (int(path.read_text()) if path.exists() else 0) in values

    return look


def _may_filter() -> bool:
    """Try a filter on a TCP socket: Linux 6.18 wants CAP_NET_ADMIN for it."""
    if sys.platform != "linux":
        return False
    accept = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0xFFFF))
    program = struct.pack("HP", 1, ctypes.addressof(accept))  # a struct sock_fprog
    with socket.socket() as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
        except OSError:
            return False
    return True


def _may_make_networks() -> bool:
    """Try to make a network namespace (unshare(1)), as root or by a user namespace."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    own = "-n" if os.geteuid() == 0 else "-rn"
    tried = subprocess.run(
        ["unshare", own, "true"], capture_output=True, timeout=60, check=False
    )
    return tried.returncode == 0


# What a machine's network has or has not: no package brings it, not even for CI.
OF_THE_NETWORK = {
    "IPv6": Condition(_has_ipv6, "sysctl -w net.ipv6.conf.all.disable_ipv6=0"),
    "privileged ports": Condition(
        _set_to("ip_unprivileged_port_start", 1024),
        "sysctl -w net.ipv4.ip_unprivileged_port_start=1024",
    ),
    "SYN cookies": Condition(
        _set_to("tcp_syncookies", 1, 2), "sysctl -w net.ipv4.tcp_syncookies=1"
    ),
    "queues that end with their listener": Condition(
        _set_to("tcp_migrate_req", 0), "sysctl -w net.ipv4.tcp_migrate_req=0"
    ),
    "addresses bound only where they are": Condition(
        _set_to("ip_nonlocal_bind", 0), "sysctl -w net.ipv4.ip_nonlocal_bind=0"
    ),
}
# What a user may or may not do.
RIGHTS = {
    "root": Condition(lambda: hasattr(os, "geteuid") and os.geteuid() == 0, AS_ROOT),
    "socket filters": Condition(_may_filter, AS_ROOT),
    "network namespaces": Condition(
        _may_make_networks,
        f"{AS_ROOT}, or let plain users make user namespaces (user_namespaces(7))",
    ),
}
CONDITIONS = OF_THE_NETWORK | RIGHTS


def is_file(need: str) -> bool:
    """Say whether a need is a file that lies beside the program."""
    return " " not in need and Path(need).suffix in {".py", *FILES}


# What is shown as it is, and may be a program's companion: its colours on a page.
FILES = {".html": "html", ".js": "javascript", ".mjs": "javascript", ".conf": "nginx"}


@functools.cache
def drives_browsers() -> bool:
    """Say whether Playwright's driver starts: pip does not install what it needs."""
    driver = [sys.executable, "-m", "playwright", "--version"]
    return subprocess.run(driver, capture_output=True, check=False).returncode == 0


def command(name: str) -> str | None:
    """Find a command, also where Debian keeps those of the administrator."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}/usr/sbin"
    return shutil.which(name, path=path)


def present(need: str, folder: Path | None = None) -> bool:
    """Say whether a need is met here; `folder` is where files would lie."""
    if need in SYSTEMS:
        here = {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}
        return here.get(sys.platform) == need
    if need in CONDITIONS:
        return CONDITIONS[need].present()
    if is_file(need):
        return folder is not None and (folder / need).exists()
    if need.startswith(PACKAGE):
        return _installed(need.removeprefix(PACKAGE))
    return command(need) is not None


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def remedy(need: str) -> str:
    """Give the line to type that brings what is missing."""
    if need in SYSTEMS:
        return f"run it on {need}"
    if need in CONDITIONS:
        return CONDITIONS[need].remedy
    if is_file(need):
        return f"put {need} beside the program"
    if need.startswith(PACKAGE):
        return f"make .venv/.ready, or {need}"
    return f"apt install {DEBIAN.get(need, need)} (Debian, Ubuntu)"


def reason(*needs: str) -> str:
    """Say what is missing and what would bring it, as the reason of a skip."""
    remedies = dict.fromkeys(map(remedy, needs))
    return f"needs {', '.join(needs)}; to run it: {' and '.join(remedies)}"


def lacking(told: str) -> list[str]:
    """Read from the reason of a skip which needs were not met; empty if none."""
    found = _REASON.search(told)
    return found["needs"].split(", ") if found else []


def excused(told: str) -> bool:
    """Say whether CI, too, may skip for this reason: nothing could be installed.

    That is so for what a network is like, and for the rights of a plain user.
    """
    excuses = {*OF_THE_NETWORK}
    if hasattr(os, "geteuid") and os.geteuid() != 0:
        excuses |= {*RIGHTS}
    return bool(lacking(told)) and excuses >= {*lacking(told)}
