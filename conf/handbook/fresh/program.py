"""The client has closed, and the server still reads what it sent."""

import socket

TIMEOUT = 5.0


def main() -> None:
    """Send and close, then accept and read, then dial where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        address = listener.getsockname()
        print(f"server: listens on 127.0.0.1 port {address[1]}")

        with socket.create_connection(address, TIMEOUT) as client:
            client.sendall(b"last words")
        print("client: sent, and closed")

        connection, _ = listener.accept()
        with connection:
            connection.settimeout(TIMEOUT)
            print("server: recv() ->", connection.recv(1024))
            print("server: recv() ->", connection.recv(1024))

    print("server: listens no more")
    try:
        with socket.create_connection(address, TIMEOUT):
            pass
    except ConnectionRefusedError as error:
        print("client: connect() ->", error)


if __name__ == "__main__":
    main()
