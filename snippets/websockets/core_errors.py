"""Use the core wrongly, in eight ways, and read what it says.

Needs: rfc6455.py
"""

from collections.abc import Callable

from rfc6455 import ClientConnection, Request, ServerConnection


def open_pair() -> tuple[ClientConnection, ServerConnection]:
    """Return two ends whose handshake is done."""
    client, server = ClientConnection("127.0.0.1"), ServerConnection()
    server.feed(client.data_to_send())
    for event in server.events():
        if isinstance(event, Request):
            server.accept()
    client.feed(server.data_to_send())
    list(client.events())
    return client, server


def send_twice(client: ClientConnection) -> None:
    """Send text and bytes as fragments of one message."""
    client.send("text", fin=False)
    client.send(b"bytes")


def send_after_close(client: ClientConnection) -> None:
    """Send once more."""
    client.close()
    client.send("one more thing")


WRONG: dict[str, Callable[[ClientConnection], object]] = {
    "send() too early": lambda _: ClientConnection("a").send("x"),
    "send() after close()": send_after_close,
    "a ping of 126 bytes": lambda client: client.ping(b"x" * 126),
    "text, then bytes": send_twice,
    "close(1006)": lambda client: client.close(1006),
    "a long reason": lambda client: client.close(1000, "x" * 124),
    "accept() without request": lambda _: ServerConnection().accept(),
    "a newline in a header": lambda _: ClientConnection(
        "a", headers={"X": "a\r\nY: b"}
    ),
}

for what, do in WRONG.items():
    client, server = open_pair()
    try:
        do(client)
    except (RuntimeError, ValueError) as error:
        print(f"{what:24}  {type(error).__name__:12}  {error}")
