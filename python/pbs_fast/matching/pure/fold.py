"""The fold: events to rows, one an address where order does not matter (docs/MATCHING.md, 6).

Works on settled records only; knows no lines and no patterns.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from pbs_fast.events import MAX_AHEAD, Batch

if TYPE_CHECKING:
    from pbs_fast.matching.pure.scan import Record

MAX_USERS: Final = 64
"""Distinct users of a row are counted to this number."""

# A row is a list of Batch's columns after `source`, in its order: made in one step and turned into columns by zip, it
# costs a third of an append to each of fourteen lists. These are the ones that later events change.
_LAST, _N, _SESSION, _USER_FIRST, _USER_LAST, _USERS = 2, 3, 10, 11, 12, 13
_Row = list[Any]
_COLUMNS: Final = 14


class _Group:
    """The rows of one address, kind and side of the reference that are still open."""

    __slots__ = ("latest", "rows")

    def __init__(self, latest: int) -> None:
        self.latest = latest
        self.rows: dict[tuple[str, str, bool | None, bool], _Row] = {}


class Fold:
    """Rows of the next Batch."""

    def __init__(self, source: str, gap: int, *, fold: bool) -> None:
        """Raises ValueError for a negative gap."""
        if gap < 0:
            raise ValueError(f"a gap of {gap} seconds is none; give 0 or more")
        self._source, self._gap, self._fold = source, gap, fold
        self._begin()

    def _begin(self) -> None:
        self._rows: list[_Row] = []
        self._groups: dict[tuple[str, str, bool], _Group] = {}
        self._users: dict[int, set[str]] = {}

    def take(self) -> Batch:
        """The rows since the last take."""
        rows = self._rows
        self._begin()
        columns = map(list, zip(*rows, strict=True)) if rows else ([] for _ in range(_COLUMNS))
        return Batch(self._source, *columns)

    def add(self, records: Iterable[Record], reference: int) -> None:
        """Settled records in order; those without an address are in no row."""
        groups, rows, gap, folds = self._groups, self._rows, self._gap, self._fold
        latest_now = reference + MAX_AHEAD
        for offset, kind, ip, stamp, name, user, host, session, tls, loop, _ in records:
            if ip is None or stamp is None:
                continue
            users = 0 if user is None else 1
            row = [ip, stamp, stamp, 1, kind, name, host, offset, tls, loop, session, user, user, users]
            if folds:
                key = (ip, kind, stamp > latest_now)
                group = groups.get(key)
                if group is None:
                    groups[key] = group = _Group(stamp)
                elif stamp > group.latest:
                    if stamp > group.latest + gap:
                        group.rows.clear()
                    group.latest = stamp
                known = group.rows.setdefault((name, host, tls, loop), row)
                if known is not row:
                    self._extend(known, row)
                    continue
            rows.append(row)

    def _extend(self, row: _Row, event: _Row) -> None:
        """One more event, itself given as a row."""
        row[_N] += 1
        if event[_LAST] > row[_LAST]:
            row[_LAST] = event[_LAST]
        if row[_SESSION] is None:
            row[_SESSION] = event[_SESSION]
        user = event[_USER_FIRST]
        if user is None:
            return
        first = row[_USER_FIRST]
        row[_USER_LAST] = user
        if first is None:
            row[_USER_FIRST] = user
            row[_USERS] = 1
        elif user != first and row[_USERS] < MAX_USERS:
            # Rows live as long as this dict, so their identities are theirs alone.
            seen = self._users.setdefault(id(row), {first})
            seen.add(user)
            row[_USERS] = len(seen)
