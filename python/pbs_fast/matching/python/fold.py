"""The fold: logins to rows, one per address where order does not matter (docs/MATCHING.md, 6).

Works only on records whose order has been resolved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pbs_fast.events import MAX_AHEAD, Batch
from pbs_fast.matching.python.record import IP, KIND, SESSION, TIMESTAMP, WIDTH, tuples
from pbs_fast.matching.python.tags import ENDINGS

if TYPE_CHECKING:
    from pbs_fast.matching.python.record import Fields, Key

MAX_USERS: Final = 64
"""Distinct users of a row are counted to this number."""

_USER: Final = 5

_EVERY: Final = -(1 << 62)
"""A gap so negative that each login opens a row: far beyond all timestamps."""


class _More:
    """What later events made of a row. Most rows have one event and none of this."""

    __slots__ = ("last", "n", "user_first", "user_last", "users")

    def __init__(self, first: Fields) -> None:
        self.last: int = first[TIMESTAMP]
        self.n = 1
        self.user_first: str | None = first[_USER]
        self.user_last = self.user_first
        self.users: set[str] = set() if self.user_first is None else {self.user_first}


class _Group:
    """The open rows of one address on one side of the reference, where these are several."""

    __slots__ = ("latest", "rows")

    def __init__(self, latest: int) -> None:
        self.latest = latest
        self.rows: dict[tuple[object, ...], int] = {}


_Open = dict[str, "int | _Group"]
"""Address -> its one open row, or several."""


class Fold:
    """Rows of the next Batch: the records that opened them, and what later ones added to some."""

    def __init__(self, source: str, gap: int | None, *, fold: bool, sessions: bool) -> None:
        """Without `sessions` no row of a logout, and no `process`. Raises ValueError for a negative gap."""
        if gap is None:
            gap = _EVERY
        elif gap < 0:
            raise ValueError(f"a gap cannot be {gap} seconds; give 0 or more")
        self._source, self._gap, self._fold, self._sessions = source, gap, fold, sessions and not fold
        self._begin()

    def _begin(self) -> None:
        self._rows: Fields = []
        """The records that opened rows; a row's number is that of its record."""
        self._more: dict[int, _More] = {}
        # One dict a side of the reference: its keys are texts, whose hash is known, and no tuples.
        self._open: _Open = {}
        self._open_ahead: _Open = {}

    def take(self) -> Batch:
        """The rows since the last take."""
        rows, more = self._rows, self._more
        self._begin()
        if not rows:
            return Batch(self._source)
        columns = (rows[column::WIDTH] for column in range(WIDTH))
        offset, kind, ip, first, name, user, host, session, tls, loop, _, key, pid = columns
        last, n, user_last, users = list(first), [1] * len(ip), list(user), [int(text is not None) for text in user]
        for i, added in more.items():
            last[i], n[i] = added.last, added.n
            user[i], user_last[i], users[i] = added.user_first, added.user_last, len(added.users)
        done: list[list[Any]] = [
            ip,
            first,
            last,
            n,
            kind,
            name,
            host,
            offset,
            tls,
            loop,
            [None] * len(ip) if self._fold else session,
            user,
            user_last,
            users,
            list(map(_process, key, pid)) if self._sessions else [""] * len(ip),
        ]
        return Batch(self._source, *done)

    def add(self, fields: Fields, reference: int) -> None:
        """Resolved records in order."""
        if self._fold:
            self._add_logins(fields, reference + MAX_AHEAD)
        else:
            self._add_all(fields)

    def _add_all(self, fields: Fields) -> None:
        """Those with an address, endings, and logouts that can end a session without one, by its id or a pid."""
        for record in tuples(fields):
            if record[KIND] == "logout" and not self._sessions:
                continue
            if record[IP] is not None and record[TIMESTAMP] is not None:
                self._rows.extend(record)
            elif record[KIND] in ENDINGS or (
                record[KIND] == "logout" and (record[SESSION] is not None or record[-1] is not None)
            ):
                self._rows.extend((*record[:IP], "", *record[IP + 1 :]))

    def _add_logins(self, fields: Fields, latest_now: int) -> None:
        rows, more, gap = self._rows, self._more, self._gap
        here, ahead = self._open, self._open_ahead
        row = len(rows) // WIDTH
        columns = fields[KIND::WIDTH], fields[IP::WIDTH], fields[TIMESTAMP::WIDTH], range(0, len(fields), WIDTH)
        for kind, ip, timestamp, at in zip(*columns, strict=True):
            if kind != "login":
                continue
            open_rows = here if timestamp <= latest_now else ahead
            # One search for a new address, and no call for one whose row the gap has closed: nearly all of a hub's.
            known = open_rows.setdefault(ip, row)
            if known != row:
                if isinstance(known, int) and known not in more and timestamp > rows[known * WIDTH + TIMESTAMP] + gap:
                    open_rows[ip] = row
                elif self._joined(open_rows, known, fields[at : at + WIDTH], row):
                    continue
            rows += fields[at : at + WIDTH]
            row += 1

    def _joined(self, open_rows: _Open, known: int | _Group, login: Fields, new: int) -> bool:
        """Whether the login was added to an open row; else row `new` is open, and the caller appends it."""
        ip, timestamp = login[IP], login[TIMESTAMP]
        latest = known.latest if isinstance(known, _Group) else self._last(known)
        if timestamp > latest + self._gap:
            open_rows[ip] = new
            return False
        if isinstance(known, _Group):
            group = known
            group.latest = max(latest, timestamp)
            row = group.rows.setdefault(_key(login), new)
        else:
            row = known
            first = self._row(known)
            if _key(first) != _key(login):
                open_rows[ip] = group = _Group(max(latest, timestamp))
                group.rows[_key(first)] = row
                row = group.rows[_key(login)] = new
        if row == new:
            return False
        self._extend(row, login)
        return True

    def _row(self, row: int) -> Fields:
        """The record that opened it."""
        return self._rows[row * WIDTH : (row + 1) * WIDTH]

    def _last(self, row: int) -> int:
        more = self._more.get(row)
        last: int = self._rows[row * WIDTH + TIMESTAMP] if more is None else more.last
        return last

    def _extend(self, row: int, login: Fields) -> None:
        more = self._more.get(row)
        if more is None:
            self._more[row] = more = _More(self._row(row))
        more.n += 1
        more.last = max(more.last, login[TIMESTAMP])
        user = login[_USER]
        if user is not None:
            more.user_last = user
            if more.user_first is None:
                more.user_first = user
            if len(more.users) < MAX_USERS:
                more.users.add(user)


def _process(key: Key, pid: bytes | None) -> str:
    """`tag[pid]`, or the tag alone."""
    tag = key[1].decode("utf-8", "replace")
    return tag if pid is None else f"{tag}[{pid.decode('utf-8', 'replace')}]"


def _key(record: Fields) -> tuple[object, ...]:
    """What rows of one address differ by: format, host, tls, loop."""
    return record[4], record[6], record[8], record[9]
