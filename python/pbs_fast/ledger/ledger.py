"""Which addresses may relay, and until when: logins in, Deltas out.

Pure: no clock, no I/O; every method is told the time. All times are seconds on the ledger's clock (`clock.py`).

A hash (address -> Grant) says when each row ends, a queue (`expiry.py`) when to look. Invariants, held by tests/ledger:
- one queue entry per live address, at or before the second of the row's end; a renewal touches the hash only;
- an entry whose second has come is dropped with its row, or, where the hash says later, queued for that later second;
- a row's end never moves to an earlier second, and no row is without one.

Imports of the package: events, expiry. Must not import anything that knows files, tables or clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import compress
from math import floor
from typing import Any, Literal

from pbs_fast.events import MAX_AHEAD, Batch, Counters, Delta, Grant
from pbs_fast.ledger.expiry import ExpiryQueue

#: What becomes of rows stamped more than MAX_AHEAD s ahead: `arrival` (live) counts them as of now, `refuse` (replay)
#: takes none of them.
Ahead = Literal["arrival", "refuse"]

#: Each event of a login row ends in exactly one of these counters.
OUTCOMES = ("granted", "renewed", "late", "too_old", "refused_ahead")

#: Rows of a batch from which on its own few texts are shared enough.
_MANY = 256

#: Formats and hosts to share; a log with more hosts than that is under attack, and need not be stored well.
_MAX_TEXTS = 4_096

_NEW = "new"
_RENEWED = "renewed"
_RECOVERED = "recovered"

_new_tuple = tuple.__new__


class Ledger:
    """The live rows. Not for several threads at once."""

    def __init__(self, grace: int, counters: Counters | None = None) -> None:
        """`grace` in seconds, at least 1. Counts into `counters`: OUTCOMES, and `ahead`, `expired`, `recovered`,
        `revoked` (rows)."""
        if grace < 1:
            raise ValueError(f"grace must be at least 1 second, not {grace}")
        self.grace = grace
        self.counters = Counters() if counters is None else counters
        self.explain: Callable[[str, str], None] | None = None
        """Called with address and outcome for each row that changes nothing (`late`, `too_old`, `refused_ahead`)."""
        self.granted = 0
        """New rows since the ledger began, recovered ones not counted."""
        self._rows: dict[str, Grant] = {}
        self._queue = ExpiryQueue()
        self._texts: dict[str, str] = {}

    @property
    def window(self) -> int:
        """How many seconds back a login may lie that explains a row."""
        return self.grace

    def fresh(self) -> Ledger:
        """An empty ledger of the same kind, which counts into the same counters."""
        return Ledger(self.grace, self.counters)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, ip: object) -> bool:
        return ip in self._rows

    def get(self, ip: str) -> Grant | None:
        """The row of one address."""
        return self._rows.get(ip)

    def rows(self) -> dict[str, Grant]:
        """A copy of all rows."""
        return self._rows.copy()

    def queued(self) -> int:
        """Length of the queue: always that of the ledger."""
        return len(self._queue)

    def next_expiry(self) -> int | None:
        """When to call `expire` next, at the latest: no row ends earlier. None when there is no row."""
        return self._queue.next()

    def observe(self, batch: Batch, now: float | None, *, shift: int = 0, ahead: Ahead = "arrival") -> Delta:
        """Take the logins of a batch; the Delta sets new and renewed rows and removes none. Logouts change nothing.

        `shift` is added to each stamp to put it on the ledger's clock. `now` None means that each row's own stamp is
        the clock (a whole log is reprocessed): then nothing is too old or ahead, and a row that ended before the next
        login of its address counts as expired and granted anew. How often `expire` is called in between changes these
        counts only where stamps run backwards.
        """
        # One plain loop with all it needs in local names: half a microsecond a row, of which a replay has 10⁵. Passes
        # over whole columns, one an operation, were measured to take longer.
        rows, bucket, life = self._rows, self._queue.bucket, shift + self.grace
        changed: dict[str, Grant] = {}
        granted = renewed = expired = 0
        stamp, until = 0, life
        columns: list[list[Any]] = [batch.ip, batch.first, batch.last, batch.n, batch.user_last]
        columns += [self._shared(batch.format), self._shared(batch.host)]
        if batch.kind.count("login") < len(batch):
            is_login = [kind == "login" for kind in batch.kind]
            columns = [list(compress(column, is_login)) for column in columns]
        for ip, first, last, n, user, format_, host in zip(*columns, strict=True):
            if last != stamp:
                # One int object a second instead of one a row: 32 bytes less a row.
                stamp, until = last, last + life
            end = until
            if now is not None:
                if last + shift > now + MAX_AHEAD:
                    if ahead == "refuse":
                        self._unchanged(ip, "refused_ahead", n)
                        continue
                    self.counters["ahead"] += n
                    first = floor(now) - shift
                    end = first + life
                elif end <= now:
                    self._unchanged(ip, "too_old", n)
                    continue
            row = rows.get(ip)
            if row is None:
                bucket(end).append(ip)
                granted += 1
                renewed += n - 1
                why = _NEW
            elif first + shift > row[0]:
                granted += 1
                expired += 1
                renewed += n - 1
                why = _NEW
            elif end > row[0]:
                renewed += n
                why = _NEW if ip in changed and changed[ip].why == _NEW else _RENEWED
            else:
                if end == row[0]:
                    renewed += n
                else:
                    self._unchanged(ip, "late", n)
                continue
            rows[ip] = changed[ip] = _new_tuple(Grant, (end, user, format_, why, host))
        self.granted += granted
        counts = {"granted": granted, "renewed": renewed, "expired": expired}
        self.counters.update({name: n for name, n in counts.items() if n})
        return Delta(set=changed)

    def _share(self, text: str) -> str:
        """One object for equal texts. Each live batch comes with its own: 120 bytes less a row."""
        if len(self._texts) > _MAX_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(text, text)

    def _shared(self, texts: list[str]) -> list[str]:
        # Within a batch they are shared already, so where there are many rows there is nothing to win.
        return list(map(self._share, texts)) if len(texts) < _MANY else texts

    def _unchanged(self, ip: str, outcome: str, n: int) -> None:
        self.counters[outcome] += n
        if self.explain is not None:
            self.explain(ip, outcome)

    def _enqueue(self, ip: str, second: int) -> None:
        self._queue.add(ip, second)

    def _requeue(self, ip: str, end: int) -> None:
        """Put a row whose entry has come back into the queue, because it ends later."""
        self._queue.add(ip, end)

    def expire(self, now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """Remove the rows whose end has come (now >= expires). `gone`, where given, receives them as they last were."""
        rows = self._rows
        ended: dict[str, Grant] = {}
        for ip in self._queue.due(now):
            row = rows[ip]
            if row[0] > now:
                self._requeue(ip, row[0])
            else:
                del rows[ip]
                ended[ip] = row
        self.counters["expired"] += len(ended)
        if gone is not None:
            gone.update(ended)
        return Delta(removed=tuple(ended))

    def unexpire(self, rows: Mapping[str, Grant]) -> None:
        """Undo `expire` for these rows, none of which is live: for a reprocessed log whose stamps run backwards."""
        for ip, row in rows.items():
            self._enqueue(ip, row.expires)
        self._rows.update(rows)
        self.counters["expired"] -= len(rows)

    def settle(self, now: float) -> Delta:  # noqa: ARG002 - for ledgers that need more than single logins
        """After the replay, and before the first `adopt`: what only the whole of the past can tell."""
        return Delta()

    def adopt(self, users: Mapping[str, str | None], now: float) -> Delta:
        """Take over rows of a table that no login explains (address -> user, if known); they end at now + grace.

        To be called after the replay: rows that the ledger has already keep their own end.
        """
        end = floor(now) + self.grace
        changed = {ip: Grant(end, user, "", _RECOVERED) for ip, user in users.items() if ip not in self._rows}
        for ip in changed:
            self._enqueue(ip, end)
        self._rows.update(changed)
        self.counters["recovered"] += len(changed)
        return Delta(set=changed)

    def revoke(self, ips: Iterable[str], gone: dict[str, Grant] | None = None) -> Delta:
        """Remove rows before their end (deny list, a guard). Walks the whole queue: for rare events."""
        removed = {ip: row for ip in ips if (row := self._rows.pop(ip, None)) is not None}
        if removed:
            self._queue.discard(removed)
        if gone is not None:
            gone.update(removed)
        self.counters["revoked"] += len(removed)
        return Delta(removed=tuple(removed))
