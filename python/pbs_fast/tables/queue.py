"""Changes that wait for a table: merged while it cannot take them, tried again with back-off, said once.

Each table of a daemon has its own Pending, so that each fails and recovers by itself. Invariants: no change is lost; a
newer change to an address replaces the older; `flush` never raises TableError and never takes longer than one attempt.
Imports `errors`, `events` and modules of this package only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from pbs_fast.errors import TableError
from pbs_fast.events import Changes, Delta, Grant
from pbs_fast.tables.describe import WaitingError
from pbs_fast.tables.owner import OwnedError
from pbs_fast.tables.protocol import HEARTBEAT, LOOK, Table

log = logging.getLogger(__name__)

#: The first pause after a failure and the longest, in seconds: a lock is back in no time, a disk in minutes.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
#: A failure that lasts less than this is not worth a line: locks of readers come and go. Seconds.
QUIET = 1.0


class Pending:
    """One table and what it has not taken yet. Call `flush` at `due`; times are those of `clock`."""

    def __init__(self, table: Table, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.table = table
        self._clock = clock
        self._changes = Changes()
        self._last = float("-inf")
        """When the table was last written or looked at."""
        self._beat = clock()
        self._pause = 0.0
        self._failed_at: float | None = None
        self._said = False
        self.failing: str | None = None
        """The line of the failure that lasts; None when the last attempt went well."""

    def __len__(self) -> int:
        """How many addresses wait."""
        return len(self._changes)

    def add(self, delta: Delta) -> None:
        """Take changes up; they replace older ones to the same addresses."""
        self._changes.add(delta)

    @property
    def due(self) -> float:
        """When `flush` is worth calling next: at once for a change after a quiet time, else when the table's window
        or the pause after a failure is over; without changes, at the next look or heartbeat."""
        if self._failed_at is not None:
            return self._last + self._pause
        if self._changes:
            return self._last + self.table.window
        return min(self._last + LOOK, self._beat + HEARTBEAT / 2)

    def flush(self, *, now: bool = False) -> bool:
        """Make one attempt if one is due (or `now`); whether nothing waits any more."""
        start = self._clock()
        if not now and start < self.due:
            return not self._changes
        waited = len(self)
        trouble = self._attempt(start)
        if trouble is not None:
            self._fail(start, trouble)
            return not self._changes
        if self._failed_at is not None:
            self._recover(self._clock() - self._failed_at, waited)
        return True

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Make the table hold exactly these rows, whatever waited. On a full disk that waits too, as does
        what a table's program failed for; which is said.

        Raises TableError for any other fault: at a start somebody is there to mend it.
        """
        self.flush(now=True)
        self._changes = Changes()
        try:
            self.table.rebuild(rows)
        except WaitingError as error:
            self._fail(self._clock(), error, patience=0)

    def _attempt(self, start: float) -> TableError | None:
        """Write what waits; the fault that keeps us from that, or from saying that we live.

        A pulse that cannot be left (a read-only file system) stops no change; that another owner is there does.
        """
        pulse: TableError | None = None
        if start >= self._beat + HEARTBEAT / 2:
            try:
                self.table.heartbeat()
                self._beat = start
            except OwnedError as error:
                return error
            except TableError as error:
                pulse = error
        delta = self._changes.delta()
        try:
            if delta or self._failed_at is not None:
                self.table.apply(delta)
            else:
                self.table.check()
        except TableError as error:
            return error
        self._last = self._clock()
        self._changes = Changes()
        return pulse

    def close(self) -> bool:
        """One last attempt, then close the table; whether everything was written."""
        try:
            return self.flush(now=True)
        finally:
            self.table.close()

    def _fail(self, start: float, error: TableError, patience: float = QUIET) -> None:
        self._last = self._clock()
        self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)
        if self._failed_at is None:
            self._failed_at = start
        self.failing = str(error)
        if not self._said and self._last - self._failed_at >= patience:
            self._said = True
            waiting = f"{len(self)} changes wait and are" if len(self) else "it is"
            log.error("%s; %s tried again", error, waiting)

    def _recover(self, seconds: float, waited: int) -> None:
        if self._said:
            log.warning("%s works again; %d changes caught up after %.1f s", self.table.spec, waited, seconds)
        self._failed_at, self._said, self.failing, self._pause = None, False, None, 0.0
