"""Wrong on purpose: both sides send everything first, and would read afterwards."""

import socket
import threading

MUCH = bytes(30_000_000)
outcomes: dict[str, str] = {}


def send_then_read(sock: socket.socket) -> None:
    """Send it all, then read as much; note how that ends."""
    name = threading.current_thread().name
    try:
        sock.sendall(MUCH)
        outcomes[name] = f"sent all, read {len(sock.recv(65536))} bytes and more"
    except OSError as error:
        outcomes[name] = f"sendall() -> {error}"


def main() -> None:
    """Let a client and a server do the same to each other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        client = socket.create_connection(listener.getsockname(), timeout=5)
        server, _ = listener.accept()
    with client, server:
        both = []
        for name, sock in (("client", client), ("server", server)):
            sock.settimeout(0.5)  # seconds; without it they would hang for ever
            both.append(threading.Thread(target=send_then_read, args=[sock], name=name))
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
            print(f"{thread.name}:", outcomes[thread.name])


main()
