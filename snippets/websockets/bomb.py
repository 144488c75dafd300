"""Fifty megabytes of zeros in a frame of 48 kB, and a server that does not fall for it.

Needs: rfc6455.py, permessage_deflate.py
"""

import tracemalloc

from permessage_deflate import PermessageDeflate
from rfc6455 import ClientConnection, Request, ServerConnection

client = ClientConnection(
    "127.0.0.1", extension=PermessageDeflate(), max_message=1_000_000
)
server = ServerConnection(extension=PermessageDeflate(), max_message=1_000_000)
server.feed(client.data_to_send())
for event in server.events():
    if isinstance(event, Request):
        server.accept()
client.feed(server.data_to_send())
list(client.events())

client.send(bytes(50_000_000))
bomb = client.data_to_send()
print(f"the frame: {len(bomb):,} bytes")
tracemalloc.start()
server.feed(bomb)
print("server:", *server.events())
peak = tracemalloc.get_traced_memory()[1]
print("memory for it below 4 MB:", peak < 4_000_000)
