"""What was done with each address, in words for our own log.

One audit line (info) for each grant and each removal, with address, user, format, host and until when. Of refused
logins one line an hour for each address and reason (`health/refusals.py`); the rest is for `--debug`. The old program's
words stand first, so that what searched its log goes on finding them. Decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from pbs_fast.events import Delta, Grant
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.health.refusals import Refusals
from pbs_fast.log.logger import Log

#: The ledger's outcome of a login that is older than `grace`.
TOO_OLD: Final = "too_old"


class Explainer:
    """Writes the lines. `to_wall` turns the ledger's seconds into seconds since the epoch."""

    def __init__(self, log: Log, to_wall: Callable[[int], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._to_wall = to_wall
        self._clock = clock
        self._refusals = Refusals()

    def changed(self, delta: Delta) -> None:
        """The rows that a Delta sets: an audit line for a new one, a debug line for a renewed one."""
        if not self._log.informing:
            return
        shift = self._to_wall(0)
        if self._log.debugging:
            for ip, grant in delta.set.items():
                if grant.why == "renewed":
                    self._log.debug(f"renewed ip={ip} {_about(grant, shift)}")
                else:
                    self._log.info(_granted(ip, grant, shift))
        else:
            self._log.infos(_granted(ip, grant, shift) for ip, grant in delta.set.items() if grant.why != "renewed")

    def removed(self, gone: Mapping[str, Grant], why: str) -> None:
        """An audit line for each row that goes; `why` as in `expired`."""
        if self._log.informing:
            shift = self._to_wall(0)
            self._log.infos(f"removed {ip} from DB {_about(grant, shift)} ({why})" for ip, grant in gone.items())

    def dropped(self, ips: Iterable[str], why: str) -> None:
        """An audit line for each row that stood in a table and was never in the ledger."""
        self._log.infos(f"removed {ip} from DB ({why})" for ip in ips)

    def unchanged(self, ip: str, outcome: str) -> None:
        """A line for a login that changed nothing in the ledger; `outcome` is its counter."""
        if self._log.debugging:
            self._log.debug(f"ip={ip} changes nothing: {outcome.replace('_', ' ')}")
        elif outcome == TOO_OLD and self._log.informing and self._refusals.is_due(ip, TOO_OLD, now := self._clock()):
            self._log.info(f"refused ip={ip}: its login is older than grace (see log_timezone){self._last(now)}")

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """A line for a login that a guard refused, or whose address may relay anyway."""
        if not self._log.informing:
            return
        now = self._clock()
        if not self._log.debugging and self._refusals.is_full(now):
            return  # a flood of refusals
        for refusal in refusals:
            if self._log.debugging:
                self._log.debug(_refused(refusal))
            elif self._refusals.is_due(refusal.ip, refusal.guard, now):
                self._log.info(_refused(refusal) + self._last(now))

    def _last(self, now: float) -> str:
        return "; further refusals within an hour are only counted" if self._refusals.is_full(now) else ""


def _refused(refusal: Refusal) -> str:
    if refusal.guard == LOCAL:
        return f"ignoring local-net ip={refusal.ip}"
    return (
        f"refused ip={refusal.ip} by the guard {refusal.guard}: user={refusal.user or '-'} host={refusal.host or '-'}"
    )


def _granted(ip: str, grant: Grant, shift: int) -> str:
    if grant.why == "recovered":
        return f"kept {ip} in DB {_about(grant, shift)}, as no log explains it"
    return f"added {ip} to DB {_about(grant, shift)}"


def _about(grant: Grant, shift: int) -> str:
    """`shift` is what makes the ledger's seconds those since the epoch; asked for once, as that reads two clocks."""
    user = "-" if grant.user is None else grant.user or '""'
    until = _spelled(grant.expires + shift)
    return f"user={user} format={grant.format or '-'} host={grant.host or '-'} until={until}"


@lru_cache(maxsize=4096)
def _spelled(second: int) -> str:
    """A time as RFC 3339. A replay says the same seconds again and again, and spelling one takes 8 µs."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
