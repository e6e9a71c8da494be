"""The fold: logins to rows, one an address where order does not matter (docs/MATCHING.md, 6).

Works on settled records only; knows no lines and no patterns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from pbs_fast.events import MAX_AHEAD, Batch

if TYPE_CHECKING:
    from pbs_fast.matching.pure.scan import Record

MAX_USERS: Final = 64
"""Distinct users of a row are counted to this number."""

# A record is read by number, which the type checker follows: 1 kind, 2 ip, 3 stamp, 4 format, 5 user, 6 host,
# 7 session, 8 tls, 9 loop, 11 host and tag as they stand in the line, 12 pid.


class _More:
    """What later events made of a row. Most rows have one event and none of this."""

    __slots__ = ("last", "n", "session", "user_first", "user_last", "users")

    def __init__(self, record: Record) -> None:
        self.last, self.n = cast(int, record[3]), 1
        self.session, self.user_first, self.user_last = record[7], record[5], record[5]
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

    def __init__(self, source: str, gap: int, *, fold: bool) -> None:
        """Raises ValueError for a negative gap."""
        if gap < 0:
            raise ValueError(f"a gap of {gap} seconds is none; give 0 or more")
        self._source, self._gap, self._fold = source, gap, fold
        self._begin()

    def _begin(self) -> None:
        self._rows: list[Record] = []
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
        # Columns of all records at once: no list a row, since nearly all rows of a busy hub have one event.
        columns = [list(column) for column in zip(*rows, strict=True)]
        offset, kind, ip, first, name, user, host, session, tls, loop, _, key, pid = columns
        last, n, user_last, users = list(first), [1] * len(rows), list(user), [int(text is not None) for text in user]
        for i, added in more.items():
            last[i], n[i], session[i] = added.last, added.n, added.session
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
            session,
            user,
            user_last,
            users,
            [""] * len(rows) if self._fold else list(map(_process, key, pid)),
        ]
        return Batch(self._source, *done)

    def add(self, records: Iterable[Record], reference: int) -> None:
        """Settled records in order."""
        if self._fold:
            self._add_logins(records, reference + MAX_AHEAD)
        else:
            self._rows.extend(_unfolded(records))

    def _add_logins(self, records: Iterable[Record], latest_now: int) -> None:
        rows, more, gap = self._rows, self._more, self._gap
        append, here, ahead = rows.append, self._open, self._open_ahead
        for record in records:
            if record[1] != "login":
                continue
            ip: str = record[2]  # type: ignore[assignment]  # A login has both; cast is a call.
            stamp: int = record[3]  # type: ignore[assignment]
            open_rows = here if stamp <= latest_now else ahead
            row = len(rows)
            # One search for a new address, and no call for one whose row the gap has closed: nine in ten of a hub's.
            known = open_rows.setdefault(ip, row)
            if known == row:
                append(record)
            elif isinstance(known, int) and known not in more and stamp - gap > rows[known][3]:  # type: ignore[operator]
                open_rows[ip] = row
                append(record)
            elif not self._joined(open_rows, known, record, ip, stamp):
                append(record)

    def _joined(self, open_rows: _Open, known: int | _Group, record: Record, ip: str, stamp: int) -> bool:
        """Whether the event was added to an open row; else its row is open, and the caller appends it."""
        latest = known.latest if isinstance(known, _Group) else self._last(known)
        if stamp > latest + self._gap:
            open_rows[ip] = len(self._rows)
            return False
        if isinstance(known, _Group):
            group = known
            group.latest = max(latest, stamp)
            row = group.rows.setdefault(_key(record), len(self._rows))
        else:
            row = known
            if _key(self._rows[row]) != _key(record):
                open_rows[ip] = group = _Group(max(latest, stamp))
                group.rows[_key(self._rows[row])] = row
                row = group.rows[_key(record)] = len(self._rows)
        if row == len(self._rows):
            return False
        self._extend(row, record, stamp)
        return True

    def _last(self, row: int) -> int:
        more = self._more.get(row)
        # Only records with a stamp are in rows.
        return cast(int, self._rows[row][3]) if more is None else more.last

    def _extend(self, row: int, record: Record, stamp: int) -> None:
        more = self._more.get(row)
        if more is None:
            self._more[row] = more = _More(self._rows[row])
        more.n += 1
        if stamp > more.last:
            more.last = stamp
        if more.session is None:
            more.session = record[7]
        user = record[5]
        if user is not None:
            more.user_last = user
            if more.user_first is None:
                more.user_first = user
            if len(more.users) < MAX_USERS:
                more.users.add(user)


def _unfolded(records: Iterable[Record]) -> Iterator[Record]:
    """Those that are rows: with an address, or logouts that can end a session without one."""
    for record in records:
        if record[2] is not None and record[3] is not None:
            yield record
        elif record[1] == "logout" and (record[7] is not None or record[12] is not None):
            at, kind, _, *rest = record
            yield (at, kind, "", *rest)  # type: ignore[misc]


def _process(key: tuple[bytes, bytes], pid: bytes | None) -> str:
    """`tag[pid]`, or the tag alone."""
    tag = key[1].decode("utf-8", "replace")
    return tag if pid is None else f"{tag}[{pid.decode('utf-8', 'replace')}]"


def _key(record: Record) -> tuple[object, ...]:
    return record[4], record[6], record[8], record[9]
