"""Try each close code: may it be sent, and what if it comes?

Needs: rfc6455.py
"""

from rfc6455 import Closed, Connection, ServerConnection, State, apply_mask

KEY = b"\x01\x02\x03\x04"
CODES = [*range(1000, 1016), 1016, 2999, 3000, 4000, 4999, 5000]


def open_server() -> Connection:
    """Return a server's end on which a handshake has been done."""
    server = ServerConnection()
    server.state = State.OPEN  # this program is about the other end of its life
    return server


for code in CODES:
    server = open_server()
    try:
        server.close(code)
        sends = "may be sent"
    except ValueError:
        sends = "refuses to send"
    server = open_server()
    server.feed(b"\x88\x82" + KEY + apply_mask(code.to_bytes(2, "big"), KEY))
    (closed,) = server.events()
    assert isinstance(closed, Closed)
    taken = (
        "answered with the same"
        if closed.sent == code
        else f"closed with {closed.sent}"
    )
    print(f"{code}  {sends:15}  {taken}")
