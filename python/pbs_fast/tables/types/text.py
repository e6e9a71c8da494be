"""`text:`: one address per line and nothing else, in a new file renamed into place for each change.

For programs that read such a list: Exim (a host list that names the file, or net-lsearch and net-iplsearch with the
option `keys`), firewalls, other MTAs. With the option `command`, a program is run after each change; if it fails, so
does the change, and it is tried again. Lines hold no value, so `value` has no effect here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.file.command import Command
from pbs_fast.tables.file.foreign import DamagedError, read_whole, write_new
from pbs_fast.tables.file.notify import NotifyingTable
from pbs_fast.tables.keys import address_of
from pbs_fast.tables.owner import TableLock
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec

#: The value of each row for the rest of the program; the file's lines hold none.
VALUE = "ok"


class TextTable(NotifyingTable):
    """Rebuilt and renamed at each change, before `command` is run."""

    def __init__(self, spec: TableSpec, options: TableOptions, lock: TableLock | None = None) -> None:
        self._command = Command(spec)
        super().__init__(spec, replace(options, value=VALUE), lock)

    @property
    def _change_seconds(self) -> float:
        return super()._change_seconds + self._command.seconds

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # the file never changes, so it needs no lock
        return read_lines(file)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        write_lines(target, rows)

    def _notifies(self) -> bool:
        return bool(self._command)

    def _notify(self) -> None:
        self._command.run()


def read_lines(file: Path) -> list[tuple[bytes, bytes]]:
    """The lines as rows. Raises TableError for another kind of file, DamagedError if it ends within a line."""
    lines = read_whole(file).split(b"\n")
    if lines[-1] and lines[:-1] and all(address_of(line.decode("latin-1")) for line in lines[:-1]):
        raise DamagedError(f"{file} is damaged (it ends in the middle of a line); move it away or restore it")
    # One word per line may be a list of names, whose rows the caller refuses; anything else is another kind of file.
    if lines.pop() or not all(re.fullmatch(rb"[!-~]+", line) for line in lines):
        raise TableError(f"{file} is not a list of addresses, one per line; move it away or give another table")
    return [(line, VALUE.encode()) for line in lines]


def write_lines(target: Path, addresses: Iterable[str]) -> None:
    """As `write_new`, one address per line."""
    write_new(target, [b"%s\n" % ip.encode() for ip in addresses])
