"""Which addresses may relay, and until when: logins in, Deltas out.

Pure: no clock, no I/O; every method is told the time. All times are seconds on the ledger's clock (`clock.py`).

A hash (address -> Grant) says when each row ends, a queue (`expiry.py`) when to look. With `count_sessions`, open
sessions keep rows longer (`counting.py`). Invariants, held by tests/ledger:
- one queue entry per live address, at or before the second of the row's end; a renewal touches the hash only. A row
  that open sessions hold has none;
- an entry whose second has come is dropped with its row, or, where the hash says later, queued for that later second;
- no login moves a row's end to an earlier second, and no row is without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import compress
from math import floor
from operator import not_
from typing import Any, Literal

from pbs_fast.events import MAX_AHEAD, Batch, Counters, Delta, Grant
from pbs_fast.ledger.counting import HeldRows, LoginRow
from pbs_fast.ledger.expiry import ExpiryQueue
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.ledger.state import State

#: What becomes of rows timestamped more than MAX_AHEAD s ahead: `clamp` (live) counts them as of now, `reject`
#: (replay) takes none of them.
FutureTimestamp = Literal["clamp", "reject"]

#: Each event of a login row ends in exactly one of these counters.
OUTCOMES = ("granted", "renewed", "late", "too_old", "refused_ahead")

#: Rows of a batch from which on its own few texts are shared enough.
_MANY = 256

#: Formats and hosts to share; a log with more hosts than that is under attack, and need not be stored well.
_MAX_TEXTS = 4_096

#: A time before all timestamps.
_NEVER = -(1 << 62)

_NEW = "new"
_RENEWED = "renewed"
_RECOVERED = "recovered"
_MANUAL = "manual"

_new_tuple = tuple.__new__


class Ledger:
    """The live rows. Not for several threads at once."""

    def __init__(self, grace: int, counters: Counters | None = None, *, sessions: OpenSessions | None = None) -> None:
        """`grace` in seconds, at least 1. Counts into `counters`: OUTCOMES, and `ahead`, `expired`, `recovered`,
        `revoked` (rows). With `sessions`, rows stay while one of these is open, and grace longer (`HeldRows`)."""
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
        self.counts_sessions = sessions is not None
        self.sessions = OpenSessions(0, {}) if sessions is None else sessions
        """The open sessions; none is ever open where they are not counted."""
        self.marked: dict[str, int] = {_RECOVERED: 0, _MANUAL: 0}
        """How many rows there are that no login explains: found in a table at the start, or granted by hand."""
        self._held = HeldRows(self.sessions, grace, self._rows, self._queue, self.counters, self._unmark)

    @property
    def window(self) -> int:
        """How many seconds back a login may lie that explains a row: its session may still be open."""
        return max(self.grace, self.sessions.max_session)

    def fresh(self) -> Ledger:
        """An empty ledger of the same kind, which counts into the same counters."""
        return Ledger(self.grace, self.counters, sessions=self.sessions.fresh() if self.counts_sessions else None)

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

    def addresses(self) -> list[str]:
        """All addresses: 8 ms for a million."""
        return list(self._rows)

    def is_open(self, ip: str) -> bool:
        """Whether a counted session of this address, which has a row, is open."""
        return ip in self._held.idle

    def queued(self) -> int:
        """Length of the queue: that of the ledger, without the rows that are held."""
        return len(self._queue)

    def held(self) -> int:
        """Rows that are in no queue, because their sessions are open."""
        return len(self._held.held)

    def next_expiry(self) -> int | None:
        """When to call `expire` next, at the latest: no row ends earlier. None when there is nothing to look at."""
        times = [time for time in (self._queue.next(), self.sessions.next_overdue()) if time is not None]
        return min(times, default=None)

    def observe(self, batch: Batch, now: float | None, *, shift: int = 0, ahead: FutureTimestamp = "clamp") -> Delta:
        """Take the logins of a batch; the Delta sets new and renewed rows and removes none. Logouts, and what else ends
        sessions, count where sessions are counted. Raises ValueError for a folded row there: it hides its sessions.

        `shift` is added to each timestamp to put it on the ledger's clock. `now` None means that each row's own
        timestamp is the clock (a whole log is reprocessed): then nothing is too old or ahead, and a row that ended
        before the next login of its address counts as expired and granted anew. How often `expire` is called in between
        changes these counts only where timestamps run backwards.
        """
        if now is not None and batch and max(batch.last) + shift > now + MAX_AHEAD:
            batch = self._without_ahead(batch, now, shift, ahead)
        # One plain loop with all it needs in local names: half a microsecond a row, of which a replay has 10⁵. Passes
        # over whole columns, one an operation, were measured to take longer.
        rows, bucket, life, idle = self._rows, self._queue.bucket, shift + self.grace, self._held.idle
        changed: dict[str, Grant] = {}
        granted = renewed = expired = 0
        over = _NEVER if now is None else floor(now)
        marked = any(self.marked.values())
        timestamp, end = 0, life
        for ip, first, last, n, user, format_, host in self._logins(batch, now, shift, ahead, changed):
            if last != timestamp:
                # One int object a second instead of one a row: 32 bytes less a row.
                timestamp, end = last, last + life
            if end <= over:
                self._unchanged(ip, "too_old", n)
                continue
            row = rows.get(ip)
            if row is None:
                bucket(end).append(ip)
                granted += 1
                renewed += n - 1
                why = _NEW
            elif first + shift > row[0] and ip not in idle:
                if marked:
                    self._unmark(row)
                granted += 1
                expired += 1
                renewed += n - 1
                why = _NEW
            elif end > row[0]:
                if marked:
                    self._unmark(row)
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
        for name, n in (("granted", granted), ("renewed", renewed), ("expired", expired)):
            if n:
                self.counters[name] += n
        return Delta(set=changed)

    def _without_ahead(self, batch: Batch, now: float, shift: int, ahead: FutureTimestamp) -> Batch:
        """A batch with logins that are ahead of the clock, without these, or with the clock for their timestamps."""
        limit, arrival = now + MAX_AHEAD - shift, floor(now) - shift
        is_ahead = [last > limit and kind == "login" for last, kind in zip(batch.last, batch.kind, strict=True)]
        if ahead == "reject":
            for ip, n in zip(compress(batch.ip, is_ahead), compress(batch.n, is_ahead), strict=True):
                self._unchanged(ip, "refused_ahead", n)
            return batch.select(map(not_, is_ahead))
        self.counters["ahead"] += sum(compress(batch.n, is_ahead))
        first, last = (
            [arrival if late else timestamp for late, timestamp in zip(is_ahead, column, strict=True)]
            for column in (batch.first, batch.last)
        )
        return replace(batch, first=first, last=last)

    def _logins(
        self, batch: Batch, now: float | None, shift: int, ahead: FutureTimestamp, changed: dict[str, Grant]
    ) -> Iterable[LoginRow]:
        """The rows for the loop. With counted sessions a generator, which the loop advances after each row."""
        texts = self._shared(batch.format), self._shared(batch.host)
        if self.counts_sessions:
            batch = replace(batch, format=texts[0], host=texts[1])
            return self._held.logins(batch, changed, now, shift=shift, at_once=now is None or ahead == "reject")
        columns: list[list[Any]] = [batch.ip, batch.first, batch.last, batch.n, batch.user_last, *texts]
        if batch.kind.count("login") < len(batch):
            is_login = [kind == "login" for kind in batch.kind]
            columns = [list(compress(column, is_login)) for column in columns]
        return zip(*columns, strict=True)

    def _share(self, text: str) -> str:
        """One object for equal texts. Each live batch comes with its own: 120 bytes less a row."""
        if len(self._texts) > _MAX_TEXTS:
            self._texts.clear()
        return self._texts.setdefault(text, text)

    def _shared(self, texts: list[str]) -> list[str]:
        # Within a batch they are shared already, so where there are many rows there is nothing to win.
        if len(texts) >= _MANY:
            return texts
        if len(self._texts) > _MAX_TEXTS:
            self._texts.clear()
        return list(map(self._texts.setdefault, texts, texts))

    def _unchanged(self, ip: str, outcome: str, n: int) -> None:
        self.counters[outcome] += n
        if self.explain is not None:
            self.explain(ip, outcome)

    def expire(self, now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """End overdue sessions, then remove the rows whose end has come (now >= expires).

        `gone`, where given, receives them as they last were.
        """
        rows, held = self._rows, self._held
        changed = held.end_due(now)
        ended: dict[str, Grant] = {}
        for ip in self._queue.due(now):
            row = rows[ip]
            if row[0] <= now:
                del rows[ip]
                ended[ip] = row
            elif ip in held.idle:
                held.held.add(ip)
            else:
                self._queue.add(ip, row[0])
        if any(self.marked.values()):
            self._unmark(*ended.values())
        self.counters["expired"] += len(ended)
        if gone is not None:
            gone.update(ended)
        if changed:
            for ip in changed.keys() & ended.keys():
                del changed[ip]
        return Delta(set=changed, removed=tuple(ended))

    def unexpire(self, rows: Mapping[str, Grant]) -> None:
        """Undo `expire` for these rows, none of which is live: for a reprocessed log whose timestamps run backwards."""
        for ip, row in rows.items():
            self._queue.add(ip, row.expires)
        self._rows.update(rows)
        self._mark(*rows.values())
        self.counters["expired"] -= len(rows)

    def state(self) -> State:
        """What another ledger needs to go on from here, but for manual grants (`ledger/manual.py` keeps these)."""
        rows = {ip: row for ip, row in self._rows.items() if row.why != _MANUAL}
        rows.update({ip: rows[ip]._replace(expires=end) for ip, end in self._held.idle.items() if ip in rows})
        return State(rows, list(self.sessions.items()), self.sessions.uncounted)

    def restore(self, state: State, now: float) -> Delta:
        """Take over a state with times on this ledger's clock, before the first `observe`. It grants nothing anew."""
        for ip, row in state.rows.items():
            self._rows[ip] = row._replace(format=self._share(row.format), host=self._share(row.host))
            self._queue.add(ip, row.expires)
        self._mark(*state.rows.values())
        self._held.restore(state)
        self.expire(now)
        return Delta(set=self._rows.copy())

    def finish_replay(self, now: float) -> Delta:
        """After the replay, and before the first `adopt`: rows for addresses whose sessions are still open."""
        changed: dict[str, Grant] = {}
        self._held.finish_replay(now, changed)
        return Delta(set=changed)

    def adopt(self, users: Mapping[str, str | None], now: float) -> Delta:
        """Take over rows of a table that no login explains (address -> user, if known); they end at now + grace.

        To be called after the replay: rows that the ledger has already keep their own end.
        """
        end = floor(now) + self.grace
        changed = {ip: Grant(end, user, "", _RECOVERED) for ip, user in users.items() if ip not in self._rows}
        for ip in changed:
            self._queue.add(ip, end)
        self._rows.update(changed)
        self.marked[_RECOVERED] += len(changed)
        self.counters["recovered"] += len(changed)
        return Delta(set=changed)

    def grant(self, ip: str, end: int) -> Delta:
        """Let an address relay until `end` by an administrator's word; nothing where it may for longer already.

        Such a row names no user, whatever logins there are, so that it is the same after a replay.
        """
        row = self._rows.get(ip)
        if ip in self._held.idle:
            self._held.idle[ip] = max(self._held.idle[ip], end)
        if row is None:
            self._queue.add(ip, end)
        elif row.expires > end:
            return Delta()
        else:
            self._unmark(row)
        self._rows[ip] = granted = Grant(end, None, "", _MANUAL)
        self.marked[_MANUAL] += 1
        return Delta(set={ip: granted})

    def ungrant(self, ip: str, now: float) -> Delta:
        """What a manual grant gave an address is over. A row of its own (`row_origin`) goes by `revoke`; what it added
        to a row that logins or their sessions explain is cut to one grace from now, more than which no login gives."""
        end = floor(now) + self.grace
        if ip in self._held.idle:
            self._held.idle[ip] = min(self._held.idle[ip], end)
            return Delta()
        row = self._rows.get(ip)
        if row is None or row.expires <= end:
            return Delta()
        self._queue.discard([ip])
        self._queue.add(ip, end)
        self._rows[ip] = row = row._replace(expires=end)
        return Delta(set={ip: row})

    def revoke(self, ips: Iterable[str], gone: dict[str, Grant] | None = None) -> Delta:
        """Remove rows before their end (deny list, a guard) and forget their sessions. Walks the whole queue: for rare
        events."""
        ips = list(ips)
        self._held.forget(ips)
        removed = {ip: row for ip in ips if (row := self._rows.pop(ip, None)) is not None}
        if removed:
            self._queue.discard(removed)
            self._unmark(*removed.values())
        if gone is not None:
            gone.update(removed)
        self.counters["revoked"] += len(removed)
        return Delta(removed=tuple(removed))

    def _mark(self, *rows: Grant) -> None:
        """Count rows that come."""
        for row in rows:
            if (origin := row_origin(row)) is not None:
                self.marked[origin] += 1

    def _unmark(self, *rows: Grant) -> None:
        """Count rows that go, or that a login explains from now on."""
        if any(self.marked.values()):
            for row in rows:
                if (origin := row_origin(row)) is not None:
                    self.marked[origin] -= 1


def row_origin(row: Grant) -> Literal["recovered", "manual"] | None:
    """Why there is a row that no login explains; None for one that a login does.

    Rows of a checkpoint are "recovered" too, but a login explained them: they have its format.
    """
    if row.why == _MANUAL:
        return "manual"
    return "recovered" if row.why == _RECOVERED and not row.format else None
