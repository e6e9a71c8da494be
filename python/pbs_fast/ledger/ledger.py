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

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from math import floor

from pbs_fast.events import MAX_AHEAD, Batch, Counters, Delta, Grant, SharedRow
from pbs_fast.ledger.counting import HeldRows, LoginRow
from pbs_fast.ledger.expiry import COARSE, ExpiryQueue
from pbs_fast.ledger.intake import FutureTimestamp, Texts, login_rows, without_ahead
from pbs_fast.ledger.origins import MANUAL, NEW, RENEWED, Covers, Origins
from pbs_fast.ledger.sessions import OpenSessions
from pbs_fast.ledger.state import State

#: Each event of a login row ends in exactly one of these counters.
OUTCOMES = ("granted", "renewed", "late", "too_old", "refused_ahead")

#: A time before all timestamps.
_NEVER = -(1 << 62)

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
        self._texts = Texts()
        self.counts_sessions = sessions is not None
        self.sessions = OpenSessions(0, {}) if sessions is None else sessions
        """The open sessions; none is ever open where they are not counted."""
        self._origins = Origins(self._rows, self._queue, self.counters)
        self.marked = self._origins.marked
        """How many rows there are that no login of our own logs explains, by origin (`row_origin`)."""
        self._held = HeldRows(self.sessions, grace, self._rows, self._queue, self.counters, self._origins)

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
        first, overdue = self._queue.next(), self.sessions.next_overdue()
        return overdue if first is None else first if overdue is None else min(first, overdue)

    def observe(
        self,
        batch: Batch,
        now: float | None,
        *,
        shift: int = 0,
        ahead: FutureTimestamp = "clamp",
        watched: bool = True,
    ) -> Delta:
        """Take the logins of a batch; the Delta sets new and renewed rows and removes none. Logouts, and what else ends
        sessions, count where sessions are counted. Raises ValueError for a folded row there: it hides its sessions.

        `shift` is added to each timestamp to put it on the ledger's clock. `now` None means that each row's own
        timestamp is the clock (a whole log is reprocessed): then nothing is too old or ahead, and a row that ended
        before the next login of its address counts as expired and granted anew. How often `expire` is called in between
        changes these counts only where timestamps run backwards.

        `watched` false is for a replay of which only the rows are wanted: the Delta is empty, and `expire` gives rows
        in no order.
        """
        if now is not None and batch and max(batch.last) + shift > now + MAX_AHEAD:
            batch, refused, clamped = without_ahead(batch, now, shift, ahead)
            if clamped:
                self.counters["ahead"] += clamped
            for ip, n in refused:
                self._unchanged(ip, "refused_ahead", n)
        # One plain loop with all it needs in local names: half a microsecond a row, of which a replay has 10⁵. Passes
        # over whole columns, one an operation, take as long (measured, Python 3.11).
        rows, bucket, life, idle = self._rows, self._queue.bucket, shift + self.grace, self._held.idle
        watched |= self.counts_sessions
        span = 1 if watched else COARSE
        due = past = _NEVER
        queue: Callable[[str], None]
        changed: dict[str, Grant] = {}
        granted = renewed = expired = 0
        over = _NEVER if now is None else floor(now)
        hidden: dict[str, Grant] = {}
        marked = any(self.marked.values()) or bool(self._held.others)
        timestamp, end = 0, life
        texts = self._texts.of(batch.format), self._texts.of(batch.host)
        logins: Iterable[LoginRow]
        if self.counts_sessions:  # a generator, which this loop advances after each row
            shared = replace(batch, format=texts[0], host=texts[1])
            logins = self._held.logins(shared, changed, now, shift=shift, at_once=now is None or ahead == "reject")
        else:
            logins = login_rows(batch, *texts)
        for ip, first, last, n, user, format_, host in logins:
            if last != timestamp:
                # One int object a second instead of one a row: 32 bytes less a row.
                timestamp, end = last, last + life
            if end <= over:
                self._unchanged(ip, "too_old", n)
                continue
            row = rows.get(ip)
            if row is None:
                if not due <= end < past:
                    due = end - end % span
                    past = due + span
                    queue = bucket(due).append
                queue(ip)
                granted += 1
                renewed += n - 1
                why = NEW
            elif first + shift > row[0] and ip not in idle:
                if marked:
                    self._origins.unmark(row)
                granted += 1
                expired += 1
                renewed += n - 1
                why = NEW
            elif end > row[0]:
                if marked:
                    self._origins.unmark(row)
                renewed += n
                why = NEW if ip in changed and changed[ip].why == NEW else RENEWED
            else:
                if end == row[0]:
                    renewed += n
                else:
                    self._unchanged(ip, "late", n)
                if marked and self._origins.hide(ip, own := Grant(end, user, format_, RENEWED, host)):
                    hidden[ip] = own
                continue
            rows[ip] = row = _new_tuple(Grant, (end, user, format_, why, host, ""))
            if watched:
                changed[ip] = row
            if marked:
                self._origins.hidden.pop(ip, None)
        self.granted += granted
        for name, n in (("granted", granted), ("renewed", renewed), ("expired", expired)):
            if n:
                self.counters[name] += n
        return Delta(set=changed, hidden=hidden)

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
        ended: dict[str, Grant] = {} if gone is None or gone else gone
        for ip in self._queue.due(now):
            row = rows[ip]
            if row[0] <= now:
                del rows[ip]
                ended[ip] = row
            elif ip in held.idle:
                held.held.add(ip)
            else:
                self._queue.add(ip, row[0])
        self._origins.unmark(*ended.values())
        self._origins.ended(ended)
        held.ended(ended)
        self.counters["expired"] += len(ended)
        if gone is not None and ended is not gone:
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
        self._origins.mark(*rows.values())
        self.counters["expired"] -= len(rows)

    def state(self) -> State:
        """What another ledger needs to go on from here, but for manual grants (`ledger/manual.py` keeps these) and for
        rows of other nodes, which the hubs give again."""
        rows = {ip: row for ip, row in self._rows.items() if row.why != MANUAL and not row.node}
        rows = {**self._origins.hidden, **rows}
        rows.update({ip: rows[ip]._replace(expires=end) for ip, end in self._held.idle.items() if ip in rows})
        return State(rows, list(self.sessions.items()), self.sessions.uncounted)

    def restore(self, state: State, now: float) -> Delta:
        """Take over a state with times on this ledger's clock, before the first `observe`. It grants nothing anew."""
        for ip, row in state.rows.items():
            self._rows[ip] = row._replace(format=self._texts.one(row.format), host=self._texts.one(row.host))
            self._queue.add(ip, row.expires)
        self._origins.mark(*state.rows.values())
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
        changed = self._origins.adopt(users, floor(now) + self.grace)
        self.counters["recovered"] += len(changed)
        return Delta(set=changed)

    def merge(self, rows: Iterable[SharedRow], now: float, *, fresh: bool = True) -> Delta:
        """Take rows of other nodes: each acts as a login that lasts until its end, if that is later than what there is.

        Commutative and idempotent. Counts `hub_new`, `hub_renewed`, `hub_late`; new rows count as `granted` if `fresh`.
        """
        changed, new = self._origins.merge(rows, now, self._held)
        if fresh:
            self.granted += new
        return Delta(set=changed)

    def distrust(self, nodes: Container[str], now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """Remove the rows of these nodes, but for what our own logs explain. Walks all rows: for rare events."""
        delta, removed = self._origins.distrust(nodes, now, self._held)
        self.counters["revoked"] += len(removed)
        if gone is not None:
            gone.update(removed)
        return delta

    def withdraw(self, ips: Iterable[str], covers: Covers, now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """Remove what is revoked of these addresses: `covers` is asked about the row of another node and about that of
        this one, each by itself, and what it does not cover stays. Walks the whole queue."""
        removed: list[str] = []
        kept: dict[str, Grant] = {}
        changed: dict[str, Grant] = {}
        for ip in ips:
            if ip in self._rows:
                login = next(iter(self.logins(self.owns([ip]))), None)
                goes, left = self._origins.judge(ip, covers, login, now, self._held)
                if not goes:
                    self._held.withdraw(ip, covers, changed)
                    continue
                removed.append(ip)
                if left is not None:
                    kept[ip] = left
        self.revoke(removed, gone)
        self._origins.put_back(kept)
        return Delta(set={**changed, **kept}, removed=tuple(ip for ip in removed if ip not in kept))

    def own(self, ip: str) -> Grant | None:
        """The row of an address that our own logs explain, even if a longer one of another node, or a manual grant,
        hides it."""
        return self._origins.own(ip)

    def owns(self, ips: Iterable[str]) -> list[tuple[str, Grant]]:
        """Those of these addresses that have such a row, with it."""
        return self._origins.owns(ips)

    def owns_of(self, rows: Mapping[str, Grant]) -> list[tuple[str, Grant]]:
        """The same for the addresses of rows that were just set here, or that a longer one hides."""
        return self._origins.owns_of(rows)

    def logins(self, rows: Iterable[tuple[str, Grant]]) -> list[int]:
        """The second of the newest login that explains each of these own rows."""
        return self._held.newest_logins(rows)

    @property
    def sessions_keep(self) -> bool:
        """Whether sessions keep rows, or kept some that are left: else each ends one grace after its login."""
        return self._held.keeps

    def grant(self, ip: str, end: int) -> Delta:
        """Let an address relay until `end` by an administrator's word; nothing where it may for longer already.

        Such a row names no user, whatever logins there are, so that it is the same after a replay.
        """
        return self._origins.grant(ip, end, self._held)

    def ungrant(self, ip: str, now: float) -> Delta:
        """What a manual grant gave an address is over. A row of its own (`row_origin`) goes by `revoke`; what it added
        to a row that logins or their sessions explain is cut to one grace from now, more than which no login gives."""
        return self._origins.ungrant(ip, floor(now) + self.grace, self._held)

    def revoke(self, ips: Iterable[str], gone: dict[str, Grant] | None = None) -> Delta:
        """Remove rows before their end (deny list, a guard) and forget their sessions. Walks the whole queue: for rare
        events."""
        ips = list(ips)
        self._held.forget(ips)
        removed = {ip: row for ip in ips if (row := self._rows.pop(ip, None)) is not None}
        if removed:
            self._queue.discard(removed)
            self._origins.unmark(*removed.values())
            self._origins.ended(removed)
        if gone is not None:
            gone.update(removed)
        self.counters["revoked"] += len(removed)
        return Delta(removed=tuple(removed))
