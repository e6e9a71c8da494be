"""Special networks: those from which no client logs in, and those whose addresses a whole site may share.

Documentation networks (RFC 5737, RFC 3849), private ones and carrier-grade NAT may be granted.
"""

from __future__ import annotations

from pbs_fast.util.addresses import Network, parse_network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(parse_network, texts))


#: Guard -> its networks. The first guard that holds an address names the refusal.
SPECIAL: dict[str, tuple[Network, ...]] = {
    "unspecified": _networks("0.0.0.0/8", "::"),  # RFC 1122 3.2.1.3 ("this network"), RFC 4291 2.5.2
    "loopback": _networks("127.0.0.0/8", "::1"),  # RFC 1122 3.2.1.3, RFC 4291 2.5.3
    "link_local": _networks("169.254.0.0/16", "fe80::/10"),  # RFC 3927, RFC 4291 2.5.6
    "multicast": _networks("224.0.0.0/4", "ff00::/8", "255.255.255.255"),  # RFC 5771, RFC 4291 2.7, RFC 919
    "ipv4_compatible": _networks("::/96"),  # RFC 4291 2.5.5.1: deprecated, and a key that MTAs spell in two ways
}

#: Behind one such address there may be a whole site (RFC 1918, RFC 6598, RFC 4193).
PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
