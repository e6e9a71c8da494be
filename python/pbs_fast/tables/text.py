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
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.command import Command
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.filetable import FileTable
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.spec import TableSpec
from pbs_fast.tables.windows import window

_VALUE = "ok"


class TextTable(FileTable):
    """Rebuilt and renamed at each change, then told to `command`."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        self._command = Command(spec)
        self._untold = False
        """Whether the file has changed since the command last ended well."""
        super().__init__(spec, replace(options, value=_VALUE), owner)

    @property
    def window(self) -> float:
        return window(ahead=0, busy=self._replace_seconds + self._command.seconds)  # nobody compares whole seconds

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        super().rebuild(rows)
        self._tell()

    def apply(self, delta: Delta) -> None:
        super().apply(delta)
        self._tell()

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # nobody locks what never changes
        try:
            lines = file.read_bytes().split(b"\n")
        except OSError as error:
            raise TableError(os_error("cannot read", file, error)) from error
        # One word a line may be somebody's list of names, whose rows are named; anything else is another kind of file.
        if lines.pop() or any(not line or not line.isascii() or b" " in line or not _printable(line) for line in lines):
            raise TableError(f"{file} is not a list of addresses, one a line; move it away or give another table")
        return [(line, _VALUE.encode()) for line in lines]

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        with target.open("xb") as file:
            file.write("".join(f"{ip}\n" for ip in rows).encode())
            file.flush()
            os.fsync(file.fileno())

    def _replace(self) -> None:
        super()._replace()
        self._untold = bool(self._command)

    def _tell(self) -> None:
        if self._untold:
            self._command.run()
            self._untold = False


def _printable(line: bytes) -> bool:
    return line.decode("ascii").isprintable()
