"""What the rest of the program knows of a table: Row, TableOptions and the protocol Table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import NamedTuple, Protocol, runtime_checkable

from pbs_fast.caps.decision import Caps, NoCaps
from pbs_fast.events import Delta, Grant
from pbs_fast.metrics.snapshot import Histogram

#: `Table.heartbeat` is called at least this often, in seconds. `reap` waits this much longer than grace, so that no row
#: of a daemon killed just before its next heartbeat is removed early.
HEARTBEAT = 60
#: How often `Table.check` is called, in seconds: an smtpd that finds no table answers 451 for its whole life.
LOOK = 1.0


class Row(NamedTuple):
    """One row in a table, its value already recognised as ours."""

    value: str
    user: str | None
    """The user if the value template has {user} and the login named one; else None."""
    expires: int | None
    """Seconds since the epoch if the value template has {expires}; else None."""


def _same(seconds: int) -> int:
    return seconds


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How tables are written; one object serves all tables of a daemon."""

    value: str = "ok"
    """The value of each row; may have {user} and {expires} (tables/value.py)."""
    flock: bool = True
    """Whether hash files are changed under flock, as Postfix reads them; False is refused for lmdb."""
    adopt: bool = False
    """Whether a file with rows that are not ours is taken over, without those rows, instead of refused."""
    group: str = "postfix"
    """The group that may read the table if its values name users."""
    grace: int = 0
    """Seconds that rows may stay once no process holds the table, left in FILE.owner for `reap`; 0: unknown."""
    lock_wait: float = 0.25
    """Seconds that one attempt may wait for the lock of the MTA's readers."""
    wall: Callable[[int], int] = _same
    """Turns `Grant.expires` into seconds since the epoch; called only if the value has {expires}."""
    now: Callable[[], float] = time.time
    """The clock of `Grant.expires`: for tables that check a row's end themselves. Called from any thread."""
    clock: Callable[[], float] = time.time
    """The wall clock, seconds since the epoch: for files' modification times and users' logins."""
    caps: Caps = field(default_factory=NoCaps)
    """What tables that count recipients ask."""
    listener: socket | None = None
    """A socket that systemd already listens on where a table is served; it stays systemd's."""


class Table(Protocol):
    """One lookup table of one MTA, locked by this process until `close`. Not for several threads at once.

    All methods but `close` raise TableError. Nothing is lost by one: the next `apply` or `heartbeat` writes what the
    table should hold.
    """

    @property
    def spec(self) -> str:
        """`type:path`, the string that goes into the MTA's configuration."""

    @property
    def file(self) -> Path | None:
        """The file that the MTA opens; None for a table without one."""

    @property
    def window(self) -> float:
        """Least number of seconds between two `apply`s; 0 if changes cost the MTA nothing."""

    @property
    def refused(self) -> int:
        """Keys rejected since the table was opened because they were not one canonical address."""

    def load(self) -> dict[str, Row]:
        """The rows in the table, if all of them are ours.

        A TableError names three keys that are not ours, or what the file is instead of such a table; the file is not
        changed. With `adopt`, rows that are not ours are left out.
        """

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Make the table hold exactly these rows: a new file, complete, renamed into place. Once at start."""

    def apply(self, delta: Delta) -> None:
        """Publish the changes in one piece. Waits for the readers' lock no longer than `lock_wait`.

        TableBusyError if the lock was not free in that time. Before any `rebuild`, existing rows stay.
        """

    def check(self) -> None:
        """Restore the file if another program removed, replaced or changed it. Cheap; called each LOOK."""

    def heartbeat(self) -> None:
        """Set the heartbeat of the table lock, and check."""

    def close(self) -> None:
        """Close the file and release the table lock. The rows stay: a restart must not lock users out."""


@runtime_checkable
class AnsweringTable(Protocol):
    """A table that the daemon answers itself."""

    @property
    def clients(self) -> int:
        """How many are connected."""

    @property
    def requests(self) -> int:
        """Look-ups since the table was opened."""

    @property
    def answers(self) -> Mapping[str, int]:
        """Of these, how many got each answer that it can give (all are in `metrics.families.ANSWERS`)."""

    @property
    def seconds(self) -> Histogram:
        """How long finding an answer took."""


@runtime_checkable
class CountingTable(AnsweringTable, Protocol):
    """One that is asked for each recipient, and so knows what is relayed by its rows."""

    @property
    def asked(self) -> int:
        """Recipients that the MTA asked about since the table was opened."""

    @property
    def recipients(self) -> int:
        """Of these, those accepted by a row."""

    @property
    def messages(self) -> int:
        """Messages with such a recipient."""
