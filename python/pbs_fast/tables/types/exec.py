"""`exec:`: a program is run with `add` or `del` and the address, for each row that comes or goes: firewalls.

The file holds, one a line, each address for which `add` was run or is about to be run and `del` has not succeeded. It
is written before a program is run, so what `add` did is known also after kill -9, and a later `del` undoes it.

Invariants
- An address is named to the program as one argument, never through a shell.
- At a start `del` is run for what is stale and `add` for every live row, those of before included: a reboot empties a
  firewall. So the program must not mind being told twice.
- What it failed for is told again, after all others; one address that it never takes holds up none.
- A turn of many programs ends after TURN seconds and goes on at the next `check`: the log is read between two turns.

Imports modules of this package and `errors`, `events`.
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
from pbs_fast.tables.file.lines import VALUE, read_lines, write_lines
from pbs_fast.tables.file.windows import window
from pbs_fast.tables.keys import is_canonical
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec

#: Seconds of one turn; a program takes 2 to 10 ms here, so some hundred rows.
TURN = 1.0


class ExecTable(FileTable):
    """The state file is replaced before each change, the program run afterwards."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        self._command = Command(spec)
        if not self._command:
            raise UsageError(f"table {spec}: needs the program to run, as in {spec}?command=/usr/local/sbin/block")
        program = str(self._command)
        if not os.access(program, os.X_OK):
            raise TableError(f"{spec}: {program} is no program that can be run; write it, or chmod +x it")
        self._entering: dict[str, None] = {}
        """Rows that the program is still to be told of with `add`, in that order."""
        self._leaving: dict[str, None] = {}
        """No rows any more; the program is still to be told with `del`."""
        self._told: set[str] = set()
        """Rows for which this process has run `add`."""
        super().__init__(spec, replace(options, value=VALUE), owner)

    @property
    def window(self) -> float:
        return window(ahead=0, busy=self._replace_seconds + self._command.seconds)  # nobody compares whole seconds

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # nobody locks what is only ever replaced
        return read_lines(file)

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        stood = self._rows if self._known else self._found(START_WAIT)
        self._leaving.update(dict.fromkeys(ip for ip in stood if ip not in rows))
        self._told.difference_update(self._leaving)
        for ip in rows:
            self._leaving.pop(ip, None)
        self._entering = dict.fromkeys(ip for ip in rows if ip not in self._told and is_canonical(ip))
        super().rebuild(rows)
        # Nobody comes back for what is stale when this is `clear` or `reap`.
        self._tell(whole=not rows)

    def apply(self, delta: Delta) -> None:
        super().apply(delta)
        self._tell()

    def _note(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        gone = list(gone)
        super()._note(put, gone)
        for ip in put:
            self._entering[ip] = self._leaving.pop(ip, None)
        for ip in gone:
            self._leaving[ip] = self._entering.pop(ip, None)
            self._told.discard(ip)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        write_lines(target, [*rows, *self._leaving])

    def _tell(self, *, whole: bool = False) -> None:
        """Run the program for what waits; with `whole`, for all of it unless one does not end in time.

        Raises WaitingError when it failed for some; those wait behind the others.
        """
        end = time.monotonic() + TURN
        failed: list[TableError] = []
        gone = False
        for word, waiting in (("del", self._leaving), ("add", self._entering)):
            for ip in list(waiting):
                if time.monotonic() >= end and not (whole and not failed):
                    break
                del waiting[ip]
                try:
                    self._command.run(word, ip)
                except TableError as error:
                    failed.append(WaitingError(f"{error} ({word} {ip})"))
                    waiting[ip] = None
                    continue
                if word == "add":
                    self._told.add(ip)
                else:
                    gone = True
        if gone:
            self._replace()
        if failed:
            more = f"; so did {len(failed) - 1} more" if len(failed) > 1 else ""
            raise WaitingError(f"{failed[0]}{more}")
