"""Logins as tuples, and the Batch that the matcher makes of them (docs/MATCHING.md, 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from pbs_fast.events import MAX_AHEAD, Batch, Kind


class Login(NamedTuple):
    ip: str
    timestamp: int
    user: str | None = "alice"
    format: str = "dovecot"
    kind: Kind = "login"
    host: str = "mx"


def batch(logins: Iterable[Login | tuple[str, int]], *, gap: int | None = None, reference: int = 0) -> Batch:
    """Rows of events, folded with `gap` where it is given."""
    result = Batch("test")
    open_rows: dict[tuple[str, Kind, bool], dict[str, int]] = {}
    greatest: dict[tuple[str, Kind, bool], int] = {}
    seen: list[set[str | None]] = []
    for offset, each in enumerate(logins):
        login = Login(*each)
        key = (login.ip, login.kind, login.timestamp > reference + MAX_AHEAD)
        if gap is not None and key in greatest and login.timestamp > greatest[key] + gap:
            open_rows.pop(key)
        greatest[key] = max(greatest.get(key, login.timestamp), login.timestamp)
        rows = open_rows.setdefault(key, {})
        if gap is not None and login.format in rows:
            row = rows[login.format]
            result.last[row] = max(result.last[row], login.timestamp)
            result.n[row] += 1
            result.user_last[row] = login.user
            seen[row].add(login.user)
            result.users[row] = len(seen[row])
            continue
        rows[login.format] = len(result)
        seen.append({login.user})
        for column, value in (
            (result.ip, "".join(login.ip)),
            (result.first, login.timestamp),
            (result.last, login.timestamp),
            (result.n, 1),
            (result.kind, login.kind),
            (result.format, login.format),
            (result.host, login.host),
            (result.offset, offset),
            (result.tls, None),
            (result.loop, False),
            (result.session, None),
            (result.user_first, login.user),
            (result.user_last, login.user),
            (result.users, 1),
            (result.process, ""),
        ):
            column.append(value)  # type: ignore[arg-type]
    return result
