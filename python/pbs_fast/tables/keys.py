"""The last check before a table: is this key one complete, canonical address?

Postfix truncates the client's address itself when it looks it up (a row `10` opens 10.0.0.0/8, access(5)), so a key
that is anything but one whole address could open a network. Also the spellings of IPv6 addresses in other MTAs; IPv4
is spelled alike by all.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from itertools import repeat

from pbs_fast.util.addresses import parse_canonical


def is_canonical(text: str) -> bool:
    """Whether `text` is one IPv4 or IPv6 address spelled as the C library's inet_ntop spells it.

    Postfix looks clients up by that text, so another spelling would never match. IPv4-mapped IPv6 (`::ffff:192.0.2.1`)
    is refused: Postfix asks for `192.0.2.1`.
    """
    return parse_canonical(text) is not None


def strange(keys: Iterable[str]) -> list[str]:
    """Those that are not canonical (`is_canonical`): a few C functions for all of them."""
    keys = list(keys)
    fours = [key for key in keys if ":" not in key]
    sixes = [key for key in keys if ":" in key] if len(fours) < len(keys) else []
    try:
        for _ in map(socket.inet_pton, repeat(socket.AF_INET), fours):
            pass  # an IPv4 text that it takes is canonical (`parse_canonical`)
    except (OSError, ValueError):
        sixes = keys
    return [key for key in sixes if not is_canonical(key)]


def exim(ip: str) -> str:
    """A canonical address as Exim's net-cdb, net-dbmnz and net-lsearch look it up (exim 4.96: host_nmtoa).

    Dots instead of colons, because a colon ends the key of an lsearch file.
    """
    return socket.inet_pton(socket.AF_INET6, ip).hex(".", 2) if ":" in ip else ip


def iplsearch(ip: str) -> str:
    """A canonical address as a line of an iplsearch file: in full, in quotes because of the colons."""
    return f'"{socket.inet_pton(socket.AF_INET6, ip).hex(":", 2)}"' if ":" in ip else ip


def courier(ip: str) -> str:
    """A canonical address as Courier's smtpaccess has it (courier 1.0.16): in full, after a colon."""
    return f":{socket.inet_pton(socket.AF_INET6, ip).hex(':', 2)}" if ":" in ip else ip


def sendmail(ip: str) -> str:
    """A canonical address as Sendmail's `${client_addr}`, which maps fold to lower case: eight groups, no `::`.

    The spelling of builds with IPV6_FULL, the default since 8.15; see `sendmail_short`.
    """
    if ":" not in ip:
        return ip
    packed = socket.inet_pton(socket.AF_INET6, ip)
    return "ipv6:" + ":".join(f"{packed[at] << 8 | packed[at + 1]:x}" for at in range(0, 16, 2))


def sendmail_short(ip: str) -> str:
    """The same with the option UseCompressedIPv6Addresses, or from a build without IPV6_FULL."""
    return f"ipv6:{ip}" if ":" in ip else ip


def sendmail_address(key: str) -> str | None:
    """The canonical address of a key of Sendmail's in either spelling; None for any other key."""
    return _spelled(key, key.removeprefix("ipv6:"), sendmail, sendmail_short)


def courier_address(key: str) -> str | None:
    """The canonical address of a key of Courier's; None for any other key."""
    return _spelled(key, key.removeprefix(":"), courier)


def _spelled(key: str, bare: str, *spells: Callable[[str], str]) -> str | None:
    """The canonical form of `bare`, if one of `spells` gives `key` for it."""
    try:
        ip = socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, bare)) if ":" in bare else bare
    except (OSError, ValueError):
        return None
    return ip if is_canonical(ip) and any(spell(ip) == key for spell in spells) else None


#: The values of the table option `keys`.
SPELLINGS: dict[str, Callable[[str], str]] = {"exim": exim, "iplsearch": iplsearch}


def address_of(key: str) -> str | None:
    """The canonical address of a row's key in any of our spellings; None for a key that is not ours.

    Any, because the option may have changed since the row was written.
    """
    if is_canonical(key):
        return key
    bare = key.strip('"').replace(".", ":")
    return _spelled(key, bare, *SPELLINGS.values()) if bare.count(":") == 7 else None
