"""The last gate before a table: is this key one full, canonical address?

Postfix truncates the client's address itself when it looks it up (a row `10` opens 10.0.0.0/8, access(5)), so a key
that is anything but one whole address could open a network. And how Exim spells addresses, which it writes out in
full; IPv4 is spelled alike by all. Imports nothing of the package.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

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


def exim(ip: str) -> str:
    """A canonical address as Exim's net-cdb, net-dbmnz and net-lsearch look it up (exim 4.96: host_nmtoa).

    Dots instead of colons, because a colon ends the key of an lsearch file.
    """
    return socket.inet_pton(socket.AF_INET6, ip).hex(".", 2) if ":" in ip else ip


def iplsearch(ip: str) -> str:
    """A canonical address as a line of an iplsearch file: in full, in quotes for the colons' sake."""
    return f'"{socket.inet_pton(socket.AF_INET6, ip).hex(":", 2)}"' if ":" in ip else ip


#: The words of the table option `keys`.
SPELLINGS: dict[str, Callable[[str], str]] = {"exim": exim, "iplsearch": iplsearch}


def address_of(key: str) -> str | None:
    """The canonical address that a row's key spells in any of our ways; None for a key that is not ours.

    Any, because the option may have changed since the row was written.
    """
    if is_canonical(key):
        return key
    bare = key.strip('"').replace(".", ":")
    if bare.count(":") != 7:
        return None
    try:
        ip = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, bare))
    except (OSError, ValueError):
        return None
    return ip if is_canonical(ip) and any(spell(ip) == key for spell in SPELLINGS.values()) else None
