"""Cut a character of text in two, and send bytes that are no text at all.

Needs: rfc6455.py
"""

from rfc6455 import Message, Opcode, ProtocolError

KOREAN = "한국".encode()


def receive(*fragments: bytes) -> str:
    """Put a message together from fragments; say what becomes of it."""
    message = Message(Opcode.TEXT, limit=1000, extension=None)
    for number, fragment in enumerate(fragments, 1):
        try:
            message.add(fragment, fin=number == len(fragments))
        except ProtocolError as error:
            return f"fragment {number}: close with {error.code}, {error}"
    return str(message.event())


print("cut between characters:", receive(KOREAN[:3], KOREAN[3:]))
print("cut within a character:", receive(KOREAN[:1], KOREAN[1:4], KOREAN[4:]))
print("the end is missing:    ", receive(KOREAN[:4]))
print("Latin-1, not UTF-8:    ", receive("café".encode("latin-1"), b" au lait"))
print("beyond U+10FFFF:       ", receive(b"ok \xf4\x90", b"never looked at"))
