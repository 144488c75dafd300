"""A WebSocket inside HTTP/2 (RFC 8441): one stream of many, on one connection.

Both ends are here, without a socket: what one gives, the other reads.

Needs: pip install h2
"""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    RemoteSettingsChanged,
    RequestReceived,
    ResponseReceived,
)
from h2.settings import SettingCodes

HELLO = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455 section 5.7: a masked text


def read(name: str, end: H2Connection, data: bytes) -> None:
    """Print what one end reads."""
    for event in end.receive_data(data):
        if isinstance(event, RemoteSettingsChanged):
            setting = event.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
            if setting and setting.new_value:
                print(f"{name} reads ENABLE_CONNECT_PROTOCOL = {setting.new_value}")
        elif isinstance(event, RequestReceived | ResponseReceived):
            print(f"{name} reads, on stream {event.stream_id}:")
            for field, value in event.headers or []:
                print(f"    {field.decode()}: {value.decode()}")
        elif isinstance(event, DataReceived):
            print(f"{name} reads, on stream {event.stream_id}: {event.data!r}")


def main() -> None:
    """Ask for a page and a WebSocket, on one connection."""
    client = H2Connection(H2Configuration(client_side=True))
    server = H2Connection(H2Configuration(client_side=False))
    client.initiate_connection()
    server.initiate_connection()
    server.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    read("server", server, client.data_to_send())
    read("client", client, server.data_to_send())

    where = [(":scheme", "https"), (":authority", "localhost")]
    client.send_headers(
        1, [(":method", "GET"), (":path", "/"), *where], end_stream=True
    )
    asks = [(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/chat")]
    client.send_headers(3, [*asks, *where, ("sec-websocket-version", "13")])
    read("server", server, client.data_to_send())

    server.send_headers(3, [(":status", "200")])
    read("client", client, server.data_to_send())
    client.send_data(3, HELLO)
    read("server", server, client.data_to_send())
    server.send_data(3, b"\x81\x02hi")
    read("client", client, server.data_to_send())


main()
