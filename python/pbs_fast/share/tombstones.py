"""Revocations of all nodes: no row comes back whose login they cover, however late or often it is sent. Pure.

A revocation covers the logins up to its `until`. Each maker numbers its own, and of one maker and subject the highest
number counts (an undone revocation is a later record that ends at the undoing), so order and repetition do not matter.

Seconds of different hubs cannot be compared, so `until` and the time of a login are both converted to this node's
ledger clock, each with the offset of the hub that brought it.
"""

from __future__ import annotations

from collections.abc import Container
from math import inf
from typing import Final, NamedTuple

from pbs_fast.events import Grant
from pbs_fast.ledger.manual import LONGEST
from pbs_fast.share.message import Revoke, What, subject_of
from pbs_fast.util.addresses import NetworkTable, parse, parse_network

#: Revocations that are kept; beyond, those of whom made the most are dropped, oldest first.
MOST: Final = 10_000
#: Seconds by which two clocks may differ about one revocation.
_CLOCKS = 1.0
#: A login counts as one of the second of `until` up to so many seconds after it: both are whole seconds in a node's
#: log, and come over the offset of a hub's clock, which is known to some milliseconds, under load to some tenths.
_SAME_SECOND = 0.4
#: Seconds after which what is over is looked for again.
_SWEEP = 60.0

Subject = tuple[str, str]


class Denied(NamedTuple):
    """One revocation on this node's ledger clock."""

    node: str
    """Who made it; it is about the rows of all nodes."""
    kind: What
    what: str
    until: float
    number: int
    by: str
    why: str

    @property
    def subject(self) -> Subject:
        """What it is about; users case-folded."""
        return subject_of(self.kind, self.what)

    def names(self, ip: str, row: Grant) -> bool:
        """Whether it is about a row, whatever its login."""
        if self.kind == "ip":
            return ip == self.what
        if self.kind == "node":
            return row.node == self.what
        if self.kind == "user":
            return row.user is not None and row.user.casefold() == self.what.casefold()
        address = parse(ip)
        return address is not None and parse_network(self.what).holds(*address)


class Tombstones:
    """What was revoked. Not for several threads at once."""

    def __init__(self, longest: int) -> None:
        """Each is kept until `longest` seconds after its `until`. No row of a later login is refused by it, and none of
        an earlier one comes back, if `longest` is what a row may last at most, and a counted session too."""
        self.forgotten = 0
        """How many were dropped early, because there were more than MOST."""
        self._longest = longest
        self._kept: dict[str, dict[Subject, tuple[Denied, float]]] = {}
        """By maker; each with the second until which it is kept."""
        self._until: dict[Subject, float] = {}
        """The latest `until` of all makers and _SAME_SECOND."""
        self._networks: NetworkTable[float] | None = None
        self._seen: dict[str, int] = {}
        self._swept = 0.0

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def get(self, node: str, subject: Subject) -> Denied | None:
        """The revocation of a subject that counts of one maker."""
        found = self._kept.get(node, {}).get(subject)
        return None if found is None else found[0]

    def add(self, denied: Denied, now: float) -> bool:
        """Take a revocation; whether it says something new. Own ones too."""
        self._seen[denied.node] = max(denied.number, self._seen.get(denied.node, 0))
        of_maker = self._kept.setdefault(denied.node, {})
        before = of_maker.get(denied.subject)
        if before is not None:
            number, until = before[0].number, before[0].until
            # The same one may have been read while its maker knew of a step of the hub's clock, and we did not: then it
            # seemed older than it was, never younger.
            if number > denied.number or (number == denied.number and denied.until <= until + _CLOCKS):
                return False
        denied = denied._replace(until=min(denied.until, now + LONGEST))
        keep = max(denied.until + self._longest, 0 if before is None else before[1])
        if keep <= now:
            return False
        of_maker.pop(denied.subject, None)
        of_maker[denied.subject] = denied, keep
        self._refresh([denied.subject])
        if now >= self._swept + _SWEEP:
            self._sweep(now)
        if len(self) > MOST:
            most = max(self._kept.values(), key=len)
            subject = next(iter(most))
            del most[subject]
            self._refresh([subject])
            self.forgotten += 1
        return True

    def refuses(self, ip: str, user: str | None, node: str, login: float) -> bool:
        """Whether a row with a login at this second is revoked; `node` is "" for our own."""
        until = self._until
        if not until:
            return False
        if login <= until.get(("ip", ip), -inf) or (node and login <= until.get(("node", node), -inf)):
            return True
        if user is not None and login <= until.get(("user", user.casefold()), -inf):
            return True
        if self._networks is None:
            self._networks = self._table()
        address = parse(ip) if len(self._networks) else None
        if address is None:
            return False
        found = self._networks.find(*address)
        return found is not None and login <= found

    def in_force(self, now: float) -> list[Denied]:
        """The revocations whose `until` is to come: what no node may grant now."""
        return [denied for kept in self._kept.values() for denied, _ in kept.values() if denied.until > now]

    def seen(self) -> dict[str, int]:
        """The highest number of each maker (`rv` of our beats)."""
        return dict(self._seen)

    def drop(self, makers: Container[str]) -> None:
        """Forget the revocations of nodes that are no longer trusted."""
        for maker in [maker for maker in self._kept if maker in makers]:
            self._seen.pop(maker, None)
            self._refresh(self._kept.pop(maker))

    def _sweep(self, now: float) -> None:
        self._swept = now
        for kept in self._kept.values():
            over = [subject for subject, (_, keep) in kept.items() if keep <= now]
            for subject in over:
                del kept[subject]
            self._refresh(over)

    def _refresh(self, subjects: list[Subject] | dict[Subject, tuple[Denied, float]]) -> None:
        for subject in subjects:
            found = [kept[subject][0].until for kept in self._kept.values() if subject in kept]
            if found:
                self._until[subject] = max(found) + _SAME_SECOND
            else:
                self._until.pop(subject, None)
            if subject[0] == "network":
                self._networks = None

    def _table(self) -> NetworkTable[float]:
        """The first network that holds an address is the one that is revoked longest."""
        found = [(parse_network(what), until) for (kind, what), until in self._until.items() if kind == "network"]
        return NetworkTable(sorted(found, key=lambda entry: -entry[1]))


def wire(denied: Denied, offset: float) -> Revoke:
    """As it travels over a hub whose clock is `offset` seconds ahead of ours."""
    until = max(round(denied.until + offset, 3), 0.0)
    return Revoke(denied.kind, denied.what, until, denied.number, denied.by, denied.why)
