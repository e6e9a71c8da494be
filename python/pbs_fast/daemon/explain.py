"""What was done with each address, in words for our own log.

One audit line (info) for each grant and each removal, with address, user, format, host and until when; the rest is
for `--debug`. The old program's words stand first, so that what searched its log goes on finding them. Imports events,
guards and logs; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from pbs_fast.events import Delta, Grant
from pbs_fast.guards import LOCAL, Refusal
from pbs_fast.log.logger import Log


class Explainer:
    """Writes the lines. `to_wall` turns the ledger's seconds into seconds since the epoch."""

    def __init__(self, log: Log, to_wall: Callable[[int], int]) -> None:
        self._log = log
        self._to_wall = to_wall

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
        """A debug line for a login that changed nothing in the ledger; `outcome` is its counter."""
        self._log.debug(f"ip={ip} changes nothing: {outcome.replace('_', ' ')}")

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """A debug line for each login that a guard refused, or whose address may relay anyway."""
        if not self._log.debugging:
            return
        for ip, guard, _, user, host, _, _ in refusals:
            if guard == LOCAL:
                self._log.debug(f"ignoring local-net ip={ip}")
            else:
                self._log.debug(f"refused ip={ip} by the guard {guard}: user={user or '-'} host={host or '-'}")


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
