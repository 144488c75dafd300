"""Client and server are roles in one connection, not kinds of program or socket.

The shop waits for the customer and so is the server of the first connection. To
call back it dials the customer, and is the client of the second.
"""

import socket

with (
    socket.create_server(("127.0.0.1", 0)) as shop_door,
    socket.create_server(("127.0.0.1", 0)) as customer_door,
):
    shop_door.settimeout(5)
    customer_door.settimeout(5)
    shop_address = shop_door.getsockname()
    customer_address = customer_door.getsockname()
    print("shop listens on    ", shop_address)
    print("customer listens on", customer_address)

    with socket.create_connection(shop_address, timeout=5) as customer_dials:
        shop_takes, _ = shop_door.accept()
        with shop_takes:
            shop_takes.settimeout(5)
            customer_dials.sendall(b"call me when it is ready")
            print("shop, as server:    ", shop_takes.recv(1024))

    with socket.create_connection(customer_address, timeout=5) as shop_dials:
        customer_takes, _ = customer_door.accept()
        with customer_takes:
            customer_takes.settimeout(5)
            shop_dials.sendall(b"it is ready")
            print("customer, as server:", customer_takes.recv(1024))
