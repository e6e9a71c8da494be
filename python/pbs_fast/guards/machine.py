"""This machine's own addresses, its broadcast addresses and its default gateways, from the kernel's lists.

The sources, all of Linux and this network namespace (in a container the default gateway is Docker's), are below
`/proc/self/net`: `fib_trie` (LOCAL and BROADCAST entries, whole local prefixes included), `if_inet6`, `route` and
`ipv6_route` (main table; of a multipath route the kernel shows only the first gateway). A service with ProcSubset=pid
has no `/proc/net`. They are read at start and on SIGHUP: 1 ms, no subprocess. If a file is missing, a notice says which
guard is affected.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pbs_fast.util.addresses import Network, parse

_LEAF = re.compile(r"\s*\|-- ([0-9.]+)\s*")
_LEAF_TYPE = re.compile(r"\s*/([0-9]+) \S+ ([A-Z]+)\s*")

#: Flag of a route that has a gateway (RTF_GATEWAY, linux/route.h).
_RTF_GATEWAY = 0x2
#: A pair of routes to one half of all addresses each does what a default route does (VPN clients set such).
_DEFAULT_PREFIXES = (0, 1)


@dataclass(frozen=True, slots=True)
class Machine:
    """What the guards `own`, `multicast` (its broadcast addresses) and `gateway` go by."""

    own: tuple[Network, ...] = ()
    broadcast: tuple[Network, ...] = ()
    gateways: tuple[Network, ...] = ()
    notices: tuple[str, ...] = ()


def read_machine(proc_net: str = "/proc/self/net") -> Machine:
    """The addresses of this machine as they are now; loopback ones are left out. Raises nothing."""
    notices: list[str] = []

    def read(name: str, parser: Callable[[Iterable[str]], Iterable[tuple[str, Network]]]) -> list[tuple[str, Network]]:
        path = Path(proc_net, name)
        try:
            with path.open(encoding="ascii", errors="replace") as file:
                return list(parser(file))
        except FileNotFoundError:
            # A kernel without IPv6 has no file for it, and no such address either.
            if name in ("if_inet6", "ipv6_route") and Path(proc_net, "route").exists():
                return []
            notices.append(
                f"{path}: no such file; guards do not know all addresses of this machine, add them to guards.proxies"
            )
        except (OSError, ValueError) as error:
            notices.append(
                f"{path}: {error}; guards do not know all addresses of this machine, add them to guards.proxies"
            )
        return []

    found = [
        *read("fib_trie", _fib_trie),
        *read("if_inet6", _if_inet6),
        *read("route", _route),
        *read("ipv6_route", _ipv6_route),
    ]

    def those(kind: str) -> tuple[Network, ...]:
        return tuple(dict.fromkeys(network for what, network in found if what == kind))

    return Machine(those("own"), those("broadcast"), those("gateway"), tuple(notices))


def _fib_trie(lines: Iterable[str]) -> Iterable[tuple[str, Network]]:
    """A leaf line `|-- ADDRESS` is followed by lines `/PREFIX SCOPE TYPE`."""
    address = None
    for line in lines:
        if leaf := _LEAF.fullmatch(line):
            address = parse(leaf[1])
        elif address and (entry := _LEAF_TYPE.fullmatch(line)):
            width, value = address
            kind = {"LOCAL": "own", "BROADCAST": "broadcast"}.get(entry[2])
            if kind and value >> 24 != 127:
                yield kind, Network(width, value, int(entry[1]))


def _if_inet6(lines: Iterable[str]) -> Iterable[tuple[str, Network]]:
    """Columns: address, interface index, prefix length, scope, flags, name; numbers in hexadecimal."""
    for line in lines:
        value = int(line.split()[0], 16)
        if value != 1:
            yield "own", Network(128, value, 128)


def _route(lines: Iterable[str]) -> Iterable[tuple[str, Network]]:
    """Columns: Iface, Destination, Gateway, Flags, …, Mask at 7; addresses as numbers in the machine's byte order."""
    for line in lines:
        columns = line.split()
        if len(columns) < 8 or columns[0] == "Iface":
            continue
        mask = swapped(columns[7])
        if mask.bit_count() in _DEFAULT_PREFIXES and int(columns[3], 16) & _RTF_GATEWAY:
            yield "gateway", Network(32, swapped(columns[2]), 32)


def swapped(number: str) -> int:
    """An address of `/proc/net/route`, where it is a number in the machine's byte order."""
    return int.from_bytes(int(number, 16).to_bytes(4, sys.byteorder), "big")


def _ipv6_route(lines: Iterable[str]) -> Iterable[tuple[str, Network]]:
    """Columns: destination, its prefix length, source, its prefix length, gateway, metric, two counts, flags, name."""
    for line in lines:
        columns = line.split()
        if int(columns[1], 16) in _DEFAULT_PREFIXES and int(columns[8], 16) & _RTF_GATEWAY:
            yield "gateway", Network(128, int(columns[4], 16), 128)
