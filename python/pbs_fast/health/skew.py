"""Warns when a host's timestamps are off by so much that none of its logins would count.

A zone fault (a log in UTC read as local time) would otherwise silently grant nobody: every login looks older than
grace. Pure: told logins that no guard refused and the time, it answers with the warning to write. Whoever may write to
a log can name any number of hosts, so what is remembered and what is said are both bounded.
"""

from __future__ import annotations

from typing import Final

#: So many stale logins of a host, none fresh among them, before the warning: one late line is no zone fault.
STALE_LOGINS: Final = 3
#: Hosts remembered; the one that was seen first is forgotten for a new one, and may then be warned of again.
MAX_HOSTS: Final = 4_096
#: Warnings within PAUSE seconds. A site has few hosts with a wrong zone; more are a forger's.
MAX_WARNINGS: Final = 20
PAUSE: Final = 3_600


class SkewWatch:
    """One warning a host for timestamps that are all older than `grace` seconds when they arrive."""

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._stale: dict[str, int] = {}
        """Host -> its stale logins so far; STALE_LOGINS once it has nothing more to say."""
        self._warnings = 0
        self._pause_end = 0.0

    def __len__(self) -> int:
        return len(self._stale)

    def saw(self, host: str, stamp: int, now: float) -> str | None:
        """Note one live login's timestamp (seconds since the epoch); the warning when it is due, else None."""
        stale = self._stale.get(host)
        if stale is None:
            stale = 0
            if len(self._stale) >= MAX_HOSTS:
                del self._stale[next(iter(self._stale))]
            self._stale[host] = 0
        if stale >= STALE_LOGINS:
            return None
        age = now - stamp
        if age <= self._grace:
            self._stale[host] = STALE_LOGINS
            return None
        self._stale[host] = stale + 1
        if stale + 1 < STALE_LOGINS or not self._may_warn(now):
            return None
        quarters = round(age / 900) / 4
        name = f"host {host}" if host else "this log"
        more = "; further hosts are not named for an hour" if self._warnings == MAX_WARNINGS else ""
        return (
            f"the logins of {name} are stamped {quarters:g} h in the past and grant nobody; "
            f"if its clock is right, set log_timezone to the zone it writes{more}"
        )

    def _may_warn(self, now: float) -> bool:
        if not self._pause_end - PAUSE <= now < self._pause_end:
            self._pause_end, self._warnings = now + PAUSE, 0
        self._warnings += 1
        return self._warnings <= MAX_WARNINGS
