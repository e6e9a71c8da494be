"""The end of a start: which rows in the tables stay although no log explains them.

If the logs cover the grace time, none. Otherwise each stays until `grace` after the first start that could not explain
it, or until the end in its value, unless a guard refuses it. Fills the ledger; the caller then makes the tables hold
exactly the ledger's rows.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pbs_fast.events import Grant
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.tables import Row
from pbs_fast.util.text import duration

if TYPE_CHECKING:
    from pbs_fast.daemon.explain import Explainer
    from pbs_fast.daemon.unexplained import Unexplained
    from pbs_fast.guards import Guards
    from pbs_fast.sources.protocol import Coverage
    from pbs_fast.util.clock import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The result of `reconcile`."""

    recovered: dict[str, Grant]
    """Rows that no login explains but that stay, for the ledger to expire (`why` is "recovered")."""
    stale: tuple[str, ...]
    """Rows to remove: no login explains them, and the log was complete or their time is over."""


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

    `found` comes from `Table.load`, so all of it is ours. `covered`: every source was read without a gap back to a line
    timestamped at or before the start of the grace time. Otherwise each unexplained row ends at `latest(address)`, in
    seconds on the clock of `live`, which is at `now`; or earlier if the row has an end itself (`Row.expires`, seconds
    since the epoch, where `wall_now` is the current time).
    """
    unexplained = {ip: row for ip, row in found.items() if ip not in live}
    if covered:
        return Reconciled({}, tuple(unexplained))
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
    return Reconciled(recovered, tuple(stale))


def recover(
    found: Mapping[str, Row],
    coverage: Sequence[Coverage],
    ledger: Ledger,
    guards: Guards,
    clock: Clock,
    unexplained: Unexplained,
    explain: Explainer,
) -> None:
    """Take the rows `found` in the tables into the ledger unless they are stale or refused, and log each decision.

    `coverage` is that of each log.
    """
    short = [each.reason for each in coverage if not each.complete]
    result = reconcile(
        found,
        ledger.rows(),
        covered=not short,
        now=int(clock.now()),
        latest=unexplained.latest,
        wall_now=int(clock.wall()),
    )
    explain.dropped(
        result.stale,
        f"stale: no login in the last {ledger.grace} s explains it"
        if not short
        else "no log explains it, and it was kept for one grace period",
    )
    refused = guards.refused(result.recovered, clock.wall())
    for ip, guard in refused.items():
        explain.dropped([ip], because(guard))
    ends: defaultdict[int, dict[str, str | None]] = defaultdict(dict)
    for ip, row in result.recovered.items():
        if ip not in refused:
            ends[row.expires][ip] = row.user
    for end, users in ends.items():
        explain.changed(ledger.adopt(users, end - ledger.grace))
    unexplained.start_finished()
    if kept := len(result.recovered) - len(refused):
        longest = max(end for end in ends) - int(clock.now())
        log.warning(
            f"{kept} rows that no log explains are kept for at most {duration(longest)}, because the logs of the last "
            f"{duration(ledger.grace)} could not be read completely: {short[0]}"
        )


def because(guard: str) -> str:
    """Why a row is removed that a guard refuses, or whose address may relay anyway."""
    return "may relay anyway" if guard == "local" else f"refused by the guard {guard}"
