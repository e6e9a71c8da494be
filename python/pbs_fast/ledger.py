"""Which addresses may relay, and until when: logins in, Deltas out.

Pure: no clock, no I/O; every method is told the time. All times are seconds on the ledger's clock (`clock.py`).

A hash (address -> Grant) says when each row ends. A queue says when to look: its entries stand in one bucket a second,
ordered by a heap of the seconds that have a bucket. Invariants, held by tests/ledger:
- one queue entry per live address, in a bucket at or before the row's end; a renewal touches the hash only;
- an entry whose second has come is dropped with its row, or, where the hash says later, put into that later bucket;
- a row's end never moves to an earlier second, and no row is without one.

Imports of the package: events. Must not import anything that knows files, tables or clocks.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from heapq import heappop, heappush
from itertools import compress, repeat
from math import floor
from operator import eq, not_
from typing import Any, Literal, NamedTuple

from pbs_fast.events import MAX_AHEAD, Batch, Counters, Delta, Grant

#: What becomes of rows stamped more than MAX_AHEAD s ahead: `arrival` (live) counts them as of now, `refuse` (replay)
#: takes none of them.
Ahead = Literal["arrival", "refuse"]

#: Each event of a login row ends in exactly one of these counters.
OUTCOMES = ("granted", "renewed", "late", "too_old", "refused_ahead")

#: Smaller batches go through the loop alone, as live ones do; the bulk path has some 10 µs of fixed cost.
_BULK_ROWS = 64
#: Only a replay has batches of so many rows. A collector set aside many times a second would never get to collect.
_REPLAY_ROWS = 10_000

#: Formats and hosts to share; a log with more hosts than that is under attack, and need not be stored well.
_MAX_TEXTS = 4_096

_NEW = "new"
_RENEWED = "renewed"
_RECOVERED = "recovered"

_new_tuple = tuple.__new__


class _Ends(dict[int, int]):
    """Stamp -> end of a grant. One int object a second instead of one a row: 32 bytes less a row, and no addition."""

    def __init__(self, life: int) -> None:
        self._life = life

    def __missing__(self, stamp: int) -> int:
        end = self[stamp] = stamp + self._life
        return end


class _Logins(NamedTuple):
    """Columns of login rows, stamps on the ledger's clock."""

    ip: Sequence[str]
    first: Sequence[int]
    last: Sequence[int]
    end: Sequence[int]
    n: Sequence[int]
    user: Sequence[str | None]
    format: Sequence[str]
    host: Sequence[str]

    def only(self, mask: Sequence[bool]) -> _Logins:
        """The rows where mask is true."""
        columns: tuple[Any, ...] = self
        return _Logins(*(list(compress(column, mask)) for column in columns))


_NO_LOGINS = _Logins((), (), (), (), (), (), (), ())


