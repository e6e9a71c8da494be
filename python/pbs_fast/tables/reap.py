"""`clear` empties a table of ours now; `reap` does so when nobody has owned it for `grace` seconds.

Tables that an earlier configuration left (tables/leftover.py) are emptied likewise. By `grace` seconds after its last
owner's end every row in such a table has ended anyway, so nobody is shut out early.

Both hold the owner lock while they work, so a daemon never sees its table emptied under it. When an owner was last
alive is the modification time of FILE.owner (tables/owner.py), right also after kill -9. Imports modules of this
package only.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from pbs_fast.errors import PbsError, TableError
from pbs_fast.tables import open_table
from pbs_fast.tables.file.notify import ToldTable
from pbs_fast.tables.leftover import Leftover, as_written, runs_programs
from pbs_fast.tables.owner import OwnedError, Owner
from pbs_fast.tables.protocol import HEARTBEAT, TableOptions
from pbs_fast.tables.registry import TableSpec


@dataclass(frozen=True, slots=True)
class Reaped:
    """What `reap` did."""

    state: str
    """`absent` (no table), `owned` (a daemon runs), `waiting` (ownerless, not yet for long enough), `emptied`; of a
    leftover also `asks`: ownerless for long enough, but emptying it runs a program, which only `clear` does."""
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


def reap_leftover(left: Leftover, options: TableOptions, *, grace: int) -> Reaped:
    """As `reap` for a table of an earlier configuration; `grace` is used where its last owner left none."""
    grace = left.grace or grace
    if not runs_programs(left.spec):
        return reap(left.spec, options, grace=grace)
    try:
        owner = Owner(_real(left.spec), claim=False, patience=0)
    except OwnedError:
        return Reaped("owned")
    pulse = owner.pulse
    owner.close()
    return Reaped("asks") if pulse + grace + HEARTBEAT <= time.time() else Reaped("waiting", wait=grace)


def clear_leftover(left: Leftover, options: TableOptions) -> int | None:
    """As `clear`; None where a daemon, of another configuration, owns it. Raises TableError."""
    try:
        owner = Owner(_real(left.spec), claim=False)
    except OwnedError:
        return None
    return _empty(left.spec, options, owner)


def _real(spec: TableSpec) -> Path:
    if spec.file is None:
        raise TypeError(f"{spec} has no file")
    return spec.file.resolve()


def _empty(spec: TableSpec, options: TableOptions, owner: Owner) -> int:
    spec, value = as_written(spec, _real(spec))
    if value is not None:
        options = replace(options, value=value)
    try:
        # From here on the table object closes the lock.
        table = open_table(spec, options=options, owner=owner)
    except PbsError:
        owner.close()
        raise
    try:
        rows = len(table.load())
        if rows or options.adopt or (isinstance(table, ToldTable) and table.unsettled):
            table.rebuild({})
        return rows
    finally:
        table.close()
