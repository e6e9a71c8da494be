"""What this node revokes, for the other nodes, and the removal of what these revoke, in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.share.inbox import Inbox
    from pbs_fast.share.outbox import Outbox
    from pbs_fast.share.tombstones import Denied, Subject, Tombstones
    from pbs_fast.util.clock import Clock

#: Seconds for which streams are not read again while rows are removed. Many revocations on a large node take minutes.
_HOLD: Final = 10.0


class Revocations:
    """Those of this node, and those of others that it remembers."""

    def __init__(self, inbox: Inbox, outbox: Outbox, tombstones: Tombstones, ledger: Ledger, clock: Clock) -> None:
        self._inbox, self._outbox, self._tombstones = inbox, outbox, tombstones
        self._ledger, self._clock = ledger, clock
        self._number = 0

    def next_number(self) -> int:
        """The number of the next one: higher than those of earlier runs, unless the clock was set back."""
        self._number = max(self._number + 1, int(self._clock.wall()))
        return self._number

    def tell(self, denied: Denied) -> None:
        """Send one of this node to the others; the caller has put it into force here."""
        self._number = max(self._number, denied.number)
        now = self._clock.now()
        if self._inbox.denied(denied, now):
            self._outbox.revoke(denied, now)

    def remember(self, denied: Denied) -> None:
        """One of another node that is in force since an earlier run."""
        self._tombstones.add(denied, self._clock.now())

    def covers(self, ip: str) -> bool:
        """Whether the row of this address goes although its revocation is over: one of our own logs if its login is not
        later; one of another node in any case, because that is read again."""
        row, own = self._ledger.get(ip), self._ledger.own(ip)
        if row is None or row.node:
            return row is not None
        return own is not None and self._tombstones.refuses(ip, own.user, "", self._ledger.logins([(ip, own)])[0])


class Removals:
    """Rows that go because of revocations that came from other nodes, in parts."""

    def __init__(self, deny: Callable[[Sequence[Denied]], Iterator[None]], again: Callable[[], object]) -> None:
        """`deny` puts revocations into force, and removes what they cover part by part. `again` is called after all,
        where this took so long that the streams may have been read again before."""
        self._deny, self._again = deny, again
        self.waiting: dict[tuple[str, Subject], Denied] = {}
        """Those that are next, by maker and subject: a node that sends them faster than rows can be removed fills no
        memory."""
        self._under_way: Iterator[None] | None = None
        self._since: float | None = None
        """When the first of those that are not done began."""

    @property
    def busy(self) -> bool:
        """Whether `turn` has something to do."""
        return self._under_way is not None or bool(self.waiting)

    def add(self, denied: Iterable[Denied]) -> None:
        """Take revocations; a later one of the same maker and subject replaces an earlier one."""
        for each in denied:
            self.waiting.pop((each.node, each.subject), None)
            self.waiting[each.node, each.subject] = each

    def hold(self, now: float) -> bool:
        """Whether to read streams again has to wait, as what comes now may be refused or removed still."""
        return self.busy and (self._since is None or now - self._since < _HOLD)

    def turn(self, now: float) -> None:
        """Do a part."""
        if self._since is None and self.busy:
            self._since = now
        if self._under_way is None and self.waiting:
            self._under_way = self._deny([*self.waiting.values()])
            self.waiting.clear()
        if self._under_way is not None and next(self._under_way, self) is self:
            self._under_way = None
        if self._since is not None and not self.busy:
            if now - self._since >= _HOLD:
                self._again()
            self._since = None
