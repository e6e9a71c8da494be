"""`clear` empties a table of ours now; `reap` does so once no process has held its lock for `grace` seconds.

Tables that an earlier configuration left (tables/leftover.py) are emptied likewise. `grace` seconds after its last
process ended, every row in such a table has ended anyway, so no user is locked out early.

Both hold the table lock while they work, so a daemon never sees its table emptied. The last heartbeat is the
modification time of FILE.owner (tables/owner.py), which is right after kill -9 too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from pbs_fast.errors import PbsError, TableError
from pbs_fast.tables import open_table
from pbs_fast.tables.file.notify import NotifyingTable
from pbs_fast.tables.leftover import Leftover, as_written, runs_programs
from pbs_fast.tables.owner import OwnedError, TableLock
from pbs_fast.tables.protocol import HEARTBEAT, TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.util.durations import rough


@dataclass(frozen=True, slots=True)
class Reaped:
    """What `reap` did."""

    state: str
    """`absent` (no table), `owned` (a daemon uses it), `waiting` (no daemon, but not for long enough), `emptied`; for a
    leftover also `asks`: due, but emptying it runs a program, which only `clear` does."""
    removed: int = 0
    wait: float = 0.0
    """Seconds until the table may be emptied, for `waiting`."""

    @property
    def due(self) -> str:
        """`will be emptied in 27 min`."""
        return f"will be emptied in {rough(self.wait)}"


def clear(spec: TableSpec, options: TableOptions) -> int:
    """Empty the table and return how many rows were removed. The empty table stays.

    Raises TableError if a daemon uses it, if there is none, and for rows that are not ours unless adopted.
    """
    if spec.file is None:
        return 0
    if not spec.file.exists():
        raise TableError(f"there is no {spec.file}; nothing to clear")
    return _empty(spec, options, TableLock(spec.file.resolve(), claim=False))


def reap(spec: TableSpec, options: TableOptions, *, grace: int, now: float | None = None) -> Reaped:
    """Empty the table if no process has held its lock for `grace` seconds and one heartbeat more.

    If it was never locked, or its heartbeat is in the future (the clock was set back), the time starts now. Raises
    TableError as `clear` does, but not for a running daemon or a missing table.
    """
    if spec.file is None or not spec.file.exists():
        return Reaped("absent")
    try:
        lock = TableLock(spec.file.resolve(), claim=False, patience=0)
    except OwnedError:
        return Reaped("owned")
    now = time.time() if now is None else now
    if lock.heartbeat > now + 1:
        lock.reset_heartbeat()
    wait = max(0.0, min(lock.heartbeat, now) + grace + HEARTBEAT - now)
    if wait > 0:
        lock.close()
        return Reaped("waiting", wait=wait)
    return Reaped("emptied", removed=_empty(spec, options, lock))


def reap_leftover(left: Leftover, options: TableOptions, *, grace: int) -> Reaped:
    """As `reap` for a table of an earlier configuration; `grace` is used if its record has none."""
    grace = left.grace or grace
    if not runs_programs(left.spec):
        return reap(left.spec, options, grace=grace)
    try:
        lock = TableLock(_real(left.spec), claim=False, patience=0)
    except OwnedError:
        return Reaped("owned")
    heartbeat = lock.heartbeat
    lock.close()
    return Reaped("asks") if heartbeat + grace + HEARTBEAT <= time.time() else Reaped("waiting", wait=grace)


def clear_leftover(left: Leftover, options: TableOptions) -> int | None:
    """As `clear`; None if a daemon with another configuration uses it. Raises TableError."""
    try:
        lock = TableLock(_real(left.spec), claim=False)
    except OwnedError:
        return None
    return _empty(left.spec, options, lock)


def _real(spec: TableSpec) -> Path:
    if spec.file is None:
        raise TypeError(f"{spec} has no file")
    return spec.file.resolve()


def _empty(spec: TableSpec, options: TableOptions, lock: TableLock) -> int:
    spec, value = as_written(spec, _real(spec))
    if value is not None:
        options = replace(options, value=value)
    try:
        # From here on the table object closes the lock.
        table = open_table(spec, options=options, lock=lock)
    except PbsError:
        lock.close()
        raise
    try:
        rows = len(table.load())
        if rows or options.adopt or (isinstance(table, NotifyingTable) and table.notify_pending):
            table.rebuild({})
        return rows
    finally:
        table.close()
