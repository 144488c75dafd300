"""Waiting until bytes are there, without sleeping."""

from __future__ import annotations

import select
import socket

from patience import PATIENCE


def let_arrive(sock: socket.socket, size: int) -> None:
    """Wait until size bytes can be read at once (socket(7), SO_RCVLOWAT).

    MSG_WAITALL would not do: with a time-out Python's sockets do not block, and
    recv() then returns what is there.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
    assert select.select([sock], [], [], PATIENCE)[0], "they have not come"
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
