"""`text:`: one address a line and nothing else, in a new file renamed into place for each change.

For programs that read such a list: Exim (a host list that names the file, or net-lsearch and net-iplsearch with the
option `keys`), firewalls, other MTAs. With the option `command`, a program is run after each change; one that fails
makes the change fail, so that it is tried again. Lines hold no value, so `value` does not show here.
Imports modules of this package only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.command import Command
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.existing import DamagedError
from pbs_fast.tables.keys import address_of
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.spec import TableSpec
from pbs_fast.tables.told import ToldTable
from pbs_fast.tables.windows import window

_VALUE = "ok"


class TextTable(ToldTable):
    """Rebuilt and renamed at each change, then told to `command`."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        self._command = Command(spec)
        super().__init__(spec, replace(options, value=_VALUE), owner)

    @property
    def window(self) -> float:
        return window(ahead=0, busy=self._replace_seconds + self._command.seconds)  # nobody compares whole seconds

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # nobody locks what never changes
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        if lines[-1] and lines[:-1] and all(address_of(line.decode("latin-1")) for line in lines[:-1]):
            raise DamagedError(f"{file} is damaged (it ends in the middle of a line); move it away or restore it")
        # One word a line may be somebody's list of names, whose rows are named; anything else is another kind of file.
        if lines.pop() or any(not line or not line.isascii() or b" " in line or not _printable(line) for line in lines):
            raise TableError(f"{file} is not a list of addresses, one a line; move it away or give another table")
        return [(line, _VALUE.encode()) for line in lines]

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        with target.open("xb") as file:
            file.write("".join(f"{ip}\n" for ip in rows).encode())
            file.flush()
            os.fsync(file.fileno())

    def _tells(self) -> bool:
        return bool(self._command)

    def _tell(self) -> None:
        self._command.run()


def _printable(line: bytes) -> bool:
    return line.decode("ascii").isprintable()
