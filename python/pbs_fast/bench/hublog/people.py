"""Who logs in: users, and the addresses they come from.

Addresses are text in canonical form (that of `inet_ntop`). An address stays with its user; old ones come back, recent
ones more often, so that a log holds renewals as well as new grants.
"""

from __future__ import annotations

import socket
from random import Random

_FIRST = (
    *("anna", "ben", "carla", "david", "elif", "frank", "greta", "hanna", "ines", "jonas", "karla", "lena", "mia"),
    *("nils", "otto", "petra", "quirin", "rosa", "sven", "tim", "uwe", "vera", "willi", "xenia", "yusuf", "zoe"),
)
_LAST = (
    *("abel", "berg", "cohn", "dietz", "ernst", "fuchs", "graf", "huber", "ihle", "jung"),
    *("kern", "lang", "moser", "nagel", "ott", "pohl", "rau", "seidl", "thoma", "voss"),
)
DOMAINS = (
    *("example.com", "example.org", "example.net", "mail.example.com", "corp.example.org", "shop.example.net"),
    *("uni.example.edu", "praxis-mueller.example", "kanzlei.example", "verein.example"),
)

#: Documentation networks (RFC 5737): the first two bytes and the third.
_DOCUMENTATION = ("192.0.2", "198.51.100", "203.0.113")
#: First bytes of ranges that look like those of access providers.
_PUBLIC = (
    *(2, 5, 24, 31, 37, 46, 62, 70, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95),
    *(109, 121, 134, 151, 176, 178, 185, 188, 193, 195, 212, 213, 217),
)


class Person:
    """A user at one address."""

    __slots__ = ("ip", "user")

    def __init__(self, ip: str, user: str) -> None:
        self.ip = ip
        self.user = user


class People:
    """Draws who comes next. `ipv6` and `new` are shares of all draws: over IPv6, from an address not seen before."""

    def __init__(self, rng: Random, *, ipv6: float, new: float) -> None:
        self._rng = rng
        self._ipv6 = ipv6
        self._new = new
        self._v4: list[Person] = []
        self._v6: list[Person] = []

    def next(self) -> Person:
        """The next one to log in."""
        random = self._rng.random
        v6 = random() < self._ipv6
        known = self._v6 if v6 else self._v4
        if not known or random() < self._new:
            person = Person(self.address_v6() if v6 else self.address_v4(), self.user())
            known.append(person)
            return person
        # The square draws the youngest tenth of the list in 32 % of all cases.
        return known[-1 - int(len(known) * random() ** 2)]

    def user(self) -> str:
        """A user name as servers accept them: with a domain, or (one in eight) without."""
        bits = self._rng.getrandbits(40)
        name = f"{_FIRST[bits % 26]}.{_LAST[bits // 26 % 20]}{bits // 520 % 97}"
        return name if bits % 8 == 7 else f"{name}@{DOMAINS[bits // 50440 % 10]}"

    def address_v4(self) -> str:
        """An IPv4 address: a few of documentation networks, some CGNAT (100.64.0.0/10), mostly public-looking."""
        bits = self._rng.getrandbits(40)
        a, b, c = bits & 255, bits >> 8 & 255, bits >> 16 & 255
        kind = bits >> 24
        if kind % 50 == 0:
            # 192.0.2.1 to .63 are the servers' own: a login from its own server is no client's.
            return f"{_DOCUMENTATION[b % 3]}.{a | 64}"
        if kind % 50 < 8:
            return f"100.{64 + c % 64}.{b}.{a}"
        return f"{_PUBLIC[(kind >> 6) % len(_PUBLIC)]}.{c}.{b}.{a}"

    def address_v6(self) -> str:
        """An IPv6 address: half of them documentation (2001:db8::/32), with interface ids as privacy extensions make
        them, or short ones as administrators do."""
        rng = self._rng
        kind = rng.getrandbits(3)
        prefix = 0x20010DB8 if kind & 1 else 0x2A000000 | rng.getrandbits(4) << 16 | rng.getrandbits(8)
        site = rng.getrandbits(32)
        host = rng.getrandbits(8) + 1 if kind >= 6 else rng.getrandbits(64)
        return socket.inet_ntop(socket.AF_INET6, (prefix << 96 | site << 64 | host).to_bytes(16, "big"))

    def stranger(self) -> str:
        """The address of somebody without an account here; never one that logs in, unless by chance."""
        return self.address_v6() if self._rng.random() < self._ipv6 else self.address_v4()
