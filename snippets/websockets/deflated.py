"""Send the same ticks with compression and without, over TCP, and count the bytes.

Needs: rfc6455.py, permessage_deflate.py
"""

import socket

from permessage_deflate import PermessageDeflate
from rfc6455 import ClientConnection, Request, ServerConnection, Text

TICKS = [f'{{"symbol": "ABC", "price": {100 + n / 8}}}' for n in range(3)]


def send_ticks(
    dialled: socket.socket, accepted: socket.socket, *, packed: bool
) -> None:
    """Shake hands, and send the ticks from the server."""
    client = ClientConnection(
        "127.0.0.1", extension=PermessageDeflate() if packed else None
    )
    server = ServerConnection(extension=PermessageDeflate())
    dialled.sendall(client.data_to_send())
    server.feed(accepted.recv(4096))
    for event in server.events():
        if isinstance(event, Request):
            offer = event.headers.get("sec-websocket-extensions")
            print("offered:", offer)
            server.accept()
    answer = server.data_to_send()
    accepted.sendall(answer)
    chosen = [line for line in answer.split(b"\r\n") if b"Extensions" in line]
    print("chosen: ", b"".join(chosen).decode().partition(": ")[2] or None)
    client.feed(dialled.recv(4096))
    list(client.events())
    for tick in TICKS:
        server.send(tick)
        frame = server.data_to_send()
        accepted.sendall(frame)
        client.feed(dialled.recv(4096))
        assert list(client.events()) == [Text(tick)]
        print(f"  {len(tick)} characters in a frame of {len(frame)} bytes")


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    for packed in (False, True):
        dialled = socket.create_connection(listener.getsockname(), timeout=5)
        accepted, _ = listener.accept()
        with dialled, accepted:
            accepted.settimeout(5)
            send_ticks(dialled, accepted, packed=packed)
