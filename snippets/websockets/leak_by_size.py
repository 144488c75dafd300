"""Find out a secret by the size of compressed frames, character by character.

Needs: rfc6455.py, permessage_deflate.py
"""

from permessage_deflate import PermessageDeflate

SECRET = "token=7391"  # noqa: S105 - the page's, which the attacker wants


def size(guess: str, *, apart: bool) -> int:
    """Return the bytes of a message with the secret and what the attacker adds."""
    packing = PermessageDeflate()
    packing.answer(packing.offer())
    if apart:  # two messages, each compressed alone
        packing = PermessageDeflate(takeover=False)
        packing.answer(packing.offer())
        return sum(
            len(packing.encode(part.encode(), fin=True)) for part in (SECRET, guess)
        )
    return len(packing.encode(f"{SECRET}&comment={guess}".encode(), fin=True))


for apart in (False, True):
    found = "token="
    for _ in range(4):
        sizes = {
            digit: size(found + digit + "~", apart=apart) for digit in "0123456789"
        }
        best = min(sizes.values())
        digits = [digit for digit, bytes_ in sizes.items() if bytes_ == best]
        if len(digits) > 1:
            print(f"  after {found}: {len(digits)} digits give the same size")
            break
        found += digits[0]
    print("apart:   " if apart else "together:", found)
