"""The end of a start: which rows a table may keep that no log explains.

With coverage none; without it each for one grace more, or until the end that stands in its value, but for those that a
guard refuses. Fills the ledger; the caller then makes the tables hold exactly the ledger's rows. Imports what the loop
does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pbs_fast.ledger.ledger import Ledger
from pbs_fast.tables import Row
from pbs_fast.tables.reconcile import reconcile

if TYPE_CHECKING:
    from pbs_fast.daemon.explain import Explainer
    from pbs_fast.guards import Guards
    from pbs_fast.log.logger import Log
    from pbs_fast.sources.file.replay import Coverage
    from pbs_fast.util.clock import Clock


def recover(
    found: Mapping[str, Row],
    coverage: Sequence[Coverage],
    ledger: Ledger,
    guards: Guards,
    clock: Clock,
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
        grace=ledger.grace,
        wall_now=int(clock.wall()),
    )
    explain.dropped(
        result.stale,
        f"stale: no login in the last {ledger.grace} s explains it" if not short else "its end, by its value, has come",
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
    if kept := len(result.recovered) - len(refused):
        log.warning(
            f"{kept} rows that no log explains are kept for {ledger.grace} s more, because the logs of the last "
            f"{ledger.grace} s could not be read whole: {short[0]}"
        )


def because(guard: str) -> str:
    """Why a row goes that a guard, or the MTA's own networks, speaks against."""
    return "may relay anyway" if guard == "local" else f"refused by the guard {guard}"
