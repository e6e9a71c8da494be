"""Addresses and networks as integers: parsing, canonical text, and a table that finds the first matching network.

An address is `(width, value)`: width 32 or 128 bits. IPv4-mapped IPv6 is folded to IPv4 everywhere, as in the backends
(docs/MATCHING.md, 4). `ipaddress` is not used: it costs 2 µs an address, this module 0.2 µs.
"""

from __future__ import annotations

from collections.abc import Iterable
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

_MAPPED = b"\0" * 10 + b"\xff\xff"


class Network(NamedTuple):
    """All addresses of `width` bits whose first `prefix` bits are those of `value`; the other bits of `value` are 0."""

    width: int
    value: int
    prefix: int

    def __str__(self) -> str:
        family = AF_INET if self.width == 32 else AF_INET6
        text = inet_ntop(family, self.value.to_bytes(self.width // 8, "big"))
        return text if self.prefix == self.width else f"{text}/{self.prefix}"

    def holds(self, width: int, value: int) -> bool:
        """Whether the address is in it."""
        return width == self.width and value >> (width - self.prefix) == self.value >> (width - self.prefix)


def parse(text: str) -> tuple[int, int] | None:
    """Width and value of an address in a strict text form (RFC 4291 2.2, four decimal numbers); None for all else."""
    try:
        if ":" not in text:
            return 32, int.from_bytes(inet_pton(AF_INET, text), "big")
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):  # ValueError: NUL or a lone surrogate in the text
        return None
    if packed.startswith(_MAPPED):
        return 32, int.from_bytes(packed[12:], "big")
    return 128, int.from_bytes(packed, "big")


def parse_canonical(text: str) -> tuple[int, int] | None:
    """As `parse`, but None also for an address that is not written in its canonical form."""
    try:
        if ":" not in text:
            # inet_pton takes no leading zeros and no short forms, so an IPv4 text that it takes is canonical.
            return 32, int.from_bytes(inet_pton(AF_INET, text), "big")
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None
    if inet_ntop(AF_INET6, packed) != text or packed.startswith(_MAPPED):
        return None
    return 128, int.from_bytes(packed, "big")


def canonical(text: str) -> str | None:
    """The canonical text of an address (that of glibc's inet_ntop, mapped IPv6 as IPv4), or None."""
    address = parse(text)
    return None if address is None else str(Network(*address, address[0]))


def parse_endpoint(text: str) -> tuple[str, int]:
    """Address and port of `ADDRESS:PORT`, an IPv6 address in brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (":" in bare) != (bare != host) or canonical(bare) is None:
        raise ValueError(text)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ValueError(text)
    return bare, int(port)


def parse_network(text: str) -> Network:
    """The network of `ADDRESS` or `ADDRESS/PREFIX`.

    Raises ValueError with what is wrong with it, in words that follow the text.
    """
    address_text, slash, prefix_text = text.partition("/")
    address = parse(address_text)
    if address is None:
        raise ValueError("is no address and no network")
    width, value = address
    if not slash:
        return Network(width, value, width)
    if not (prefix_text.isascii() and prefix_text.isdigit() and len(prefix_text) <= 3):
        raise ValueError("has no prefix length after the /")
    prefix = int(prefix_text)
    if ":" in address_text and width == 32:  # ::ffff:192.0.2.0/120 is 192.0.2.0/24
        prefix -= 96
    if not 0 <= prefix <= width:
        raise ValueError("has a prefix length that no such address has")
    kept = value >> (width - prefix) << (width - prefix)
    if kept != value:
        raise ValueError(f"has bits set after its prefix; write {Network(width, kept, prefix)}")
    return Network(width, value, prefix)


class NetworkTable(Generic[T]):
    """Networks with a label each, in an order: the first network that holds an address decides. Immutable.

    The first byte of an address selects the few prefix lengths worth a look, so an address that is in no network costs
    about 70 ns after parsing, however many networks there are.
    """

    __slots__ = ("_by_first_byte", "_labels")

    def __init__(self, entries: Iterable[tuple[Network, T]]) -> None:
        self._labels: list[T] = []
        by_prefix: dict[tuple[int, int], dict[int, int]] = {}
        first_bytes: dict[tuple[int, int], set[int]] = {}
        for (width, value, prefix), label in entries:
            by_prefix.setdefault((width, prefix), {}).setdefault(value, len(self._labels))
            first = value >> (width - 8)
            last = first + (1 << (8 - prefix)) if prefix < 8 else first + 1
            first_bytes.setdefault((width, prefix), set()).update(range(first, last))
            self._labels.append(label)
        self._by_first_byte: dict[int, tuple[tuple[tuple[int, dict[int, int]], ...], ...]] = {}
        for width in (32, 128):
            looks: list[list[tuple[int, dict[int, int]]]] = [[] for _ in range(256)]
            for (of_width, prefix), networks in by_prefix.items():
                if of_width == width:
                    mask = (1 << width) - (1 << (width - prefix))
                    for byte in first_bytes[of_width, prefix]:
                        looks[byte].append((mask, networks))
            self._by_first_byte[width] = tuple(map(tuple, looks))

    def __len__(self) -> int:
        return len(self._labels)

    def begins(self, width: int) -> bytes:
        """For each first byte of an address, 1 when some network may hold addresses that begin so, else 0."""
        return bytes(map(bool, self._by_first_byte[width]))

    def find(self, width: int, value: int) -> T | None:
        """The label of the first network that holds the address; None when none does."""
        best = None
        for mask, networks in self._by_first_byte[width][value >> (width - 8)]:
            index = networks.get(value & mask)
            if index is not None and (best is None or index < best):
                best = index
        return None if best is None else self._labels[best]
