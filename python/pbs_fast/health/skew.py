"""Warns if the timestamps of a log, or of a host in it, are so far off that none of its logins counts.

With a wrong time zone (a log in UTC read as local time) every login would look older than grace, and nobody would get a
grant. Pure: takes logins that no guard refused and the time, returns the warning to log. A forger can name any number
of hosts, so both memory and warnings are bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Stale logins of a host, without a fresh one, before the warning: one late line is not a wrong time zone.
STALE_LOGINS: Final = 3
#: Hosts remembered. A new one replaces the oldest, which may then cause another warning.
MAX_HOSTS: Final = 4_096
#: Warnings within PAUSE seconds. A site has few hosts with a wrong time zone; more are forged.
MAX_WARNINGS: Final = 20
PAUSE: Final = 3_600


class SkewWatch:
    """One warning per host whose timestamps are all older than `grace` seconds when they arrive."""

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._stale: dict[tuple[str, str], int] = {}
        """Log and host -> its stale logins so far; STALE_LOGINS after a warning or a fresh login."""
        self._warnings = 0
        self._pause_end = 0.0

    def __len__(self) -> int:
        return len(self._stale)

    def is_done(self, log: str, hosts: Iterable[str]) -> bool:
        """Whether each of these hosts in a log had a fresh login, or was warned of: its logins change nothing more."""
        return all(self._stale.get((log, host), 0) >= STALE_LOGINS for host in hosts)

    def saw(self, log: str, host: str, timestamp: int, now: float) -> str | None:
        """Note one live login's timestamp (seconds since the epoch). Returns the warning if it is due."""
        key = (log, host)
        stale = self._stale.get(key)
        if stale is None:
            stale = 0
            if len(self._stale) >= MAX_HOSTS:
                del self._stale[next(iter(self._stale))]
            self._stale[key] = 0
        if stale >= STALE_LOGINS:
            return None
        age = now - timestamp
        if age <= self._grace:
            self._stale[key] = STALE_LOGINS
            return None
        if stale + 1 < STALE_LOGINS:
            self._stale[key] = stale + 1
            return None
        # Where others used up the warnings of this hour, its next stale login asks again.
        if not self._may_warn(now):
            return None
        self._stale[key] = STALE_LOGINS
        quarters = round(age / 900) / 4
        of = f" of host {host}" if host else ""
        more = "; warnings about other hosts are suppressed for an hour" if self._warnings == MAX_WARNINGS else ""
        return (
            f"{log}: the logins{of} have timestamps {quarters:g} h in the past, so they grant nothing; "
            f"if the clock is right, set log_timezone to the log's time zone{more}"
        )

    def _may_warn(self, now: float) -> bool:
        if not self._pause_end - PAUSE <= now < self._pause_end:
            self._pause_end, self._warnings = now + PAUSE, 0
        self._warnings += 1
        return self._warnings <= MAX_WARNINGS
