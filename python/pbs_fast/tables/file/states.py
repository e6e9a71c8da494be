"""What a table knows of its rows and of the file in place, and the identity by which a change of others is noticed."""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import os_error


class RowState(Enum):
    """What is known of the rows that the file should hold."""

    UNREAD = auto()
    """The file was there before us and has not been read."""
    ACCEPTED = auto()
    """All of its rows were found to be ours; they are not in memory yet."""
    KNOWN = auto()
    """They are in memory."""


class FileState(Enum):
    """How the file in place compares with the rows in memory."""

    OUTDATED = auto()
    """It may differ: not built by this process, or a change failed. It is built anew at the next change."""
    ALTERED = auto()
    """Another program removed, replaced or changed it. It is built anew, and that is logged."""
    CURRENT = auto()
    """We built it, every change since succeeded, and nobody else has changed it."""


def identity(found: os.stat_result) -> tuple[int, int, int, int]:
    """Device, inode, size and modification time (ns), by which a change of the file is noticed."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def identity_of(file: Path) -> tuple[int, int, int, int] | None:
    """The same of the file at this path, following links; None if it cannot be looked at."""
    try:
        return identity(file.stat())
    except OSError:
        return None


class LastSeen:
    """The file as it was after our last change, by which a change of others is noticed."""

    def __init__(self, file: Path) -> None:
        self._file = os.fspath(file)  # the text: a Path takes as long as the system call
        self._identity = (0, 0, 0, 0)

    def installing(self, target: Path) -> None:
        """This file is about to be renamed into place."""
        self._identity = identity(target.stat(follow_symlinks=False))

    def changed(self) -> None:
        """The file was changed in place; to be called under the readers' lock."""
        found = identity(os.lstat(self._file))
        if found[:2] == self._identity[:2]:
            self._identity = found

    def unaltered(self) -> bool:
        """Whether the path still leads to the file that we built, and nobody else has written to it since.

        Raises TableError when it cannot be looked at.
        """
        try:
            found = os.lstat(self._file)  # a symbolic link there is not ours
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TableError(os_error("cannot look at", Path(self._file), error)) from error
        return identity(found) == self._identity
