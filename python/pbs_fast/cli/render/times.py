"""Times of replies (RFC 3339, UTC) as people of this machine read them: local, with a date only if not of today."""

from __future__ import annotations

from datetime import datetime


def parse_time(text: str) -> datetime:
    """A time of a reply, in the local time zone. Raises ValueError."""
    return datetime.fromisoformat(text).astimezone()


def clock(text: str, now: str) -> str:
    """`10:42:17`, with its date in front if that is not today's."""
    when, today = parse_time(text), parse_time(now)
    return when.strftime("%H:%M:%S" if when.date() == today.date() else "%Y-%m-%d %H:%M:%S")


def between(earlier: str, later: str) -> float:
    """Seconds from one time to another."""
    return (parse_time(later) - parse_time(earlier)).total_seconds()
