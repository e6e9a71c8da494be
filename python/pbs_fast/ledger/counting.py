"""The ledger of `count_sessions`: an address stays while one of its sessions is open, and grace after the last ended.

Takes rows that were not folded, one event each. Invariants beside the ledger's own, held by tests/ledger:
- a logout never opens a row, unless the login of its session was seen and the row would have stood since;
- a row with open sessions is in no queue once its login's grace is over: it is *held*, and is queued again when the
  last session ends; so each row is queued or held, never both;
- no session holds a row for longer than `max_session` seconds.

Imports the ledger and the sessions. Must not import anything that knows files, tables or clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import floor
from typing import NamedTuple

from pbs_fast.events import MAX_AHEAD, Batch, Counters, Delta, Grant
from pbs_fast.ledger.ledger import Ahead, Ledger
from pbs_fast.ledger.sessions import Ends, Key, Line, OpenSessions, Session

_NEW, _RENEWED, _SESSION = "new", "renewed", "session"


class State(NamedTuple):
    """All that the ledger knows, to be taken over by the next run; times on this ledger's clock."""

    rows: dict[str, Grant]
    """Each with the end that it has without its open sessions."""
    sessions: list[tuple[Key, Session]]

    def moved(self, by: int) -> State:
        """The same with all times moved by some seconds, from one clock to another."""
        return State(
            {ip: row._replace(expires=row.expires + by) for ip, row in self.rows.items()},
            [(key, session._replace(opened=session.opened + by)) for key, session in self.sessions],
        )

    def still(self, now: float, max_session: int) -> State:
        """What of it still holds at a time on its clock."""
        sessions = [(key, session) for key, session in self.sessions if session.opened + max_session > now]
        open_ones = {session.ip for _, session in sessions}
        return State({ip: row for ip, row in self.rows.items() if row.expires > now or ip in open_ones}, sessions)


