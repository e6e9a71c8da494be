"""What changes the rows that may relay: logins, ends, guards, administrators, other nodes. For the loop only.

Each change goes through guards and ledger to the tables and is logged; whoever else must know of it listens (`on_set`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pbs_fast.daemon.recover import because
from pbs_fast.events import Batch, Delta, Grant
from pbs_fast.health.alarm import LimitAlarm
from pbs_fast.log.records import event

if TYPE_CHECKING:
    from pbs_fast.daemon.explain import Explainer
    from pbs_fast.daemon.live import LiveState
    from pbs_fast.daemon.log_watch import LogWatch
    from pbs_fast.daemon.measures import Cause, Measures
    from pbs_fast.daemon.refusals import Refusals
    from pbs_fast.guards import Screened

log = logging.getLogger(__name__)

#: Rows that leave the tables in one turn. All rows of a second end at once: 2 000 on a hub of 50 000 lines a second,
#: which took 15 ms, and a login within them waits for all of them.
LEAVING = 256


class Rows:
    """Makes the changes."""

    def __init__(
        self, live: LiveState, explain: Explainer, refusals: Refusals, log_watch: LogWatch, measures: Measures
    ) -> None:
        self._ledger, self._guards, self._publisher = live.ledger, live.guards, live.publisher
        self._manual, self._clock = live.manual, live.clock
        self._explain, self._refusals, self._log_watch, self._measures = explain, refusals, log_watch, measures
        self._limits = LimitAlarm()
        self._leaving: OrderedDict[str, Grant] = OrderedDict()
        """Rows that have ended and stand in the tables still."""
        self.on_set: Callable[[Mapping[str, Grant]], object] = lambda _: None
        """Told of rows that were set while logs are followed."""

    @property
    def leave(self) -> bool:
        """Rows wait to leave the tables."""
        return bool(self._leaving)

    def grant(self, batch: Batch, *, live: bool) -> None:
        """Logins of one log: of now, or of the past that a start replays."""
        if not batch:
            return
        now, shift = self._clock.now(), self._clock.shift()
        screened = self._guards.screen(batch, self._ledger, now, shift=shift, replay=not live)
        self.heed(screened)
        if live:
            self._log_watch.logins(screened.batch)  # lines that guards refuse prove nothing about clocks
        delta = self._ledger.observe(screened.batch, now, shift=shift, ahead="clamp" if live else "reject")
        self.add(delta)
        if live:
            self.on_set(delta.set)

    def heed(self, screened: Screened) -> None:
        """What guards said of logins: to our log, to `why`, and for rows that must go now."""
        for warning in screened.warnings:
            log.warning(warning)
        if screened.revoke:
            self.revoke(screened.revoke, because("max_users_per_address"))
        for warning in self._limits.saw(screened.refused, self._clock.now()):
            log.warning(warning, extra=event("limit"))
        self._explain.refused(screened.refused)
        self._refusals.add(screened.refused)

    def add(self, delta: Delta) -> None:
        """Rows that the ledger has set, for the tables and our log."""
        if back := self._leaving.keys() & delta.set.keys():
            self._let_go([(ip, self._leaving.pop(ip)) for ip in back])
        self._publisher.add(delta)
        self._explain.changed(delta)

    def expire(self) -> None:
        """End what is due; what the tables have of it leaves in parts."""
        due = self._ledger.next_expiry()
        if due is not None and due <= (now := self._clock.now()):
            # What it removes follows in parts.
            self._publisher.add(Delta(self._ledger.expire(now, self._leaving).set))
        if self._leaving:
            self.part(LEAVING)

    def part(self, most: int | None = None) -> None:
        """Let rows that have ended, the oldest of them or all, leave the tables."""
        count = len(self._leaving) if most is None else min(most, len(self._leaving))
        self._let_go([self._leaving.popitem(last=False) for _ in range(count)])

    def _let_go(self, rows: Sequence[tuple[str, Grant]]) -> None:
        # An administrator may have granted one anew meanwhile.
        self._publisher.add(Delta(removed=tuple([ip for ip, _ in rows if ip not in self._ledger])))
        self._explain.removed(dict(rows), "expired")

    def sweep(self) -> None:
        """Remove live rows that the guards now in force refuse; after a reload."""
        refused = self._guards.refused(self._ledger.rows(), self._clock.wall())
        for guard in sorted(set(refused.values())):
            cause: Cause = "deny" if guard == "deny" else "guard"
            self.revoke([ip for ip, name in refused.items() if name == guard], because(guard), cause)

    def revoke(self, ips: Sequence[str], why: str, cause: Cause = "guard") -> None:
        """Remove rows before their end."""
        gone: dict[str, Grant] = {}
        self._publisher.add(self._ledger.revoke(ips, gone))
        self._explain.removed(gone, why)
        self._measures.revoked(len(gone), cause)
        self._manual.forget(ips)
