"""The last gate before a table: is this key one full, canonical address?

Postfix truncates the client's address itself when it looks it up (a row `10` opens 10.0.0.0/8, access(5)), so a key
that is anything but one whole address could open a network. Imports nothing of the package.
"""

from __future__ import annotations

import socket

_MAPPED = bytes(10) + b"\xff\xff"


def is_canonical(text: str) -> bool:
    """Whether `text` is one IPv4 or IPv6 address spelled as the C library's inet_ntop spells it.

    Postfix looks clients up by that text, so another spelling would never match. IPv4-mapped IPv6 (`::ffff:192.0.2.1`)
    is refused: Postfix asks for `192.0.2.1`.
    """
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        packed = socket.inet_pton(family, text)
    except (OSError, ValueError):  # ValueError: a NUL or a character that no address holds
        return False
    return not packed.startswith(_MAPPED) and socket.inet_ntop(family, packed) == text