class CountingLedger(Ledger):
    """The live rows and the open sessions. Not for several threads at once."""

    def __init__(
        self, grace: int, counters: Counters | None = None, *, max_session: int, ends: Mapping[str, Ends]
    ) -> None:
        """Times in seconds; `ends` as for `OpenSessions`. Counts further: `session_opened`, `session_closed`,
        `session_overdue`, and `session_row` for rows that an open session alone explains."""
        super().__init__(grace, counters)
        self.sessions = OpenSessions(max_session, ends)
        #: End of a row without its open sessions; for addresses with open sessions and a row only.
        self._idle: dict[str, int] = {}
        self._held: set[str] = set()
        #: Addresses with a session and no row, and the end that a row would have without the session: in a replay, a
        #: later line may tell the session's end.
        self._waiting: dict[str, int] = {}
        self._settled = False
        #: Logouts that came while the past was still read, in which their logins may stand.
        self._deferred: list[tuple[Line, float]] = []

    @property
    def window(self) -> int:
        """How many seconds back a login may lie that explains a row: its session may still be open."""
        return max(self.grace, self.sessions.max_session)

    def fresh(self) -> CountingLedger:
        """An empty ledger of the same kind, which counts into the same counters."""
        return CountingLedger(self.grace, self.counters, max_session=self.sessions.max_session, ends=self.sessions.ends)

    def held(self) -> int:
        """Rows that stand in no queue, because their sessions are open."""
        return len(self._held)

    def next_expiry(self) -> int | None:
        """When to call `expire` next, at the latest. None when there is nothing to look at."""
        times = [time for time in (super().next_expiry(), self.sessions.next_overdue()) if time is not None]
        return min(times, default=None)

    def observe(self, batch: Batch, now: float | None, *, shift: int = 0, ahead: Ahead = "arrival") -> Delta:
        """Take the logins and logouts of a batch that was not folded, as `Ledger.observe` does.

        Until `settle` was called, a login that is too old for a grant of its own waits for it, because a later line may
        end its session; and so do logouts of now (`ahead="arrival"`), whose logins may not be read yet. Raises
        ValueError for a folded row: sessions cannot be told apart in it.
        """
        if any(n != 1 for n in batch.n):
            raise ValueError("a folded row cannot be counted; sessions need one row an event")
        changed: dict[str, Grant] = {}
        for kind, line, user in _lines(batch, shift):
            if kind == "login":
                self._login(line, user, changed, now, ahead)
            elif now is not None and ahead == "arrival" and not self._settled:
                self._deferred.append((line, now))
            else:
                self._logout(line, changed, now)
        if self._settled and now is not None:
            self._settle(changed, now)
        return Delta(set=changed)

    def settle(self, now: float) -> Delta:
        """After the replay: rows for the addresses whose sessions are still open though their logins are long past."""
        changed: dict[str, Grant] = {}
        for line, then in self._deferred:
            self._logout(line, changed, then)
        self._deferred.clear()
        self._settled = True
        self._settle(changed, now)
        return Delta(set=changed)

    def expire(self, now: float, gone: dict[str, Grant] | None = None) -> Delta:
        """End overdue sessions, then remove the rows whose end has come."""
        changed: dict[str, Grant] = {}
        self._end_overdue(now, changed)
        removed = super().expire(now, gone).removed
        for ip in removed:
            changed.pop(ip, None)
        return Delta(set=changed, removed=removed)

    def revoke(self, ips: Iterable[str], gone: dict[str, Grant] | None = None) -> Delta:
        """Remove rows before their end, and forget their sessions."""
        ips = list(ips)
        for ip in ips:
            self.sessions.forget(ip)
            self._idle.pop(ip, None)
            self._held.discard(ip)
            self._waiting.pop(ip, None)
        return super().revoke(ips, gone)

    def state(self) -> State:
        """What the next run needs to go on from here."""
        rows = {ip: row._replace(expires=self._idle.get(ip, row.expires)) for ip, row in self._rows.items()}
        return State(rows, list(self.sessions.items()))

    def restore(self, state: State, now: float) -> Delta:
        """Take over an earlier run's state, times on this ledger's clock. Before the first `observe`."""
        self.sessions.restore(state.sessions)
        for ip, row in state.rows.items():
            self._rows[ip] = row
            self._enqueue(ip, row.expires)
            if ip in self.sessions:
                self._hold(ip, row.expires, {})  # the Delta below has all rows
        for _, session in state.sessions:
            if session.ip not in self._rows:
                self._waiting[session.ip] = session.opened + self.grace
        self.expire(now)
        return Delta(set=self._rows.copy())

    def _requeue(self, ip: str, end: int) -> None:
        if ip in self._idle:
            self._held.add(ip)
        else:
            super()._requeue(ip, end)

    def _login(self, line: Line, user: str | None, changed: dict[str, Grant], now: float | None, ahead: Ahead) -> None:
        counters, ip = self.counters, line.ip
        if now is None:
            self._end_overdue(line.stamp, changed)
        elif line.stamp > now + MAX_AHEAD:
            if ahead == "refuse":
                self._unchanged(ip, "refused_ahead", 1)
                return
            counters["ahead"] += 1
            line = line._replace(stamp=floor(now))
        opened = self.sessions.open(line, user)
        counters["session_opened"] += opened
        end = line.stamp + self.grace
        row = self._rows.get(ip)
        if now is not None and end <= now:
            self._unchanged(ip, "too_old", 1)
            if opened and row is None:
                self._waiting[ip] = max(self._waiting.get(ip, end), end)
        elif row is None or (ip not in self._idle and line.stamp > row.expires):
            if row is None:
                self._enqueue(ip, end)
            else:
                counters["expired"] += 1
            self.granted += 1
            counters["granted"] += 1
            self._waiting.pop(ip, None)
            row = self._put(changed, ip, Grant(end, user, line.format, _NEW, line.host))
        else:
            known = self._idle.get(ip, row.expires)
            if end < known:
                self._unchanged(ip, "late", 1)
            else:
                counters["renewed"] += 1
                if end > known:
                    if ip in self._idle:
                        self._idle[ip] = end
                    why = _NEW if ip in changed and changed[ip].why == _NEW else _RENEWED
                    row = self._put(changed, ip, Grant(max(end, row.expires), user, line.format, why, line.host))
        if row is not None and ip in self.sessions:
            self._hold(ip, self._idle.get(ip, row.expires), changed)

    def _logout(self, line: Line, changed: dict[str, Grant], now: float | None) -> None:
        session = self.sessions.close(line)
        if session is None:
            self.counters["logout_unused"] += 1
            return
        self.counters["session_closed"] += 1
        over = line.stamp if now is None else min(line.stamp, floor(now))
        if line.stamp >= self._cap(session):
            over = session.opened  # a session that was overdue gives no grace after its end
        self._ended(session, over + self.grace, changed, now)

    def _ended(self, session: Session, end: int, changed: dict[str, Grant], now: float | None) -> None:
        """The row of a session that is over may stay until `end`, or for its other sessions."""
        ip = session.ip
        row = self._rows.get(ip)
        if row is None:
            end = max(self._waiting.pop(ip, end), end)
            if ip in self.sessions:
                self._waiting[ip] = end
            elif now is not None and end > now:
                self._insert(session, end, changed)
            return
        idle = max(self._idle.pop(ip, row.expires), end)
        if ip in self.sessions:
            self._idle[ip] = idle
            return
        self._put(changed, ip, row._replace(expires=idle, why=_SESSION))
        if ip in self._held:
            self._held.remove(ip)
            self._enqueue(ip, idle)

    def _end_overdue(self, now: float, changed: dict[str, Grant]) -> None:
        for session in self.sessions.overdue(now):
            self.counters["session_overdue"] += 1
            self._ended(session, session.opened + self.grace, changed, None)

    def _settle(self, changed: dict[str, Grant], now: float) -> None:
        for ip, end in self._waiting.items():
            session = self.sessions.youngest(ip)
            if session is None or self._cap(session) <= now:
                continue
            if ip not in self._rows:
                self._insert(session, end, changed)
            self._hold(ip, self._idle.get(ip, self._rows[ip].expires), changed)
        self._waiting.clear()

    def _cap(self, session: Session) -> int:
        return session.opened + self.sessions.max_session

    def _insert(self, session: Session, end: int, changed: dict[str, Grant]) -> None:
        self.counters["session_row"] += 1
        self._enqueue(session.ip, end)
        self._put(changed, session.ip, Grant(end, session.user, session.format, _SESSION, session.host))

    def _hold(self, ip: str, idle: int, changed: dict[str, Grant]) -> None:
        """The row stands for as long as its sessions may: until the youngest one's cap at the latest."""
        self._idle[ip] = idle
        row, session = self._rows[ip], self.sessions.youngest(ip)
        if session is not None and self._cap(session) > row.expires:
            self._put(changed, ip, row._replace(expires=self._cap(session)))

    def _put(self, changed: dict[str, Grant], ip: str, row: Grant) -> Grant:
        row = row._replace(format=self._share(row.format), host=self._share(row.host))
        self._rows[ip] = changed[ip] = row
        return row


def _lines(batch: Batch, shift: int) -> Iterator[tuple[str, Line, str | None]]:
    columns = (
        batch.kind,
        batch.host,
        batch.format,
        batch.process,
        batch.session,
        batch.ip,
        batch.last,
        batch.user_last,
    )
    for kind, host, format_, process, session, ip, last, user in zip(*columns, strict=True):
        yield kind, Line(batch.source, host, format_, process, session, ip, last + shift), user
