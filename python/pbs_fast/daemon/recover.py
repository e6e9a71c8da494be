"""The end of a start: which rows a table may keep that no log explains.

With coverage none; without it each until a grace after the first start that could not explain it, or until the end
that its value holds, but for those that a guard refuses. Fills the ledger; the caller then makes the tables hold
exactly the ledger's rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pbs_fast.ledger.ledger import Ledger
from pbs_fast.tables import Row
from pbs_fast.tables.reconcile import reconcile
from pbs_fast.util.text import duration

if TYPE_CHECKING:
    from pbs_fast.daemon.explain import Explainer
    from pbs_fast.daemon.unexplained import Unexplained
    from pbs_fast.guards import Guards
    from pbs_fast.log.logger import Log
    from pbs_fast.sources.protocol import Coverage
    from pbs_fast.util.clock import Clock


def recover(
    found: Mapping[str, Row],
    coverage: Sequence[Coverage],
    ledger: Ledger,
    guards: Guards,
    clock: Clock,
    unexplained: Unexplained,
    explain: Explainer,
    log: Log,
) -> None:
    """Take the rows `found` in the tables over into the ledger as far as that is right, and say what becomes of each.

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
    unexplained.settled()
    if kept := len(result.recovered) - len(refused):
        longest = max(end for end in ends) - int(clock.now())
        log.warning(
            f"{kept} rows that no log explains are kept for at most {duration(longest)}, because the logs of the last "
            f"{duration(ledger.grace)} could not be read completely: {short[0]}"
        )


def because(guard: str) -> str:
    """Why a row goes that a guard, or the MTA's own networks, speaks against."""
    return "may relay anyway" if guard == "local" else f"refused by the guard {guard}"
