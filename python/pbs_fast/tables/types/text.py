"""`text:`: one address a line and nothing else, in a new file renamed into place for each change.

For programs that read such a list: Exim (a host list that names the file, or net-lsearch and net-iplsearch with the
option `keys`), firewalls, other MTAs. With the option `command`, a program is run after each change; one that fails
makes the change fail, so that it is tried again. Lines hold no value, so `value` does not show here.
Imports modules of this package only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pbs_fast.tables.file.command import Command
from pbs_fast.tables.file.lines import VALUE, read_lines, write_lines
from pbs_fast.tables.file.notify import ToldTable
from pbs_fast.tables.file.windows import window
from pbs_fast.tables.owner import Owner
from pbs_fast.tables.protocol import TableOptions
from pbs_fast.tables.registry import TableSpec


class TextTable(ToldTable):
    """Rebuilt and renamed at each change, then told to `command`."""

    def __init__(self, spec: TableSpec, options: TableOptions, owner: Owner | None = None) -> None:
        self._command = Command(spec)
        super().__init__(spec, replace(options, value=VALUE), owner)

    @property
    def window(self) -> float:
        return window(ahead=0, busy=self._replace_seconds + self._command.seconds)  # nobody compares whole seconds

    @classmethod
    def pairs(cls, file: Path, *, wait: float, flock: bool = True) -> list[tuple[bytes, bytes]]:
        del wait, flock  # nobody locks what never changes
        return read_lines(file)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        write_lines(target, rows)

    def _tells(self) -> bool:
        return bool(self._command)

    def _tell(self) -> None:
        self._command.run()
