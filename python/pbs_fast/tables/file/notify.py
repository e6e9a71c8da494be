"""Files whose changes take effect only after another program is notified: a command is run, a server signalled.

Invariants: a change counts as published only once the notification succeeded; until then it is repeated. The file
FILE.notify-pending records that, so that the next process (also `reap` and `clear`) catches up after a kill -9.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.events import Delta, Grant
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.file.base import FileTable


def pending_file(file: Path) -> Path:
    """The file that exists while a notification about this table is pending."""
    return file.with_name(file.name + ".notify-pending")


class NotifyingTable(FileTable):
    """A table that notifies another program, where one is configured."""

    def rebuild(self, rows: Mapping[str, Grant]) -> None:
        super().rebuild(rows)
        self._finish()

    def apply(self, delta: Delta) -> None:
        super().apply(delta)
        self._finish()

    @property
    def notify_pending(self) -> bool:
        """Whether a change, made by this process or an earlier one, still has to be notified."""
        return pending_file(self._file).exists()

    @abstractmethod
    def _notifies(self) -> bool:
        """Whether there is a program to notify."""

    @abstractmethod
    def _notify(self) -> None:
        """Notify it; raises TableError when that fails."""

    def _replace(self) -> None:
        self._begin()
        super()._replace()

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        try:
            self._begin()
        except TableError:
            return False  # `_replace` raises the same error, after the rows in memory were updated
        return super()._write(put, gone)

    def _begin(self) -> None:
        if self._notifies():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                os.close(os.open(pending_file(self._file), flags, 0o644))
            except FileExistsError:
                pass  # from a notification that failed
            except OSError as error:
                raise TableError(os_error("cannot write", pending_file(self._file), error)) from error

    def _finish(self) -> None:
        if self._notifies() and self.notify_pending:
            self._notify()
            pending_file(self._file).unlink(missing_ok=True)
