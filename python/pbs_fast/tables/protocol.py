"""What the rest of the program knows of a table: Row, TableOptions and the protocol Table.

Pure declarations; knows no engine, no log and no clock of its own. Imports only `events`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from pbs_fast.events import Delta, Grant

#: `Table.heartbeat` is to be called at least this often, in seconds; `reap` waits this much longer than grace, so that
#: a daemon killed just before its next heartbeat loses no row early.
HEARTBEAT = 60
#: How often `Table.check` is to be called, in seconds: an smtpd that opened no table answers 451 for its whole life.
LOOK = 1.0


class Row(NamedTuple):
    """One row as it stands in a table, its value already recognised as ours."""

    value: str
    user: str | None
    """Where the value template holds {user}; None otherwise, or when the login named none."""
    expires: int | None
    """Seconds since the epoch where the value template holds {expires}; None otherwise."""


def _same(seconds: int) -> int:
    return seconds


@dataclass(frozen=True, slots=True)
class TableOptions:
    """How tables are written; one object serves all tables of a daemon."""

    value: str = "ok"
    """The value of each row; may hold {user} and {expires} (tables/value.py)."""
    flock: bool = True
    """Whether hash files are changed under flock, as Postfix reads them; False is refused for lmdb."""
    adopt: bool = False
    """Whether a file that holds rows not ours is taken over (those rows are dropped) instead of refused."""
    group: str = "postfix"
    """The group that may read the table where its values name users."""
    lock_wait: float = 0.25
    """Seconds that one attempt may wait for the lock of the MTA's readers."""
    wall: Callable[[int], int] = _same
    """Turns `Grant.expires` into seconds since the epoch; called only where the value holds {expires}."""
    now: Callable[[], float] = time.time
    """The clock of `Grant.expires`: for tables that judge a row's end themselves. Called from any thread."""
    clock: Callable[[], float] = time.time
    """The wall clock, seconds since the epoch: for the files' modification times."""


class Table(Protocol):
    """One lookup table of one MTA, owned by this process until `close`. Not for several threads at once.

    All methods but `close` raise TableError; after one nothing is lost: the next `apply` or `heartbeat` writes what the
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
        """Seconds that should lie between two `apply`s, at least; 0 where changes cost the MTA nothing."""

    @property
    def refused(self) -> int:
        """Keys kept out since the table was opened because they were not one canonical address."""

    def load(self) -> dict[str, Row]:
        """The rows that stand in the table, if all of them are ours.

        A TableError names three keys that are not ours, or what the file is instead of such a table; the file stays as
        it was. With `adopt`, rows that are not ours are left out.
        """

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        """Make the table hold exactly these rows: a new file, complete, renamed into place. Once at start."""

    def apply(self, delta: Delta) -> None:
        """Publish the changes in one piece. Waits for the readers' lock no longer than `lock_wait`.

        TableBusyError when the lock was not to be had in that time. Before any `rebuild`, rows that stand there stay.
        """

    def check(self) -> None:
        """Put the file back if somebody removed it, replaced it or wrote to it. Cheap; to be called each LOOK."""

    def heartbeat(self) -> None:
        """Say that the owner lives, and check."""

    def close(self) -> None:
        """Let go of the file and of its owner lock. The rows stay: a restart must not shut users out."""
