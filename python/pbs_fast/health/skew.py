"""Warns when a host's stamps are off by so much that none of its logins would count.

A zone fault (a log in UTC read as local time) would otherwise silently grant nobody: every login
looks older than grace. Pure: told rows and the time, it answers with the warning to write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: So many stale logins of a host, none fresh among them, before the warning: one late line is no zone fault.
STALE_LOGINS: Final = 3


@dataclass(slots=True)
class _Host:
    stale: int = 0
    settled: bool = False
    """A fresh login was seen, or the warning was given."""


class SkewWatch:
    """One warning a host for stamps that are all older than `grace` seconds when they arrive."""

    def __init__(self, grace: int) -> None:
        self._grace = grace
        self._hosts: dict[str, _Host] = {}

    def saw(self, host: str, stamp: int, now: float) -> str | None:
        """Note one live login's stamp (seconds since the epoch); the warning when it is due, else None."""
        state = self._hosts.get(host)
        if state is None:
            state = self._hosts[host] = _Host()
        if state.settled:
            return None
        age = now - stamp
        if age <= self._grace:
            state.settled = True
            return None
        state.stale += 1
        if state.stale < STALE_LOGINS:
            return None
        state.settled = True
        quarters = round(age / 900) / 4
        name = f"host {host}" if host else "this log"
        return (
            f"the logins of {name} are stamped {quarters:g} h in the past and grant nobody; "
            "if its clock is right, set log_timezone to the zone it writes"
        )
