"""Replays the logins of a log into a ledger whose clock is the log's own timestamps.

What it counts is a function of the logins in their order, the references and grace alone. It does not depend on how the
logins are cut into Batches, on whether they are folded, or on when `advance` is called (tests/replay holds all of it):

- a login timestamped more than MAX_AHEAD seconds after its reference grants nothing (`refused_ahead`), as at a start;
- a login of an address is a new grant when it is later than the end of the address's last grant, so timestamps may
  run backwards: a row that has ended is brought back for an earlier login that it covers;
- `expired` are the rows that have ended at `clock`, the greatest timestamp of all logins and of each log's last line.

Memory depends on the addresses that are live at a time, not on the log: rows end as the log goes on, `lag` seconds
behind it, and `SpilledExpiries` keeps what may be asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import compress
from typing import TYPE_CHECKING

from pbs_fast.events import MAX_AHEAD, Batch, Delta, Grant
from pbs_fast.replay.expiries import LIMIT, SpilledExpiries

if TYPE_CHECKING:
    from pbs_fast.guards import Guards, Refusal
    from pbs_fast.guards.answers import Near
    from pbs_fast.ledger.ledger import Ledger

#: Seconds behind the log at which its rows end: in nearly all logs lines are out of order by less, so that no row is
#: brought back.
LAG = 300

_BROUGHT_BACK = "recovered"

#: A limit on numbers that no log reaches.
_NO_LIMIT = 1 << 62


def same_everywhere(near: Near | None = None) -> Guards:
    """Guards whose answers depend on the log alone: no mynetworks, no addresses of this machine, no limits. `near` is
    the backend's."""
    from pbs_fast.config.model import Guards as GuardConfig
    from pbs_fast.guards import Guards, Machine
    from pbs_fast.guards.deny import DenyList
    from pbs_fast.guards.netblocks import Netblocks

    limits = GuardConfig(
        max_rows=_NO_LIMIT,
        max_new_per_minute=_NO_LIMIT,
        max_users_per_address=_NO_LIMIT,
        max_addresses_per_user=_NO_LIMIT,
    )
    return Guards(limits, Netblocks(), Machine(), DenyList(), near=near)


