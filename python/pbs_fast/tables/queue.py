"""Changes that wait for a table: merged while it cannot take them, retried with back-off, logged once.

Each table of a daemon has its own Pending, so that each fails and recovers by itself. Invariants: no change is lost; a
newer change to an address replaces an older one; `flush` never raises TableError and makes at most one attempt.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pbs_fast.errors import TableError
from pbs_fast.events import Changes, Delta, Grant
from pbs_fast.log.records import event
from pbs_fast.metrics.families import WRITE_BOUNDS
from pbs_fast.metrics.snapshot import Histogram
from pbs_fast.tables.describe import WaitingError
from pbs_fast.tables.owner import OwnedError
from pbs_fast.tables.protocol import HEARTBEAT, LOOK, Table

log = logging.getLogger(__name__)

#: The first pause after a failure and the longest, in seconds: a lock is free again soon, a disk after minutes.
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 5.0
#: A failure shorter than this is not logged: readers' locks come and go. Seconds.
QUIET = 1.0


@dataclass(slots=True)
class _Failure:
    """A failure that lasts."""

    since: float
    message: str = ""
    """The newest error."""
    pause: float = 0.0
    """Seconds until the next attempt."""
    logged: bool = False


class Pending:
    """One table and what it has not taken yet. Call `flush` at `due`; times are those of `clock`."""

    def __init__(self, table: Table, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.table = table
        self._clock = clock
        self._changes = Changes()
        self._last = float("-inf")
        """When it was last written or checked: when that began, or half a window before its end if it took longer."""
        self._last_heartbeat = clock()
        self._failure: _Failure | None = None
        self.last_write: float | None = None
        """When changes were last written, in seconds since the epoch."""
        self.writes = self.errors = 0
        """Changes written, each in one piece; attempts that failed."""
        self.seconds = Histogram(WRITE_BOUNDS)
        """How long writing took."""

    def __len__(self) -> int:
        """How many addresses wait."""
        return len(self._changes)

    def __contains__(self, ip: object) -> bool:
        """Whether a change of this address waits."""
        return ip in self._changes

    @property
    def failing_s(self) -> float | None:
        """For how many seconds it has failed; None if the last attempt succeeded."""
        return None if self._failure is None else self._clock() - self._failure.since

    @property
    def failing(self) -> str | None:
        """The message of the failure that lasts; None if the last attempt succeeded."""
        return None if self._failure is None else self._failure.message

    def add(self, delta: Delta) -> None:
        """Add changes; they replace older ones to the same addresses."""
        self._changes.add(delta)

    @property
    def due(self) -> float:
        """When to call `flush` next: when the table's window or the pause after a failure is over; without changes, at
        the next check or heartbeat."""
        if self._failure is not None:
            return self._last + self._failure.pause
        if self._changes:
            return self._last + self.table.window
        return min(self._last + LOOK, self._last_heartbeat + HEARTBEAT / 2)

    def flush(self, *, now: bool = False) -> bool:
        """Make one attempt if one is due (or `now`). True if no change waits any more."""
        start = self._clock()
        if not now and start < self.due:
            return not self._changes
        waited = len(self)
        error = self._attempt(start)
        if error is not None:
            self._fail(start, error)
            return not self._changes
        failure, self._failure = self._failure, None
        if failure is not None and failure.logged:
            seconds = self._clock() - failure.since
            text = f"{self.table.spec} works again; {waited} changes caught up after {seconds:.1f} s"
            log.warning(text, extra=event("table_back", [self.table.spec]))
        return True

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Make the table hold exactly these rows, replacing what waited.

        A full disk, or a failure of a table's program, is logged and retried. Raises TableError for any other error: at
        a start an administrator is there to correct it.
        """
        self.flush(now=True)
        self._changes = Changes()
        try:
            self.table.rebuild(rows)
            self.last_write = time.time()
            self.writes += 1
        except WaitingError as error:
            self._fail(self._clock(), error, patience=0)

    def _attempt(self, start: float) -> TableError | None:
        """Write what waits; the error of that or of the heartbeat.

        A heartbeat that fails (a read-only file system) does not keep changes from being written; another process that
        took the table lock does.
        """
        beat: TableError | None = None
        if start >= self._last_heartbeat + HEARTBEAT / 2:
            try:
                self.table.heartbeat()
                self._last_heartbeat = start
            except OwnedError as error:
                return error
            except TableError as error:
                beat = error
        delta = self._changes.delta()
        try:
            if delta or self._failure is not None:
                self._write(delta)
            else:
                self.table.check()
        except TableError as error:
            return error
        # From its beginning, so that what comes meanwhile waits for one window and not for a slow disk as well; but a
        # table that takes longer to write than its window does not keep the loop busy all the time.
        self._last = max(start, self._clock() - self.table.window / 2)
        self._changes = Changes()
        return beat

    def _write(self, delta: Delta) -> None:
        begun = time.perf_counter()
        try:
            self.table.apply(delta)
        finally:
            self.seconds.observe(time.perf_counter() - begun)
        self.last_write = time.time()
        self.writes += 1

    def close(self) -> bool:
        """Make one last attempt, then close the table. True if everything was written."""
        try:
            return self.flush(now=True)
        finally:
            self.table.close()

    def _fail(self, start: float, error: TableError, patience: float = QUIET) -> None:
        self._last = self._clock()
        self.errors += 1
        failure = self._failure = self._failure or _Failure(start)
        failure.message = str(error)
        failure.pause = min(LONGEST_PAUSE, 2 * failure.pause or FIRST_PAUSE)
        if not failure.logged and self._last - failure.since >= patience:
            failure.logged = True
            tried = f"{len(self)} changes wait and are tried again" if len(self) else "it is tried again"
            log.error(f"{error}; {tried}", extra=event("table_fails", [self.table.spec], str(error)))
