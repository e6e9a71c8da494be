"""`clear` empties a table of ours now; `reap` does so when nobody has owned it for `grace` seconds.

Both hold the owner lock while they work, so a daemon never sees its table emptied under it. When an owner was last
alive is the modification time of FILE.owner (tables/owner.py), right also after kill -9. Imports modules of this
package only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from pbs_fast.errors import TableError
from pbs_fast.tables import open_table
from pbs_fast.tables.file.notify import ToldTable
from pbs_fast.tables.owner import OwnedError, Owner
from pbs_fast.tables.protocol import HEARTBEAT, TableOptions
from pbs_fast.tables.registry import TableSpec


@dataclass(frozen=True, slots=True)
class Reaped:
    """What `reap` did."""

    state: str
    """`absent` (no table), `owned` (a daemon runs), `waiting` (ownerless, not yet for long enough), `emptied`."""
    removed: int = 0
    wait: float = 0.0
    """Seconds until the table may be emptied, for `waiting`."""


def clear(spec: TableSpec, options: TableOptions) -> int:
    """Empty the table and return how many rows went. The empty table stays.

    Raises TableError when a daemon owns it, when it is not there, and for rows that are not ours unless adopted.
    """
    if spec.file is None:
        return 0
    if not spec.file.exists():
        raise TableError(f"there is no {spec.file}; nothing to clear")
    return _empty(spec, options, Owner(spec.file.resolve(), claim=False))


def reap(spec: TableSpec, options: TableOptions, *, grace: int, now: float | None = None) -> Reaped:
    """Empty the table if nobody has held its owner lock for `grace` seconds and one heartbeat more.

    The first look at a table that never had an owner starts the count, and so does a pulse in the future (the clock was
    set back). Raises TableError as `clear` does, but not for a running owner or a missing table.
    """
    if spec.file is None or not spec.file.exists():
        return Reaped("absent")
    try:
        owner = Owner(spec.file.resolve(), claim=False, patience=0)
    except OwnedError:
        return Reaped("owned")
    now = time.time() if now is None else now
    if owner.pulse > now + 1:
        owner.restart_pulse()
    wait = max(0.0, min(owner.pulse, now) + grace + HEARTBEAT - now)
    if wait > 0:
        owner.close()
        return Reaped("waiting", wait=wait)
    return Reaped("emptied", removed=_empty(spec, options, owner))


def _empty(spec: TableSpec, options: TableOptions, owner: Owner) -> int:
    # From here on the table object closes the lock, also when its constructor fails.
    table = open_table(spec, options=options, owner=owner)
    try:
        rows = len(table.load())
        if rows or options.adopt or (isinstance(table, ToldTable) and table.unsettled):
            table.rebuild({})
        return rows
    finally:
        table.close()
