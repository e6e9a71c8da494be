"""What changes the rows that may relay: logins, ends, guards, administrators, other nodes. For the loop only.

Each change goes through guards and ledger to the tables and is logged; who else must know of it listens (`on_change`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pbs_fast.daemon.recover import because
from pbs_fast.events import Batch, Delta, Grant, SharedRow
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
#: Seconds within which a login of another node counts as new for guards.max_new_per_minute.
_NEW = 60.0


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
        self._withheld: dict[str, Grant] | None = {}
        """While a start catches up with other nodes: rows that no table has yet. To write each part of the catch-up
        into tables that are then made anew took as long as to merge it."""
        self.on_change: Callable[[Delta], object] = lambda _: None
        """Told of what our own logs, guards and administrators changed, but for ends."""

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

    def merge(self, shared: Sequence[SharedRow], live: bool) -> None:
        """Rows of other nodes; `live` while they come as they are made. They are judged as logins here would be."""
        now, shift = self._clock.now(), self._clock.shift()
        for node, fresh, some in _groups(shared, now - _NEW if live else float("inf")):
            batch = _batch(node, some, shift)
            screened = self._guards.screen(batch, self._ledger, now, shift=shift, replay=not fresh, of_node=True)
            self.heed(screened)
            left = some if screened.batch is batch else [some[each] for each in screened.batch.offset]
            delta = self._ledger.merge(left, now, fresh=fresh)
            if live or self._withheld is None:
                self._put(delta)
            else:
                self._stay(delta)
                self._withheld.update(delta.set)
                self._explain.changed(delta)

    def release(self, *, ready: bool) -> None:
        """The catch-up of a start is over: what came by it is for the tables now, or, when these are about to be made
        as the ledger has it (`ready`), in one piece with everything else."""
        withheld, self._withheld = self._withheld or (), None if ready else {}
        if not ready:
            self._publisher.add(Delta({ip: row for ip in withheld if (row := self._ledger.get(ip)) is not None}))

    def distrust(self, nodes: Iterable[str]) -> list[str]:
        """Remove the rows of other nodes that are not trusted any more; the addresses that may not relay now."""
        gone: dict[str, Grant] = {}
        names = frozenset(nodes)
        self.add(self._ledger.distrust(names, self._clock.now(), gone))
        self._explain.removed(gone, f"the node {' '.join(sorted(names))} is not trusted any more")
        self._measures.revoked(len(gone), "hub")
        return list(gone)

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
        """Rows that the ledger has set, for the tables, our log and the other nodes."""
        self._put(delta)
        self.on_change(delta)

    def _stay(self, delta: Delta) -> None:
        """Rows that have ended and came back do not leave later: first they end, then they are set."""
        if back := self._leaving.keys() & delta.set.keys():
            self._let_go([(ip, self._leaving.pop(ip)) for ip in back])

    def _put(self, delta: Delta) -> None:
        self._stay(delta)
        self._publisher.add(delta)
        self._explain.changed(delta)

    def expire(self) -> None:
        """End what is due; what the tables have of it leaves in parts."""
        due = self._ledger.next_expiry()
        if due is not None and due <= (now := self._clock.now()):
            # What it removes follows in parts.
            kept = Delta(self._ledger.expire(now, self._leaving).set)
            self._publisher.add(kept)
            self.on_change(kept)
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
        delta = self._ledger.revoke(ips, gone)
        self._publisher.add(delta)
        self.on_change(delta)
        self._explain.removed(gone, why)
        self._measures.revoked(len(gone), cause)
        self._manual.forget(ips)


def _groups(rows: Sequence[SharedRow], since: float) -> list[tuple[str, bool, Sequence[SharedRow]]]:
    """Rows by node, and by whether their login is not older than `since`; the new ones first."""
    nodes = {row.node for row in rows}
    if len(nodes) == 1 and since == float("inf"):
        return [(nodes.pop(), False, rows)]  # a part of a catch-up
    found: dict[tuple[bool, str], list[SharedRow]] = {}
    for row in rows:
        found.setdefault((row.login < since, row.node), []).append(row)
    return [(node, not old, some) for (old, node), some in sorted(found.items(), key=lambda each: each[0][0])]


def _batch(node: str, rows: Sequence[SharedRow], shift: int) -> Batch:
    """Rows of one node as logins, for the guards; `offset` holds their places in `rows`."""
    count = len(rows)
    ips, _, times, users, formats, hosts, _ = map(list, zip(*rows, strict=True))
    logins = [int(time) - shift for time in times]
    return Batch(
        f"node {node}",
        ip=ips,
        first=logins,
        last=logins,
        n=[1] * count,
        kind=["login"] * count,
        format=formats,
        host=hosts,
        offset=list(range(count)),
        tls=[None] * count,
        loop=[False] * count,
        session=[None] * count,
        user_first=users,
        user_last=users,
        users=[int(user is not None) for user in users],
        process=[""] * count,
    )
