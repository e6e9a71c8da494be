"""What this node revokes, for the other nodes: numbers that grow over restarts, and which rows a revocation covers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.share.inbox import Inbox
    from pbs_fast.share.outbox import Outbox
    from pbs_fast.share.tombstones import Denied, Tombstones
    from pbs_fast.util.clock import Clock


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
        return own is not None and self._tombstones.refuses(ip, own.user, "", self._ledger.login(ip))
