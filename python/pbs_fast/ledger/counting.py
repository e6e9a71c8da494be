"""The rows that `count_sessions` keeps: an address stays while one of its sessions is open, and grace after the last.

What a login gives is the ledger's rule (`Ledger.observe`); this is what its session adds. Rows are not folded, one
event each. Invariants, held by tests/ledger:
- a logout never opens a row, unless the login of its session was seen and the row would have lasted until now;
- a row with open sessions leaves the queue once its login's grace is over: it is *held*, and is queued again when the
  last session ends; so each row is queued or held, never both;
- no session holds a row for longer than `max_session` seconds;
- a session that something other than its logout ends leaves its row what the login gave, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import floor

from pbs_fast.events import Batch, Counters, Grant, Kind
from pbs_fast.ledger.expiry import ExpiryQueue
from pbs_fast.ledger.origins import Covers, Origins
from pbs_fast.ledger.sessions import Line, OpenSessions, Session
from pbs_fast.ledger.state import State

#: Logouts of now that wait for the end of a replay; later ones are taken at once.
_MOST_DEFERRED = 131_072

_SESSION = "session"

#: Address, first and last timestamp, number of logins, user, format, host.
LoginRow = tuple[str, int, int, int, str | None, str, str]


class HeldRows:
    """What open sessions do to the rows of a ledger, which asks for it."""

    def __init__(
        self,
        sessions: OpenSessions,
        grace: int,
        rows: dict[str, Grant],
        queue: ExpiryQueue,
        counters: Counters,
        origins: Origins,
    ) -> None:
        """`rows`, `queue` and `origins` are the ledger's.

        Counts `session_opened`, `session_closed`, `session_overdue`; `session_lost` for sessions that a start, a killed
        process, an error or another login with the same id ended; `session_uncounted` for those of servers whose ends
        are not recognised; and `session_row` for rows that an open session alone explains.
        """
        self.idle: dict[str, int] = {}
        """End of a row without its open sessions; for addresses with open sessions and a row only."""
        self.held: set[str] = set()
        """Addresses whose rows are in no queue."""
        self.others: dict[str, Grant] = {}
        """Rows of other nodes for addresses in `idle`: they count when the sessions are over, if they last longer."""
        self.newest: dict[str, int] = {}
        """The newest login that opened a session, for rows that sessions explain."""
        self._sessions, self._grace, self._origins = sessions, grace, origins
        self._rows, self._queue, self._counters = rows, queue, counters
        #: Addresses with a session and no row, and the end that a row would have without the session: in a replay, a
        #: later line may end the session.
        self._waiting: dict[str, int] = {}
        self._replaying = True
        #: Logouts that came while the past was still read, which may hold their logins.
        self._deferred: list[tuple[Kind, Line, str | None, float]] = []
        #: Whether all that was logged up to now was seen, so that what was not seen did not happen.
        self._in_order = False

    def logins(
        self, batch: Batch, changed: dict[str, Grant], now: float | None, *, shift: int, at_once: bool
    ) -> Iterator[LoginRow]:
        """The logins of a batch, for the ledger to apply before it takes the next; everything else is done in between.

        Until `finish_replay`, a login that is too old for a grant of its own waits for it, because a later line may end
        its session; and so do logouts, unless `at_once`, because their logins may not be read yet. Raises ValueError
        for a folded row: sessions cannot be told apart in it.
        """
        if any(n != 1 for n in batch.n):
            raise ValueError("a folded row cannot be counted; sessions need one row an event")
        self._in_order |= now is None
        columns = batch.kind, batch.host, batch.format, batch.process, batch.session, batch.ip, batch.last
        for kind, host, format_, process, session, ip, last, user in zip(*columns, batch.user_last, strict=True):
            line = Line(batch.source, host, format_, process, session, ip, last + shift)
            if kind == "login":
                if now is None:
                    self._end_overdue(line.timestamp, changed)
                before = self._rows.get(ip)
                if before is not None and ip in self.idle:
                    # The login is judged by what the logins before it gave, not by how long sessions may last.
                    self._rows[ip] = before._replace(expires=self.idle[ip])
                yield ip, last, last, 1, user, format_, host
                self._open(line, user, before, changed)
            elif self._replaying and not at_once and now is not None and len(self._deferred) < _MOST_DEFERRED:
                self._deferred.append((kind, line, user, now))
            else:
                self._end(kind, line, user, changed, now)
        if not self._replaying and now is not None:
            self._insert_waiting(changed, now)

    def finish_replay(self, now: float, changed: dict[str, Grant]) -> None:
        """After the replay: rows for the addresses whose sessions are still open though their logins are long past."""
        for kind, line, user, then in self._deferred:
            self._end(kind, line, user, changed, then)
        self._deferred.clear()
        self._replaying, self._in_order = False, True
        self._end_unrecognised(now, changed)
        self._insert_waiting(changed, now)

    def end_due(self, now: float) -> dict[str, Grant]:
        """End the sessions that are overdue or not recognised; the rows that change."""
        changed: dict[str, Grant] = {}
        self._end_overdue(now, changed)
        self._end_unrecognised(now, changed)
        return changed

    def ended(self, rows: Mapping[str, Grant]) -> None:
        """These rows have ended, which no session holds."""
        if self.newest:
            for ip in rows.keys() & self.newest.keys():
                del self.newest[ip]

    @property
    def keeps(self) -> bool:
        """False while no session keeps a row: then each ends one grace after its login."""
        return bool(self.newest or self.idle)

    def newest_logins(self, rows: Iterable[tuple[str, Grant]]) -> list[int]:
        """The second of the newest login that explains each of these own rows."""
        if not self.keeps:
            return [own.expires - self._grace for _, own in rows]
        return [self._newest_login(ip, own) for ip, own in rows]

    def _newest_login(self, ip: str, own: Grant) -> int:
        if ip in self.newest and (ip in self.idle or own.why == _SESSION):
            return self.newest[ip]
        session = self._sessions.youngest(ip) if ip in self.idle else None
        return own.expires - self._grace if session is None else session.opened

    def forget(self, ips: Iterable[str]) -> None:
        """The rows of these addresses are removed; their sessions end without any effect."""
        for ip in ips:
            self._sessions.forget(ip)
            self.idle.pop(ip, None)
            self.held.discard(ip)
            self.others.pop(ip, None)
            self.newest.pop(ip, None)
            self._waiting.pop(ip, None)

    def withdraw(self, ip: str, covers: Covers, changed: dict[str, Grant]) -> None:
        """End the sessions of an address that are revoked, though a later login is not."""
        if ip in self.idle:
            ended = self._sessions.end(
                ip, lambda each: covers(ip, Grant(0, each.user, each.format, _SESSION, each.host), each.opened)
            )
            self._lose(ended, "session_lost", changed)

    def restore(self, state: State) -> None:
        """Take over the sessions of a state whose rows the ledger has taken over."""
        self._sessions.restore(state.sessions, state.uncounted)
        for _, session in state.sessions:
            row = self._rows.get(session.ip)
            if row is None:
                self._waiting[session.ip] = session.opened + self._grace
            elif session.ip not in self.idle:
                self._hold(session.ip, row, row, {})

    def _open(self, line: Line, user: str | None, before: Grant | None, changed: dict[str, Grant]) -> None:
        """The session of a login that the ledger has applied; `before` is the row before it."""
        ip = line.ip
        opened = self._sessions.open(line, user)
        self._counters["session_opened"] += opened
        row = self._rows.get(ip)
        if row is not None:
            self.newest[ip] = max(line.timestamp, self.newest.get(ip, line.timestamp))
            self._waiting.pop(ip, None)
            if ip in self._sessions:
                self._hold(ip, row, before or row, changed)
        elif opened:
            self._waiting[ip] = max(self._waiting.get(ip, 0), line.timestamp + self._grace)
        if self._sessions.replaced:
            self._lose(self._sessions.replaced, "session_lost", changed)
            self._sessions.replaced.clear()

    def _end(self, kind: Kind, line: Line, user: str | None, changed: dict[str, Grant], now: float | None) -> None:
        """A logout, or other words that end sessions."""
        if kind == "logout":
            self._logout(line, changed, now)
            return
        if now is not None:
            line = line._replace(timestamp=min(line.timestamp, floor(now)))
        if kind == "restart":
            lost = self._sessions.restarted(line)
        elif kind == "killed":
            lost = self._sessions.killed(line)
        else:
            lost = self._sessions.aborted(line, user)
        self._lose(lost, "session_lost", changed)

    def _logout(self, line: Line, changed: dict[str, Grant], now: float | None) -> None:
        session = self._sessions.close(line)
        if session is None:
            self._counters["logout_unused"] += 1
            return
        self._counters["session_closed"] += 1
        over = line.timestamp if now is None else min(line.timestamp, floor(now))
        if line.timestamp >= self._cap(session):
            over = session.opened  # a session that was overdue gives no grace after its end
        self._ended(session, over + self._grace, changed, now)

    def _end_overdue(self, now: float, changed: dict[str, Grant]) -> None:
        self._lose(self._sessions.overdue(now), "session_overdue", changed)

    def _end_unrecognised(self, now: float, changed: dict[str, Grant]) -> None:
        if self._in_order:
            self._lose(self._sessions.unrecognised(now), "session_uncounted", changed)

    def _lose(self, sessions: Iterable[Session], counter: str, changed: dict[str, Grant]) -> None:
        for session in sessions:
            self._counters[counter] += 1
            self._ended(session, session.opened + self._grace, changed, None)

    def _ended(self, session: Session, end: int, changed: dict[str, Grant], now: float | None) -> None:
        """The row of a session that is over may stay until `end`, or for its other sessions."""
        ip = session.ip
        row = self._rows.get(ip)
        if row is None:
            end = max(self._waiting.pop(ip, end), end)
            if ip in self._sessions:
                self._waiting[ip] = end
            elif now is not None and end > now:
                self._insert(session, end, changed)
            return
        idle = max(self.idle.pop(ip, row.expires), end)
        if ip in self._sessions:
            self.idle[ip] = idle
            return
        self._origins.unmark(row)
        self._rows[ip] = row._replace(expires=idle, why=_SESSION)
        other = self.others.pop(ip, None)
        if other is not None and other.expires > idle:
            self._origins.replace(ip, other)
        changed[ip] = self._rows[ip]
        if ip in self.held:
            self.held.remove(ip)
            self._queue.add(ip, self._rows[ip].expires)

    def _insert_waiting(self, changed: dict[str, Grant], now: float) -> None:
        for ip, end in self._waiting.items():
            session = self._sessions.youngest(ip)
            if session is None or self._cap(session) <= now:
                continue
            if ip not in self._rows:
                self._insert(session, end, changed)
            if ip not in self.idle:
                self._hold(ip, self._rows[ip], self._rows[ip], changed)
        self._waiting.clear()

    def _insert(self, session: Session, end: int, changed: dict[str, Grant]) -> None:
        self._counters["session_row"] += 1
        self.newest[session.ip] = session.opened
        self._queue.add(session.ip, end)
        self._rows[session.ip] = changed[session.ip] = Grant(end, session.user, session.format, _SESSION, session.host)

    def _hold(self, ip: str, row: Grant, before: Grant, changed: dict[str, Grant]) -> None:
        """A `row` without its sessions, which was `before`, stays for as long as these may: until the youngest one's
        cap at the latest."""
        session = self._sessions.youngest(ip)
        if row.node and session is not None:
            self.others[ip] = row
            self._origins.unmark(row)
            own = Grant(session.opened + self._grace, session.user, session.format, _SESSION, session.host)
            row = self._origins.hidden.pop(ip, own)
        self.idle[ip] = row.expires
        cap = 0 if session is None else self._cap(session)
        row = row._replace(expires=max(cap, row.expires, before.expires))
        self._rows[ip] = row
        if ip in changed or row != before:
            changed[ip] = row

    def _cap(self, session: Session) -> int:
        return session.opened + self._sessions.max_session
