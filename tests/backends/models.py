"""Slow, plain models of what docs/MATCHING.md says, to hold the backends to: fold, consumer, zone, year, address.

Written from the page; shares no code with either backend.
"""

from __future__ import annotations

import calendar
import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from pbs_fast.events import Event


def fold(
    pieces: Iterable[Sequence[Event]], gap: int | None, reference: int, *, folds: bool
) -> list[list[dict[str, Any]]]:
    """The rows of each piece, each row as a dict, by asking of each event which rows are open."""
    return [_fold_piece(events, gap, reference, folds=folds) for events in pieces]


def _fold_piece(events: Sequence[Event], gap: int | None, reference: int, *, folds: bool) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for event in events:
        if folds and event.kind == "logout":
            continue
        # A logout without address is a row only where it has a pid or a session id, which an event does not tell.
        if event.ip is None or event.timestamp is None:
            continue
        ahead = event.timestamp > reference + 300
        group = (event.ip, event.kind, ahead)
        open_rows = [row for row in rows if row["group"] == group and row["open"]]
        if open_rows and (gap is None or event.timestamp > max(row["last"] for row in open_rows) + gap):
            for row in open_rows:
                row["open"] = False
        key = (event.format, event.host, event.tls, event.loop)
        mine = [row for row in rows if row["group"] == group and row["open"] and row["key"] == key]
        if mine and folds:
            mine[0]["events"].append(event)
            mine[0]["last"] = max(mine[0]["last"], event.timestamp)
        else:
            rows.append({"group": group, "key": key, "open": folds, "events": [event], "last": event.timestamp})
    return [_row(row["events"], folds=folds) for row in rows]


def _row(events: list[Event], *, folds: bool) -> dict[str, Any]:
    first = events[0]
    users = [e.user for e in events if e.user is not None]
    return {
        "ip": first.ip,
        "first": first.timestamp,
        "last": max(e.timestamp for e in events if e.timestamp is not None),
        "n": len(events),
        "kind": first.kind,
        "format": first.format,
        "host": first.host,
        "offset": first.offset,
        "tls": first.tls,
        "loop": first.loop,
        "session": None if folds else first.session,
        "user_first": users[0] if users else None,
        "user_last": users[-1] if users else None,
        "users": min(len(set(users)), 64),
    }


def grants(
    rows: Iterable[tuple[str, str, int, int]], gap: int | None, reference: int
) -> tuple[list[Any], dict[Any, int]]:
    """What a consumer of (ip, kind, first, last) in order makes of them: its new grants, and each address's end."""
    latest: dict[Any, int] = {}
    new = []
    for ip, kind, first, last in rows:
        key = (ip, kind, first > reference + 300)
        if key not in latest or first > latest[key] + (gap or 0):
            new.append((key, first))
        latest[key] = max(latest.get(key, last), last)
    return new, latest


def readings(local: int, zone: Sequence[tuple[int, int]]) -> list[int]:
    """All UTC seconds at which a clock of the zone shows `local`; in a gap, the reading with the offset before it."""
    found = []
    for i, (start, offset) in enumerate(zone):
        utc = local - offset
        if (i == 0 or start <= utc) and (i + 1 == len(zone) or utc < zone[i + 1][0]):
            found.append(utc)
    if found:
        return sorted(found)
    for (_, before), (start, after) in pairwise(zone):
        if start + before <= local < start + after:
            return [local - before]
    raise AssertionError((local, zone))


def yearless(month: int, day: int, seconds: int, reference: int, zone: Sequence[tuple[int, int]]) -> int | None:
    """The earlier reading of a date without year."""
    year = datetime.fromtimestamp(reference, UTC).year
    for candidate in range(year + 1, year - 9, -1):
        if candidate >= 1970 and 1 <= day <= calendar.monthrange(candidate, month)[1]:
            local = calendar.timegm((candidate, month, day, 0, 0, 0)) + seconds
            if readings(local, zone)[0] <= reference + 26 * 3600:
                return readings(local, zone)[0]
    return None


def address(text: str) -> str | None:
    """Canonical text by way of the standard library."""
    if "%" in text or "/" in text:
        return None
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    low = int(parsed)
    if low >> 32 == 0 and low >> 16:
        return f"::{ipaddress.IPv4Address(low)}"
    return parsed.compressed
