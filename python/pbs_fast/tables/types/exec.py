"""`exec:`: a program (say, for a firewall) is run with `add` or `del` and the address for each row added or removed.

The file lists, one per line, each address for which `add` was run or is about to be run and `del` has not succeeded. It
is written before a program is run, so it is correct after kill -9 too, and a later `del` undoes each `add`.

Invariants
- An address is passed to the program as one argument, never through a shell.
- At a start `del` is run for stale rows and `add` for every live row, also for earlier ones: a reboot empties a
  firewall. So the program must be idempotent.
- A failed run is repeated after all others; an address that always fails delays no other.
- A turn of many programs ends after TURN seconds and continues at the next `check`, so that the log is read in between.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError, UsageError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import WaitingError
from pbs_fast.tables.file.base import START_WAIT, FileTable
from pbs_fast.tables.file.command import Command
from pbs_fast.tables.file.states import RowState
from pbs_fast.tables.keys import is_canonical
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.text import VALUE, read_lines, write_lines

#: Seconds of one turn; a program takes 2 to 10 ms here, so some hundred rows.
TURN = 1.0


class ExecTable(FileTable):
    """The state file is replaced before each change, the program run afterwards."""

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        self._command = Command(spec)
        if not self._command:
            raise UsageError(f"table {spec}: needs the program to run, as in {spec}?command=/usr/local/sbin/block")
        program = str(self._command)
        if not os.access(program, os.X_OK):
            raise TableError(f"{spec}: {program} is not an executable program; create it, or chmod +x it")
        self._to_add: dict[str, None] = {}
        """Rows for which `add` is pending, in that order."""
        self._to_delete: dict[str, None] = {}
        """Removed rows for which `del` is pending."""
        self._added: set[str] = set()
        """Rows for which this process has run `add`."""
        super().__init__(spec, replace(options, value=VALUE), lock)

    @property
    def _change_seconds(self) -> float:
        return super()._change_seconds + self._command.seconds

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # the file never changes, so it needs no lock
        return read_lines(file)

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        before = self._rows if self._row_state is RowState.KNOWN else self._read_rows(START_WAIT)
        self._to_delete.update(dict.fromkeys(ip for ip in before if ip not in rows))
        self._added.difference_update(self._to_delete)
        for ip in rows:
            self._to_delete.pop(ip, None)
        self._to_add = dict.fromkeys(ip for ip in rows if ip not in self._added and is_canonical(ip))
        super().rebuild(rows)
        # `clear` and `reap` end after this, so they run `del` for all rows now.
        self._notify(complete=not rows)

    def apply(self, delta: Delta) -> None:
        super().apply(delta)
        self._notify()

    def _update_rows(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        gone = list(gone)
        super()._update_rows(put, gone)
        for ip in put:
            self._to_add[ip] = self._to_delete.pop(ip, None)
        for ip in gone:
            self._to_delete[ip] = self._to_add.pop(ip, None)
            self._added.discard(ip)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        write_lines(target, [*rows, *self._to_delete])

    def _notify(self, *, complete: bool = False) -> None:
        """Run the program for pending rows until TURN is over; with `complete`, for all of them unless one fails.

        Raises WaitingError when it failed for some; those move behind the others.
        """
        end = time.monotonic() + TURN
        failed: list[TableError] = []
        gone = False
        for word, waiting in (("del", self._to_delete), ("add", self._to_add)):
            for ip in list(waiting):
                if time.monotonic() >= end and not (complete and not failed):
                    break
                del waiting[ip]
                try:
                    self._command.run(word, ip)
                except TableError as error:
                    failed.append(WaitingError(f"{error} ({word} {ip})"))
                    waiting[ip] = None
                    continue
                if word == "add":
                    self._added.add(ip)
                else:
                    gone = True
        if gone:
            self._replace()
        if failed:
            more = f"; so did {len(failed) - 1} more" if len(failed) > 1 else ""
            raise WaitingError(f"{failed[0]}{more}")
