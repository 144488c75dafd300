"""The forms of a claim's source: what a reader can look up, and the place in it."""

from __future__ import annotations

import re

_AT = r"(?:,? \S.*)?"  # the place in it: a section, a heading, an option, a function
_PLACE = r",? \S.*"
_NUMBERS = r"[A-Z0-9]+(?:\.\d+)*(?: \([a-z0-9]+\))?"
_SECTIONS = rf"(?:section|appendix) {_NUMBERS}|sections {_NUMBERS}(?:, {_NUMBERS})*"
# An RFC without numbered sections is cited by its headings.
_HEADED = {"768": r"(?:Introduction|Fields|User Interface|Pseudo Header)"}

FORMS = {
    "RFC 9293 section 3.5": rf"RFC \d+(?:bis \(draft\))? (?:{_SECTIONS})"
    rf"(?: and {_NUMBERS})?(?:[,:]? .+)?",
    "RFC 768 Fields (it has no sections)": "|".join(
        rf"RFC {number} {headings}" for number, headings in _HEADED.items()
    ),
    "listen(2), or socket(7) NOTES": rf"[a-z_][a-z0-9_-]*\([1-8]\){_AT}",
    "FreeBSD lo(4)": rf"(?:FreeBSD|macOS|OpenBSD|NetBSD) [a-z_]+\([1-9]\){_AT}",
    "POSIX listen()": rf"POSIX [a-z_]+\(\){_AT}",
    "Linux net/ipv4/tcp.c, tcp_recvmsg": r"Linux,? (?:[\w-]+/)+[\w.-]+\.[chS]"
    rf"{_AT}",
    "Linux ip-sysctl.rst, tcp_retries2": rf"Linux [\w-]+\.rst{_AT}",
    "Python docs: socket.listen": r"Python docs: \S.*",
    "CPython Lib/socketserver.py, a_function": r"CPython (?:Lib|Modules|Python|Objects"
    rf"|Include)/[\w/.]+\.(?:py|c|h){_AT}",
    "PEP 446": rf"PEP \d+{_AT}",
    "WHATWG HTML section 9.2, or WHATWG WebSockets, close()": r"WHATWG \w+"
    r"(?: section [\d.]+(?:,? .+)?|, \S.*)",
    "W3C Mixed Content section 4": r"W3C [A-Z]\w+(?: \w+)*"
    r"(?: section [\d.]+.*|, \S.*)",
    "IANA Service Names registry, Note": rf"IANA [A-Z][\w -]+{_PLACE}",
    "docs of a product: its page (nginx docs: proxy_read_timeout)": (
        r"(?:nginx|Redis|MDN|Node\.js|websockets|Socket\.IO|Engine\.IO|SockJS|zlib)"
        r" docs: \S.*"
    ),
    "source of a product, with its version (websockets 17.4 asyncio/client.py)": (
        r"[a-z][\w.-]* \d+(?:\.\d+)+ [\w./-]+\.\w+(?:[,:] \S.*)?"
    ),
    "STOMP 1.2, STOMP Frames": r"STOMP \d\.\d, \S.*",
    "zlib.h, deflateInit2": r"\w+\.h, \w+",
}
"""An example of each form, and its pattern."""

_ALL = re.compile("|".join(f"(?:{pattern})" for pattern in FORMS.values()))


def names_something(source: str) -> bool:
    """Say whether a source has one of the forms."""
    return _ALL.fullmatch(source) is not None