class Ledger:
    """The live rows. Not for several threads at once."""

    def __init__(self, grace: int, counters: Counters | None = None) -> None:
        """`grace` in seconds, at least 1. Counts into `counters`: OUTCOMES, and `ahead`, `expired`, `recovered`,
        `revoked` (rows) and `logout_unused`."""
        if grace < 1:
            raise ValueError(f"grace must be at least 1 second, not {grace}")
        self.grace = grace
        self.counters = Counters() if counters is None else counters
        self.explain: Callable[[str, str], None] | None = None
        """Called with address and outcome for each row that changes nothing (`late`, `too_old`, `refused_ahead`)."""
        self.granted = 0
        """New rows since the ledger began, recovered ones not counted."""
        self._rows: dict[str, Grant] = {}
        self._buckets: dict[int, list[str]] = {}
        self._seconds: list[int] = []
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
        return sum(map(len, self._buckets.values()))

    def next_expiry(self) -> int | None:
        """When to call `expire` next, at the latest: no row ends earlier. None when there is no row."""
        return self._seconds[0] if self._seconds else None

    def observe(self, batch: Batch, now: float | None, *, shift: int = 0, ahead: Ahead = "arrival") -> Delta:
        """Take the logins of a batch; the Delta sets new and renewed rows and removes none.

        `shift` is added to each stamp to put it on the ledger's clock. `now` None means that each row's own stamp is
        the clock (a whole log is reprocessed): then nothing is too old or ahead, and a row that ended before the next
        login of its address counts as expired and granted anew. How often `expire` is called in between changes these
        counts only where stamps run backwards.
        """
        logins = self._logins(batch, shift)
        changed: dict[str, Grant] = {}
        if len(logins.ip) >= _BULK_ROWS:
            with _collector_aside() if len(logins.ip) >= _REPLAY_ROWS else nullcontext():
                changed, logins = self._bulk(logins, now)
        self._loop(logins, changed, now, ahead)
        return Delta(set=changed)

    def _logins(self, batch: Batch, shift: int) -> _Logins:
        first, last = batch.first, batch.last
        if shift:
            first = [stamp + shift for stamp in first]
            last = [stamp + shift for stamp in last]
        end = list(map(_Ends(self.grace).__getitem__, last))
        logins = _Logins(batch.ip, first, last, end, batch.n, batch.user_last, batch.format, batch.host)
        if "logout" not in batch.kind:
            return logins
        is_login = list(map("login".__eq__, batch.kind))
        self.counters["logout_unused"] += sum(compress(batch.n, map(not_, is_login)))
        return logins.only(is_login)

    def _bulk(self, logins: _Logins, now: float | None) -> tuple[dict[str, Grant], _Logins]:
        """Settle all plain rows, column by column: what they change, and the other rows, in order.

        Plain is the first row of an address in the batch, if it is in time and opens or prolongs a row that has not
        ended. `_loop` would do the same with each of them, at more than twice the time.
        """
        rows = self._rows
        known = list(map(rows.get, logins.ip))
        fresh = known.count(None)
        plain: list[bool] | None = None
        if fresh < len(known):
            plain = [
                grant is None or first <= grant[0] < end
                for grant, first, end in zip(known, logins.first, logins.end, strict=True)
            ]
        if now is not None and (min(logins.end) <= now or max(logins.last) > now + MAX_AHEAD):
            in_time = [now < end <= now + MAX_AHEAD + self.grace for end in logins.end]
            plain = in_time if plain is None else [a and b for a, b in zip(plain, in_time, strict=True)]
        # Filled from the end, so that the first row of each address is the one that stays.
        firsts = dict(zip(reversed(logins.ip), range(len(known) - 1, -1, -1), strict=True))
        if len(firsts) < len(known):
            is_first = map(eq, map(firsts.__getitem__, logins.ip), range(len(known)))
            plain = list(is_first) if plain is None else [a and b for a, b in zip(plain, is_first, strict=True)]
        others = _NO_LOGINS
        if plain is not None and not all(plain):
            others = logins.only(list(map(not_, plain)))
            logins = logins.only(plain)
            known = list(compress(known, plain))
            fresh = known.count(None)
        if fresh == len(known):
            opened: Iterable[tuple[str, int]] = zip(logins.ip, logins.end, strict=True)
            why: Iterable[str] = repeat(_NEW)
        else:
            is_new = [grant is None for grant in known]
            opened = compress(zip(logins.ip, logins.end, strict=True), is_new)
            why = [_NEW if new else _RENEWED for new in is_new] if fresh else repeat(_RENEWED)
        values = zip(logins.end, logins.user, logins.format, why, logins.host)  # noqa: B905 - `why` may be endless
        changed = dict(zip(logins.ip, map(_new_tuple, repeat(Grant), values)))  # noqa: B905 - the same
        if fresh:
            self._enqueue_all(opened)
        rows.update(changed)
        self.granted += fresh
        self.counters["granted"] += fresh
        self.counters["renewed"] += sum(logins.n) - fresh
        return changed, others

    def _loop(self, logins: _Logins, changed: dict[str, Grant], now: float | None, ahead: Ahead) -> None:
        """Settle rows one after the other."""
        rows, counters = self._rows, self.counters
        ips, firsts, lasts, ends, counts, users, formats, hosts = logins
        for ip, first, last, end, n, user, format_, host in zip(
            ips, firsts, lasts, ends, counts, users, formats, hosts, strict=True
        ):
            if now is not None:
                if last > now + MAX_AHEAD:
                    if ahead == "refuse":
                        self._unchanged(ip, "refused_ahead", n)
                        continue
                    counters["ahead"] += n
                    first = floor(now)
                    end = first + self.grace
                elif end <= now:
                    self._unchanged(ip, "too_old", n)
                    continue
            row = rows.get(ip)
            if row is None or first > row.expires:
                if row is None:
                    self._enqueue(ip, end)
                else:
                    counters["expired"] += 1
                self.granted += 1
                counters["granted"] += 1
                counters["renewed"] += n - 1
                why = _NEW
            elif end < row.expires:
                self._unchanged(ip, "late", n)
                continue
            else:
                counters["renewed"] += n
                if end == row.expires:
                    continue
                why = _NEW if ip in changed and changed[ip].why == _NEW else _RENEWED
            rows[ip] = changed[ip] = Grant(end, user, self._share(format_), why, self._share(host))

    def _share(self, text: str) -> str:
        """One object for equal texts. Each live batch comes with its own: 120 bytes less a row."""
        if len(self._texts) > _MAX_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(text, text)

    def _unchanged(self, ip: str, outcome: str, n: int) -> None:
        self.counters[outcome] += n
        if self.explain is not None:
            self.explain(ip, outcome)

    def _enqueue(self, ip: str, second: int) -> None:
        bucket = self._buckets.get(second)
        if bucket is None:
            self._buckets[second] = [ip]
            heappush(self._seconds, second)
        else:
            bucket.append(ip)

    def _enqueue_all(self, entries: Iterable[tuple[str, int]]) -> None:
        """`_enqueue` of many, at half the time."""
        buckets = self._buckets
        known = buckets.get
        for ip, second in entries:
            bucket = known(second)
            if bucket is None:
                buckets[second] = [ip]
                heappush(self._seconds, second)
            else:
                bucket.append(ip)

    def _requeue(self, ip: str, end: int) -> None:
        """Put a row whose entry has come back into the queue, because it ends later."""
        self._enqueue(ip, end)

    def expire(self, now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """Remove the rows whose end has come (now >= expires). `gone`, where given, receives them as they last were."""
        removed: list[str] = []
        rows = self._rows
        while self._seconds and self._seconds[0] <= now:
            for ip in self._buckets.pop(heappop(self._seconds)):
                end = rows[ip][0]
                if end > now:
                    self._requeue(ip, end)
                else:
                    row = rows.pop(ip)
                    removed.append(ip)
                    if gone is not None:
                        gone[ip] = row
        self.counters["expired"] += len(removed)
        return Delta(removed=tuple(removed))

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
            for bucket in self._buckets.values():
                if not removed.keys().isdisjoint(bucket):
                    bucket[:] = [ip for ip in bucket if ip not in removed]
        if gone is not None:
            gone.update(removed)
        self.counters["revoked"] += len(removed)
        return Delta(removed=tuple(removed))


@contextmanager
def _collector_aside() -> Iterator[None]:
    """No cyclic collection of the 10⁵ tuples that are made meanwhile, and none of them young after it.

    They are in no cycle, and the collector would walk them for longer than making them takes: 90 k new rows take 110 ms
    with it, 63 ms when it only waits, 33 ms so (measured, Python 3.11). Freezing and thawing hands everything young to
    the oldest generation without a look. Where somebody else has frozen objects, they stay so and it only waits.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if gc.get_freeze_count() == 0:
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()
