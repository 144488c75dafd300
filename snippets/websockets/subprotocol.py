"""Agree on a subprotocol, or on none, and refuse one that was not offered.

Needs: rfc6455.py
"""

from rfc6455 import ClientConnection, Request, ServerConnection


def agree(offered: list[str], spoken: list[str]) -> str:
    """Let a client and a server shake hands; return what the client believes."""
    client = ClientConnection("127.0.0.1", subprotocols=offered)
    server = ServerConnection()
    server.feed(client.data_to_send())
    for request in server.events():
        if isinstance(request, Request):
            common = [name for name in request.subprotocols if name in spoken]
            server.accept(common[0] if common else None)
    client.feed(server.data_to_send())
    return str(next(client.events()))


print(agree(["v2.chat", "v1.chat"], ["v1.chat", "v2.chat"]))
print(agree(["v2.chat", "v1.chat"], ["v1.chat"]))
print(agree(["v2.chat"], ["stomp"]))

client = ClientConnection("127.0.0.1", subprotocols=["v2.chat"])
server = ServerConnection()
server.feed(client.data_to_send())
next(server.events())
try:
    server.accept("stomp")
except ValueError as error:
    print("server:", error)
server.accept()
answer = server.data_to_send()
client.feed(answer.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: stomp\r\n\r\n"))
print("client:", next(client.events()))
