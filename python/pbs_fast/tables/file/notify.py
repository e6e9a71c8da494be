"""Files whose changes somebody must be told of before they hold: a program is run, a server signalled.

Invariants: a change that was not told counts as not published, and is told again; so does one of a process that ended
before it could, whose next owner (also `reap` and `clear`) finds FILE.untold there.
Imports modules of this package, `errors` and `events`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.base import FileTable


def untold_file(file: Path) -> Path:
    """What stands there while somebody is still to be told of a change to this table."""
    return file.with_name(file.name + ".untold")


class ToldTable(FileTable):
    """A table that tells, where it has somebody to tell."""

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        super().rebuild(rows)
        self._settle()

    def apply(self, delta: Delta) -> None:
        super().apply(delta)
        self._settle()

    @property
    def unsettled(self) -> bool:
        """Whether a change, of this process or one before, is still to be told."""
        return untold_file(self._file).exists()

    @abstractmethod
    def _tells(self) -> bool:
        """Whether there is somebody to tell."""

    @abstractmethod
    def _tell(self) -> None:
        """Tell; raises TableError when that fails."""

    def _replace(self) -> None:
        self._begin()
        super()._replace()

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        try:
            self._begin()
        except TableError:
            return False  # a new file is tried, and tells the reason once the rows were taken up
        return super()._write(put, gone)

    def _begin(self) -> None:
        if self._tells():
            try:
                untold_file(self._file).touch()
            except OSError as error:
                raise TableError(os_error("cannot write", untold_file(self._file), error)) from error

    def _settle(self) -> None:
        if self._tells() and self.unsettled:
            self._tell()
            untold_file(self._file).unlink(missing_ok=True)
