"""Sockets for the tests of every part; each is closed at the end of its test."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 5.0


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """Close at the end whatever a test enters here."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def listener(sockets: ExitStack) -> socket.socket:
    """Listen on a free port of 127.0.0.1; accept() waits 5 seconds at most."""
    listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
    listening.settimeout(SECONDS)
    return listening


@pytest.fixture
def dial(
    sockets: ExitStack, listener: socket.socket
) -> Callable[[], tuple[socket.socket, socket.socket]]:
    """Make one more connection: returns the client's end and the server's."""

    def connect() -> tuple[socket.socket, socket.socket]:
        address = listener.getsockname()
        client = sockets.enter_context(socket.create_connection(address, SECONDS))
        connection, peer = listener.accept()
        sockets.enter_context(connection)
        assert peer == client.getsockname()
        connection.settimeout(SECONDS)
        return client, connection

    return connect


@pytest.fixture
def ends(
    dial: Callable[[], tuple[socket.socket, socket.socket]],
) -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a connection, the client's first."""
    return dial()
