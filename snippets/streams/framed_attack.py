"""What framed_server.py must bear: half a message, and a browser."""

import argparse
import socket

ATTACKS = (b"\x00\x00\x00\x05hel", b"GET / HTTP/1.1\r\n\r\n")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Attack a framed server.")
    parser.add_argument("--port", type=int, required=True)
    address = ("127.0.0.1", parser.parse_args().port)
    for data in ATTACKS:
        with (
            socket.create_connection(address, timeout=5) as connection,
            connection.makefile("rb") as answer,
        ):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            print("sent:", data)
            print("got: ", answer.read())
