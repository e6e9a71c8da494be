"""Rows in memory, by address and, with `prefix6`, by IPv6 network.

The server's thread only reads: rows change by single operations on dicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Generic, TypeVar

from pbs_fast.errors import UsageError
from pbs_fast.tables.registry import TableSpec
from pbs_fast.util.addresses import parse as parse_address

#: A wider network than /56 is a whole site's (RFC 6177), so none is granted.
WIDEST, NARROWEST = 56, 64


#: A row, immutable, whatever it holds besides. Its first item is its end, in seconds on the ledger's clock: the row is
#: dead from then on.
R = TypeVar("R", bound=tuple[Any, ...])
END = itemgetter(0)


class Rows(Generic[R]):
    """The rows by address and, with `bits`, by IPv6 network."""

    def __init__(self, bits: int | None) -> None:
        self._drop = None if bits is None else 128 - bits
        self.exact: dict[str, R] = {}
        """Address -> its row."""
        self._networks: dict[int, dict[str, R]] = {}

    def put(self, rows: Mapping[str, R]) -> None:
        """Set the rows of addresses."""
        self.exact.update(rows)
        if self._drop is None:
            return
        for ip, row in rows.items():
            if (network := self._network(ip)) is not None:
                # The dict is replaced, so that the server's thread never iterates over one that changes.
                self._networks[network] = {**self._networks.get(network, {}), ip: row}

    def remove(self, ip: str) -> None:
        """Remove it, if there is one."""
        self.exact.pop(ip, None)
        if self._drop is not None and (network := self._network(ip)) is not None and network in self._networks:
            left = {other: row for other, row in self._networks[network].items() if other != ip}
            if left:
                self._networks[network] = left
            else:
                del self._networks[network]

    def find(self, ip: str) -> R | None:
        """The row for this address that ends last."""
        found = self.exact.get(ip)
        if self._drop is None or (network := self._network(ip)) is None:
            return found
        return max(self._networks.get(network, {}).values(), key=END, default=found)

    def _network(self, ip: str) -> int | None:
        if self._drop is None or ":" not in ip or (address := parse_address(ip)) is None or address[0] != 128:
            return None
        return address[1] >> self._drop


def network_bits(spec: TableSpec) -> int | None:
    """What the option `prefix6` says; None without it. Raises UsageError."""
    if "prefix6" not in dict(spec.options):
        return None
    text = spec.option("prefix6")
    if not (text.isascii() and text.isdigit() and WIDEST <= int(text) <= NARROWEST):
        raise UsageError(f"table {spec}: prefix6={text}: needs a number from {WIDEST} to {NARROWEST}")
    return int(text)
