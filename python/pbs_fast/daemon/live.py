"""What commands look at and change in a running daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pbs_fast.daemon.cap_watch import CapWatch
    from pbs_fast.daemon.log_set import LogSet
    from pbs_fast.daemon.manual import ManualRows
    from pbs_fast.daemon.publisher import Publisher
    from pbs_fast.guards import Guards
    from pbs_fast.ledger.ledger import Ledger
    from pbs_fast.util.clock import Clock


@dataclass(frozen=True, slots=True)
class LiveState:
    """The daemon's parts, for the loop only."""

    ledger: Ledger
    guards: Guards
    publisher: Publisher
    manual: ManualRows
    logs: LogSet
    clock: Clock
    caps: CapWatch
