"""Print the header of a frame for six lengths, from a server and from a client.

Needs: rfc6455.py
"""

from rfc6455 import Header, Opcode, parse_header

KEY = bytes.fromhex("37fa213d")

for length in (0, 125, 126, 65_535, 65_536, 2**32):
    server = Header(Opcode.BINARY, length).encode()
    client = Header(Opcode.BINARY, length, key=KEY).encode()
    assert parse_header(server, 0) == (Header(Opcode.BINARY, length), len(server))
    print(f"{length:13,}  {server.hex(' '):29}  {client.hex(' ')}")