class Replayer:
    """One replay of one or several logs, in the order given. Not for several threads at once."""

    def __init__(
        self,
        ledger: Ledger,
        guards: Guards,
        *,
        lag: int = LAG,
        kept: int = LIMIT,
        on_change: Callable[[Delta], object] | None = None,
        on_refusal: Callable[[Sequence[Refusal]], object] = lambda _: None,
        on_expiry: Callable[[Mapping[str, Grant]], object] | None = None,
    ) -> None:
        """`ledger` is empty, and on the clock of the epoch. `kept` is how many ended rows stay in memory.

        `on_change` gets each Delta, removals included; `on_expiry` the rows whose end has come; `on_refusal` what the
        guards refused.
        """
        self.ledger = ledger
        self.clock: int | None = None
        """The greatest timestamp of all logins and of each log's last line, in seconds since the epoch."""
        self._guards = guards
        self._lag = lag
        self._on_change = on_change
        self._on_refusal = on_refusal
        self._on_expiry = on_expiry
        self._ended = SpilledExpiries(kept)
        self._ended_to: int | None = None
        """No row of the ledger ended at or before this second."""
        self._excluded = SpilledExpiries(kept)
        """Logins that the ledger did not get."""

    def take(self, batch: Batch, reference: int) -> None:
        """Give the ledger the logins (and logouts) of a Batch; `reference` is what they were read against, in seconds
        since the epoch. Raises SourceError when the disk has no room for what is remembered."""
        batch = self._not_ahead(batch, reference + MAX_AHEAD)
        if not batch:
            return
        newest = max(batch.last)
        self.clock = newest if self.clock is None else max(self.clock, newest)
        # By the log's clock: how many users share an address within an hour is not asked of a whole day.
        screened = self._guards.screen(batch, self.ledger, newest, replay=True)
        if screened.refused:
            refused = {row.ip for row in screened.refused}
            self._exclude(batch, [ip in refused for ip in batch.ip])
            self._on_refusal(screened.refused)
        if self._ended_to is not None and screened.batch and min(screened.batch.first) <= self._ended_to:
            self._bring_back(screened.batch, self._ended_to)
        delta = self.ledger.observe(screened.batch, None, watched=self._on_change is not None)
        if self._on_change is not None:
            self._on_change(delta)

    def advance(self, second: int | None, reference: int) -> None:
        """End the rows whose end lies `lag` seconds or more before a timestamp of the log.

        None, and a timestamp that is ahead of the reference, end nothing.
        """
        if second is None or second > reference + MAX_AHEAD:
            return
        if self._ended_to is None or second - self._lag > self._ended_to:
            self._expire(second - self._lag)

    def end_log(self, last: int | None, reference: int) -> None:
        """A log ends; `last` is the timestamp of its last line, None where it has none that can be read."""
        if last is not None and last <= reference + MAX_AHEAD:
            self.clock = last if self.clock is None else max(self.clock, last)

    def finish(self) -> None:
        """After the last log: exactly the rows that live at `clock` stay in the ledger."""
        if self.clock is None:
            return
        if self._ended_to is not None and self.clock < self._ended_to:
            self._restore(self._ended.later_than(self.clock))
        self._expire(self.clock)

    def ends(self) -> Iterator[tuple[str, int]]:
        """Every address with a login, refused ones included, and the ends of grants for these logins, in the order of
        the addresses' bytes. An address may come several times, then one after the other."""
        live = sorted((ip, row.expires) for ip, row in self.ledger.rows().items())
        return merge(self._ended.ordered(), self._excluded.ordered(), live)

    def close(self) -> None:
        """Free the temporary files."""
        self._ended.close()
        self._excluded.close()

    def _not_ahead(self, batch: Batch, limit: int) -> Batch:
        """No row holds both logins that are ahead and others (docs/MATCHING.md, 6)."""
        if not batch or max(batch.first) <= limit:
            return batch
        kept = [first <= limit for first in batch.first]
        ahead = [not keep for keep in kept]
        logins = [n if kind == "login" else 0 for n, kind in zip(batch.n, batch.kind, strict=True)]
        self.ledger.counters["refused_ahead"] += sum(compress(logins, ahead))
        self._exclude(batch, ahead)
        return batch.select(kept)

    def _exclude(self, batch: Batch, mask: list[bool]) -> None:
        ends = [last + self.ledger.grace for last in compress(batch.last, mask)]
        self._excluded.keep(compress(batch.ip, mask), ends)

    def _bring_back(self, batch: Batch, ended_to: int) -> None:
        """Give the ledger the rows that ended and that logins from before their end would have found."""
        early = {ip for ip, first in zip(batch.ip, batch.first, strict=True) if first <= ended_to}
        # To ask for none would sort all ends that are kept.
        if unknown := {ip for ip in early if ip not in self.ledger}:
            self._restore(self._ended.of(unknown))

    def _restore(self, ends: Mapping[str, int]) -> None:
        rows = {ip: Grant(end, None, "", _BROUGHT_BACK) for ip, end in ends.items() if ip not in self.ledger}
        self.ledger.unexpire(rows)
        if self._on_change is not None:
            self._on_change(Delta(set=rows))

    def _expire(self, second: int) -> None:
        gone: dict[str, Grant] = {}
        delta = self.ledger.expire(second, gone)
        self._ended.keep(gone, [row[0] for row in gone.values()])
        if self._ended_to is None or second > self._ended_to:
            self._ended_to = second
        if self._on_change is not None:
            self._on_change(delta)
        if self._on_expiry is not None:
            self._on_expiry({ip: row for ip, row in gone.items() if row.why != _BROUGHT_BACK})
