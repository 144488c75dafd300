"""Mask a payload twice with different keys, and take the mask off again.

Needs: rfc6455.py
"""

import secrets

from rfc6455 import Header, Opcode, apply_mask, parse_header

RFC_KEY = bytes.fromhex("37fa213d")  # the example of section 5.7


def by_loop(data: bytes, key: bytes) -> bytes:
    """Do what section 5.3 says, byte by byte."""
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(data))


def by_integer(data: bytes, key: bytes) -> bytes:
    """Do it with one XOR of two long numbers."""
    keys = (key * (len(data) // 4 + 1))[: len(data)]
    number = int.from_bytes(data, "big") ^ int.from_bytes(keys, "big")
    return number.to_bytes(len(data), "big")


for key in (RFC_KEY, bytes.fromhex("a0b1c2d3")):
    payload = apply_mask(b"Hello", key)
    wire = Header(Opcode.TEXT, len(payload), key=key).encode() + payload
    print("on the wire:", wire.hex(" "))
    # Whoever reads the wire has the key: it is in the frame.
    parsed = parse_header(wire, 0)
    if parsed is not None and parsed[0].key is not None:
        print("read by anybody:", apply_mask(wire[parsed[1] :], parsed[0].key))

data, key = secrets.token_bytes(10_001), secrets.token_bytes(4)
ways = {by_loop(data, key), by_integer(data, key), apply_mask(data, key)}
print("loop, integer and table give", len(ways), "result")
