"""What was done with each address, in words for our own log.

One audit line (info) for each grant and each removal, with address, user, format, host and until when; of a dry run
`would add` and `would remove`, so that nobody who searches for the old words takes it for the daemon. Of refused
logins one warning an hour for each address and reason (`health/refusals.py`); the rest is for `--debug`. The old
program's words stand first, so that what searched its log goes on finding them. Decides nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from typing import Final

from pbs_fast.events import Delta, Grant
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.health.alarm import LIMITS
from pbs_fast.health.refusals import Refusals
from pbs_fast.log.records import log_lines
from pbs_fast.util.text import utc

log = logging.getLogger(__name__)

#: The ledger's outcome of a login that is older than `grace`.
TOO_OLD: Final = "too_old"
#: Reasons that are no warning: such an address may relay anyway, and a limit that is reached has a warning of its own.
_NO_WARNING: Final = frozenset((LOCAL, *LIMITS))


class Explainer:
    """Writes the lines. `to_wall` turns the ledger's seconds into seconds since the epoch."""

    def __init__(
        self, to_wall: Callable[[int], int], clock: Callable[[], float] = time.monotonic, *, dry: bool = False
    ) -> None:
        """`dry`: no table is written, so the lines say what would be done."""
        self._dry = dry
        self._to_wall = to_wall
        self._clock = clock
        self._refusals = Refusals()

    def changed(self, delta: Delta) -> None:
        """The rows that a Delta sets: an audit line for a new one, a debug line for a renewed one."""
        if not log.isEnabledFor(logging.INFO):
            return
        rows = delta.set.items()
        if not log.isEnabledFor(logging.DEBUG):
            self.granted([row for row in rows if row[1].why != "renewed"])
            return
        for renewed, some in groupby(rows, lambda row: row[1].why == "renewed"):
            if renewed:
                log_lines(log, logging.DEBUG, [*some], partial(_renewed, self._to_wall(0)), "renewed")
            else:
                self.granted([*some])

    def granted(self, rows: Collection[tuple[str, Grant]]) -> None:
        """An audit line for each new row."""
        if rows and log.isEnabledFor(logging.INFO):
            log_lines(log, logging.INFO, rows, partial(_granted, self._to_wall(0), self._dry), "granted")

    def removed(self, gone: Mapping[str, Grant], why: str) -> None:
        """An audit line for each row that goes; `why` is "expired", or for what it is revoked."""
        if log.isEnabledFor(logging.INFO):
            text = partial(_removed, self._to_wall(0), self._dry, why)
            log_lines(log, logging.INFO, gone.items(), text, "expired" if why == "expired" else "revoked", why)

    def dropped(self, ips: Sequence[str], why: str) -> None:
        """An audit line for each row that stood in a table and was never in the ledger."""
        log_lines(log, logging.INFO, ips, lambda ip: f"removed {ip} from DB ({why})", "removed", why)

    def unchanged(self, ip: str, outcome: str) -> None:
        """A line for a login that changed nothing in the ledger; `outcome` is its counter."""
        if outcome == TOO_OLD:
            self.refused([Refusal(ip, TOO_OLD, 1, None, "", 0, "")])
        else:
            log.debug(f"ip={ip} changes nothing: {outcome.replace('_', ' ')}")

    def refused(self, refusals: Sequence[Refusal]) -> None:
        """A line for each login that a guard refused, or whose address may relay anyway.

        Due ones are warnings, so that they are seen without `logto` too, or info lines where nobody misses a grant or
        there is a warning already; the rest are debug lines.
        """
        if not refusals:
            return
        now, watch = self._clock(), self._refusals
        if watch.is_full(now):  # a flood: nothing is due
            log_lines(log, logging.DEBUG, refusals, _refused, "refused")
            return
        informs = log.isEnabledFor(logging.INFO)
        some: dict[int, list[Refusal]] = {logging.WARNING: [], logging.INFO: [], logging.DEBUG: []}
        for refusal in refusals:
            level = logging.INFO if refusal.guard in _NO_WARNING else logging.WARNING
            shown = (informs or level == logging.WARNING) and watch.is_due(refusal.ip, refusal.guard, now)
            some[level if shown else logging.DEBUG].append(refusal)
        for level, of_level in some.items():
            log_lines(log, level, of_level, _refused, "refused")
        if watch.is_full(now):
            log.warning("further refusals within an hour are only counted, and logged with --debug")


def _refused(refusal: Refusal) -> str:
    if refusal.guard == LOCAL:
        return f"ignoring local-net ip={refusal.ip}"
    if refusal.guard == TOO_OLD:
        return f"refused ip={refusal.ip}: its login is older than grace (see log_timezone)"
    user, host = refusal.user or "-", refusal.host or "-"
    return f"refused ip={refusal.ip} by the guard {refusal.guard}: user={user} host={host}"


def _removed(shift: int, dry: bool, why: str, row: tuple[str, Grant]) -> str:
    ip, grant = row
    return f"{'would remove' if dry else 'removed'} {ip} from DB {_about(grant, shift)} ({why})"


def _renewed(shift: int, row: tuple[str, Grant]) -> str:
    ip, grant = row
    return f"renewed ip={ip} {_about(grant, shift)}"


def _granted(shift: int, dry: bool, row: tuple[str, Grant]) -> str:
    ip, grant = row
    if grant.why == "recovered":
        return f"kept {ip} in DB {_about(grant, shift)}, as no log explains it"
    return f"{'would add' if dry else 'added'} {ip} to DB {_about(grant, shift)}"


def _about(grant: Grant, shift: int) -> str:
    """`shift` is what makes the ledger's seconds those since the epoch; asked for once, as that reads two clocks."""
    expires, user, format_, _, host, node = grant
    if not node and user and format_ and host:  # nearly always
        return f"user={user} format={format_} host={host} until={spelled(expires + shift)}"
    user = "-" if user is None else user or '""'
    node = f" node={node}" if node else ""
    return f"user={user} format={format_ or '-'} host={host or '-'}{node} until={spelled(expires + shift)}"


@lru_cache(maxsize=4096)
def spelled(second: int) -> str:
    """A time as RFC 3339. A replay says the same seconds again and again, and spelling one takes 8 µs."""
    return utc(second)
