"""The caps in force: how much a login and an address may send, and who has caps of their own. Pure data.

A cap counts recipients, or messages: `200/1h`, `messages:100/1h`. All caps of a login and of its address hold at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, Protocol

from pbs_fast.caps.windows import Rate, parse_rate
from pbs_fast.errors import UsageError
from pbs_fast.util.addresses import NetworkTable, parse, parse_network
from pbs_fast.util.text import fold_user

Of = Literal["user", "address"]
Action = Literal["defer", "warn", "hold"]
ACTIONS: Final = ("defer", "warn", "hold")

#: What docs/CAPS.md recommends to begin with, and `report` tries.
USER_RATES: Final = (Rate(200, 3_600), Rate(1_000, 86_400))
ADDRESS_RATE: Final = Rate(500, 3_600)

#: Caps in one list: each costs a window for each key.
MOST_CAPS: Final = 6
_MESSAGES = "messages:"
_WORDS = {1: "a second", 60: "a minute", 3_600: "an hour", 86_400: "a day"}


class Cap(NamedTuple):
    """At most so many recipients, or messages, of one login or address in a time."""

    of: Of
    rate: Rate
    messages: bool = False
    """Counts messages; else recipients."""

    @property
    def written(self) -> str:
        """As in the configuration: `200/1h`."""
        return f"{_MESSAGES if self.messages else ''}{self.rate}"

    @property
    def name(self) -> str:
        """What metrics and events call it: `user 200/1h`."""
        return f"{self.of} {self.written}"

    def words(self, used: int) -> str:
        """`12 of 200 recipients in an hour`."""
        what = "messages" if self.messages else "recipients"
        return f"{used} of {self.rate.limit} {what} in {_spelled(self.rate.seconds)}"


class Exemption(Protocol):
    """Who has caps of their own, in place of the general ones: `[[caps.except]]`."""

    @property
    def users(self) -> tuple[str, ...]:
        """Logins, in any case."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Addresses and networks, as `parse_network` reads them."""

    @property
    def user(self) -> tuple[str, ...] | None:
        """The rates of a login that is named, or that sends from there; None: the general ones; empty: no cap."""

    @property
    def address(self) -> tuple[str, ...] | None:
        """The rates of an address that is named; None: the general ones; empty: no cap."""


class Limits:
    """Which caps hold for whom. Never changes; a reload makes another one."""

    def __init__(
        self,
        user: Sequence[str] = (),
        address: Sequence[str] = (),
        action: Action = "defer",
        revoke_after: int = 0,
        exemptions: Sequence[Exemption] = (),
    ) -> None:
        """Rates as in the configuration. Raises UsageError for what is no rate or can have no effect."""
        self.action: Action = action
        self.revoke_after = revoke_after
        """A login that is refused so many caps' worth within an hour is revoked; 0: never."""
        self._user, self._address = caps("user", user), caps("address", address)
        self._by_user: dict[str, tuple[Cap, ...]] = {}
        self._address_by_user: dict[str, tuple[Cap, ...]] = {}
        user_networks, address_networks = [], []
        for each in exemptions:
            check_exemption(each)
            own_user = None if each.user is None else caps("user", each.user)
            own_address = None if each.address is None else caps("address", each.address)
            for name in map(fold_user, each.users):
                if own_user is not None:
                    self._by_user.setdefault(name, own_user)
            for text in each.networks:
                network = parse_network(text)
                if own_user is not None:
                    user_networks.append((network, own_user))
                if own_address is not None:
                    address_networks.append((network, own_address))
        self._user_at, self._address_at = NetworkTable(user_networks), NetworkTable(address_networks)
        several = [*self._by_user.values(), *(own for _, own in (*user_networks, *address_networks))]
        self.caps: Mapping[str, Cap] = MappingProxyType(
            {cap.name: cap for group in (self._user, self._address, *several) for cap in group}
        )
        """All of them by name."""
        if revoke_after and not any(cap.of == "user" for cap in self.caps.values()):
            raise UsageError('caps.revoke_after needs a cap of a login, such as caps.user = ["200/1h"]')
        if revoke_after and action == "warn":
            raise UsageError('caps.revoke_after never happens with caps.action = "warn", which refuses nothing')

    def __bool__(self) -> bool:
        return bool(self.caps)

    def of_user(self, folded: str, address: str) -> tuple[Cap, ...]:
        """The caps of a login (`fold_user`) that sends from an address."""
        if (own := self._by_user.get(folded)) is not None:
            return own
        if len(self._user_at) and (own := _find(self._user_at, address)) is not None:
            return own
        return self._user

    def of_address(self, address: str) -> tuple[Cap, ...]:
        """The caps of an address, in canonical text."""
        if len(self._address_at) and (own := _find(self._address_at, address)) is not None:
            return own
        return self._address

    def of_other(self) -> tuple[Cap, ...]:
        """The caps of all together that are too many to be counted apart."""
        return self._address or self._user

    def warnings(self) -> list[str]:
        """What is allowed, and is hardly meant."""
        general = (*self._user, *self._address)
        return [
            f"[caps]: {cap.name} is never reached, because {other.name} comes first"
            for cap in general
            for other in general
            if _is_idle(cap, other)
        ]


def caps(of: Of, rates: Iterable[str]) -> tuple[Cap, ...]:
    """The caps that some rates name. Raises UsageError."""
    found = tuple(parse_cap(of, text) for text in rates)
    if len(set(found)) < len(found) or len(found) > MOST_CAPS:
        raise UsageError(f"caps of one {of} must be at most {MOST_CAPS} different rates")
    return found


def parse_cap(of: Of, text: str) -> Cap:
    """The cap that `200/1h` or `messages:100/1h` names. Raises UsageError."""
    return Cap(of, parse_rate(text.removeprefix(_MESSAGES)), text.startswith(_MESSAGES))


def check_exemption(each: Exemption) -> None:
    """Raises UsageError for one that names nobody, or nothing that holds instead."""
    if not each.users and not each.networks:
        raise UsageError("[[caps.except]] must name users or networks")
    if each.user is None and each.address is None:
        raise UsageError("[[caps.except]] must have user or address, the rates that hold instead; [] for none")
    if each.address is not None and not each.networks:
        raise UsageError("[[caps.except]] with address must name networks: a login has no address of its own")


def _is_idle(cap: Cap, other: Cap) -> bool:
    """Whether the other cap is always reached before this one."""
    if cap == other or cap.messages != other.messages or (cap.of, other.of) == ("address", "user"):
        return False  # many logins together reach the cap of their address
    return other.rate.limit <= cap.rate.limit and other.rate.seconds >= cap.rate.seconds


def _find(table: NetworkTable[tuple[Cap, ...]], address: str) -> tuple[Cap, ...] | None:
    parsed = parse(address)
    return None if parsed is None else table.find(*parsed)


def _spelled(seconds: int) -> str:
    """`an hour`, `90 seconds`."""
    if seconds in _WORDS:
        return _WORDS[seconds]
    size = next(size for size in (86_400, 3_600, 60, 1) if seconds % size == 0)
    return f"{seconds // size} {_WORDS[size].split()[1]}s"
