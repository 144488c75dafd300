"""Close a WebSocket in order, and print both layers: Close frames, then FINs.

Needs: Linux, rfc6455.py
"""

import socket

from rfc6455 import ClientConnection, Connection, Request, ServerConnection

# The states of TCP by their numbers: include/net/tcp_states.h
STATES = {
    1: "ESTABLISHED",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    7: "CLOSE",
    8: "CLOSE-WAIT",
}


def tcp_state(sock: socket.socket) -> str:
    """Ask the kernel for the state of a connection (tcp(7), TCP_INFO)."""
    return STATES[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]


def hear(name: str, sock: socket.socket, connection: Connection) -> None:
    """Receive, print what it means to both layers, and send the answers."""
    data = sock.recv(4096)
    if not data:
        print(f"{name}: recv() gave b'', TCP is in {tcp_state(sock)}")
        return
    connection.feed(data)
    for event in connection.events():
        if isinstance(event, Request) and isinstance(connection, ServerConnection):
            connection.accept()
        else:
            print(f"{name}: {event}, TCP is in {tcp_state(sock)}")
    if answers := connection.data_to_send():
        sock.sendall(answers)


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    dialled = socket.create_connection(listener.getsockname(), timeout=5)
    accepted, _ = listener.accept()
    with dialled, accepted:
        accepted.settimeout(5)
        client, server = ClientConnection("127.0.0.1"), ServerConnection()
        dialled.sendall(client.data_to_send())
        hear("server", accepted, server)
        hear("client", dialled, client)

        client.send("on its way")
        client.close(1000, "done")
        dialled.sendall(client.data_to_send())
        hear("server", accepted, server)
        hear("client", dialled, client)
        # Both Close frames have gone. The server closes TCP first.
        accepted.shutdown(socket.SHUT_WR)
        hear("client", dialled, client)
        dialled.shutdown(socket.SHUT_WR)
        hear("server", accepted, server)
