"""One state file of the daemon, which holds a lock next to it so that no second daemon writes it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.owner import OwnedError, TableLock
from pbs_fast.util.admin_files import replace_file


class StateFile:
    """A file in `state_directory`, replaced as a whole. The lock is taken with the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: TableLock | None = None

    def write(self, data: bytes) -> str:
        """Make this the file's content; why it cannot be written, or ""."""
        try:
            if self._lock is None:
                with suppress(FileExistsError):
                    self.path.parent.mkdir(mode=0o755)
                self._lock = TableLock(self.path, patience=0)
            replace_file(self.path, data)
        except OwnedError:
            return f"another daemon uses {self.path}; set state_directory to one of its own"
        except OSError as error:
            return f"cannot write {self.path}: {error.strerror}"
        except TableError as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Release the lock; a later write takes it again."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
