"""Zip files that are the same, byte for byte, when what is in them is the same."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

from handbook.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "sockets-ports-websockets"
"""The folder that a zip unpacks to."""

OFFLINE = """\
The handbook, to read offline. Open index.html in a browser.

The search needs a server, because a browser lets no file fetch another. In this folder:

    python3 -m http.server --bind 127.0.0.1 8000

and open http://127.0.0.1:8000/
"""


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Pack files by their paths, in that order, with no time of their own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{NAME}/{name}")  # its time is that of 1980
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return packed.getvalue()


def pack_site(site: Path, target: Path) -> int:
    """Pack a built site for reading offline; return the size in bytes.

    Raises:
        Problem: the folder holds no built site.
    """
    if not (site / "index.html").exists():
        raise Problem(str(site), "no built site is here", "make html")
    left_out = {"_sources", ".doctrees"}
    files = {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file()
        and path.relative_to(site).parts[0] not in left_out
        and not path.name.startswith((".", "_rediraffe"))
    }
    data = zipped(files | {"README.txt": OFFLINE.encode()})
    target.write_bytes(data)
    return len(data)
