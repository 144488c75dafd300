"""Wrong on purpose: a client forgets close(), and the server waits for the end."""

import socket
import warnings


def report(address: tuple[str, int]) -> socket.socket:
    """Send a report, and leave the closing to somebody else."""
    sock = socket.create_connection(address, timeout=5)
    sock.sendall(b"report")
    return sock


with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.settimeout(5)
    results = [report(listener.getsockname())]
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(0.2)  # seconds; a real server would wait far longer
        print("server: recv() ->", connection.recv(1024))
        try:
            connection.recv(1024)
        except TimeoutError as error:
            print("server: recv() ->", error)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")  # ResourceWarning is hidden by default
            results.clear()  # nothing refers to the client's socket any more
        print(*(f"{each.category.__name__}: {each.message}" for each in caught))
        print("server: recv() ->", connection.recv(1024))
