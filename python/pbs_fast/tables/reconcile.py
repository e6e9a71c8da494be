"""Which rows a table holds after a start: those the replayed log explains, and, without coverage, the old ones.

Pure; imports `events` and `protocol` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pbs_fast.events import Grant
from pbs_fast.tables.protocol import Row


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The answer of `reconcile`."""

    rows: dict[str, Grant]
    """What the table is to hold: for `Table.rebuild`."""
    recovered: dict[str, Grant]
    """The part of `rows` that no login explains, for the ledger to expire (`why` is "recovered")."""
    stale: tuple[str, ...]
    """Rows that go: found, not explained, and the log reached back far enough to be sure."""


def reconcile(
    found: Mapping[str, Row],
    live: Mapping[str, Grant],
    *,
    covered: bool,
    now: int,
    latest: Callable[[str], int],
    wall_now: int,
) -> Reconciled:
    """Compare the rows found in a table with those the replay explains.

    `found` comes from `Table.load`, so all of it is ours. `covered`: every source was read in an unbroken chain back to
    a line stamped at or before the window's start. Otherwise each unexplained row ends at `latest(address)`, a second
    on the clock of `live`, whose present is `now`; sooner where the row itself says so (`Row.expires`, seconds since
    the epoch, of which `wall_now` is the present).
    """
    unexplained = {ip: row for ip, row in found.items() if ip not in live}
    if covered:
        return Reconciled(dict(live), {}, tuple(unexplained))
    recovered = {}
    stale = []
    for ip, row in unexplained.items():
        end = latest(ip)
        if row.expires is not None:
            end = min(end, now + row.expires - wall_now)
        if end > now:
            recovered[ip] = Grant(end, row.user, "", "recovered")
        else:
            stale.append(ip)
    return Reconciled({**live, **recovered}, recovered, tuple(stale))
