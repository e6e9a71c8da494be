"""The fold: events to rows, one an address where order does not matter (docs/MATCHING.md, 6).

Works on settled records only; knows no lines and no patterns.
"""

from __future__ import annotations

from typing import Final, Literal

from pbs_fast.events import MAX_AHEAD, Batch

MAX_USERS: Final = 64
"""Distinct users of a row are counted to this number."""

_Key = tuple[str, str, bool]
"""Address, kind, ahead."""


class _Group:
    """The rows of one address, kind and side of the reference, that are still open."""

    __slots__ = ("latest", "rows")

    def __init__(self, latest: int) -> None:
        self.latest = latest
        self.rows: dict[tuple[str, str, bool | None, bool], int] = {}


class Fold:
    """Rows of the next Batch, kept as its columns."""

    def __init__(self, source: str, gap: int, *, fold: bool) -> None:
        if gap < 0:
            raise ValueError(f"a gap of {gap} seconds is none; give 0 or more")
        self._source, self._gap, self._fold = source, gap, fold
        self._begin()

    def _begin(self) -> None:
        self._batch = Batch(self._source)
        self._groups: dict[_Key, _Group] = {}
        self._users: dict[int, set[str]] = {}

    def take(self) -> Batch:
        """The rows since the last take."""
        batch = self._batch
        self._begin()
        return batch

    def add(
        self,
        offset: int,
        kind: Literal["login", "logout"],
        ip: str,
        stamp: int,
        name: str,
        user: str | None,
        host: str,
        session: str | None,
        tls: bool | None,
        loop: bool,
        reference: int,
    ) -> None:
        """One settled event."""
        batch = self._batch
        if self._fold:
            key = (ip, kind, stamp > reference + MAX_AHEAD)
            group = self._groups.get(key)
            if group is None:
                self._groups[key] = group = _Group(stamp)
            elif stamp > group.latest:
                if stamp > group.latest + self._gap:
                    group.rows.clear()
                group.latest = stamp
            row_key = (name, host, tls, loop)
            row = group.rows.get(row_key)
            if row is not None:
                batch.n[row] += 1
                if stamp > batch.last[row]:
                    batch.last[row] = stamp
                if session is not None and batch.session[row] is None:
                    batch.session[row] = session
                if user is not None:
                    self._count_user(row, user)
                return
            group.rows[row_key] = len(batch.ip)
        batch.ip.append(ip)
        batch.first.append(stamp)
        batch.last.append(stamp)
        batch.n.append(1)
        batch.kind.append(kind)
        batch.format.append(name)
        batch.host.append(host)
        batch.offset.append(offset)
        batch.tls.append(tls)
        batch.loop.append(loop)
        batch.session.append(session)
        batch.user_first.append(user)
        batch.user_last.append(user)
        batch.users.append(0 if user is None else 1)

    def _count_user(self, row: int, user: str) -> None:
        batch = self._batch
        first = batch.user_first[row]
        batch.user_last[row] = user
        if first is None:
            batch.user_first[row] = user
            batch.users[row] = 1
        elif user != first and batch.users[row] < MAX_USERS:
            seen = self._users.setdefault(row, {first})
            seen.add(user)
            batch.users[row] = len(seen)
