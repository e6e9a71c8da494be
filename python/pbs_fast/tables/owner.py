"""One process per table: a flock on FILE.owner, held for life, whose modification time is the last heartbeat.

Invariants: the file is never unlinked (a lock on an unlinked file excludes nobody); the lock alone decides. The kernel
drops the lock of a process that dies in any way, and the modification time, set by each heartbeat, then says when it
was last alive. The file's content is for others to read: the pid, for the message, and the Record by which a table is
emptied that is in no configuration any more (tables/leftover.py).
Its mode is 0600: who can open it, even for reading, can hold the lock, and then no daemon starts and `reap` waits.
A forked child shares the lock; take it after daemonizing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import NamedTuple

from pbs_fast.errors import TableError, UsageError
from pbs_fast.tables.describe import os_error
from pbs_fast.tables.locks import holders
from pbs_fast.tables.registry import TableSpec, parse
from pbs_fast.util.accounts import user_name

#: The lock files that this process holds, by device and inode.
_ours: set[tuple[int, int]] = set()
#: Seconds that a daemon waits at its start: `reap` and `clear` hold the lock for well under a second.
PATIENCE = 1.5
#: Bytes of FILE.owner that are read; the longest path has 4096.
_MOST_BYTES = 8192
#: A longer grace time (a month, as in config/model.py) was not written by us. Seconds.
_LONGEST_GRACE = 30 * 86_400
#: A process whose last heartbeat is older than two intervals (tables/protocol.py) has ended. Seconds.
_DEAD = 120.0
#: O_NONBLOCK: a FIFO in its place must not block us.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Record(NamedTuple):
    """What the last process to hold the table left in FILE.owner: how to empty it, and when."""

    spec: TableSpec
    grace: int
    """Seconds that its rows may stay once no process holds the table; 0 if unknown."""
    value: str
    """The value of its rows, as TableOptions has it."""

    def text(self) -> str:
        """As `read_record` reads it; empty if that would not give an equal record."""
        lines = f"{self.spec.full}\n{self.grace}\n{self.value}\n"
        return lines if lines.count("\n") == 3 else ""


def read_record(file: Path) -> Record | None:
    """The record in FILE.owner of the table `file`; None if there is none, or it names another table.

    Any user may have written it: no link is followed, and only a record of this very table counts.
    """
    try:
        fd = os.open(owner_file(file), os.O_RDONLY | _FLAGS)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        _, spec, grace, value, *_ = os.pread(fd, _MOST_BYTES, 0).decode().split("\n") + [""] * 3
        found = parse(spec)
        if found.file is None or not 0 <= int(grace) <= _LONGEST_GRACE:
            return None
        # A table is opened by its real name (tables/file/base.py).
        return Record(found, int(grace), value) if found.file.resolve() == file.resolve() else None
    except (OSError, UsageError, ValueError):
        return None
    finally:
        os.close(fd)


def owner_file(file: Path) -> Path:
    """FILE.owner, the lock file of this table."""
    return file.with_name(file.name + ".owner")


class OwnedError(TableError):
    """Another process, or another table of this one, holds the table lock."""


class TableLock:
    """The lock, held until `close`."""

    def __init__(self, file: Path, *, claim: bool = True, patience: float = PATIENCE) -> None:
        """Take the lock. With `claim`, write our pid and a heartbeat; `reap` must not.

        Raises OwnedError with the pid of another process that holds it; TableError if it cannot be taken.
        """
        self.path = owner_file(file)
        self._table = file
        self._claim = claim
        self._record = b""
        """Our record once we wrote the table, until then that of the last process."""
        self._fd = self._take(patience)
        if claim:
            self._sign()

    @property
    def heartbeat(self) -> float:
        """When a process was last known to hold the table: seconds since the epoch."""
        return os.fstat(self._fd).st_mtime

    def touch(self) -> None:
        """Set the heartbeat. Takes the lock again if the file was removed; raises OwnedError if it is taken."""
        if not self._in_place(self._fd):
            fresh = self._take(0)
            _ours.discard(_inode(self._fd))
            os.close(self._fd)
            self._fd = fresh
            self._sign()
        self.reset_heartbeat()

    def reset_heartbeat(self) -> None:
        """Set it to now: also for a time in the future, left before the clock was set back."""
        try:
            os.utime(self._fd)
        except OSError as error:
            raise TableError(os_error("cannot touch the table lock", self.path, error)) from error

    def close(self) -> None:
        """Release the lock and leave a last heartbeat."""
        if self._fd < 0:
            return
        _ours.discard(_inode(self._fd))
        if self._claim:
            with contextlib.suppress(OSError):  # a read-only file system; the previous heartbeat counts
                os.utime(self._fd)
        os.close(self._fd)
        self._fd = -1

    def _take(self, patience: float) -> int:
        end = time.monotonic() + patience
        while True:
            fd, foreign = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").partition("\n")[0].strip() or "unknown"
                twice = _inode(fd) in _ours
                os.close(fd)
                if twice:
                    raise OwnedError(
                        f"{self._table} is given twice; give each table a file of its own, or leave one out"
                    ) from None
                if time.monotonic() >= end:
                    raise OwnedError(
                        f"another pbs-fast (pid {holder}) owns {self._table}; stop it, or give this one another table"
                    ) from None
                time.sleep(0.05)
                continue
            except OSError as error:
                os.close(fd)
                raise TableError(os_error("cannot lock", self.path, error)) from error
            if self._in_place(fd):
                fd = self._exchange(fd) if foreign else fd
                with contextlib.suppress(OSError):  # earlier versions left it readable by all
                    os.fchmod(fd, 0o600)
                _ours.add(_inode(fd))
                return fd
            os.close(fd)  # removed between open and lock

    def _open(self) -> tuple[int, bool]:
        """The file, created if missing, and whether it is another user's that we can lock but not write."""
        try:
            fd, foreign = os.open(self.path, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600), False
        except PermissionError as error:
            try:
                fd, foreign = os.open(self.path, _FLAGS | os.O_RDONLY), True
            except OSError:
                self._replace_unreadable(error)
                return self._open()
        except OSError as error:
            raise TableError(os_error("cannot open the table lock", self.path, error)) from error
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise TableError(f"{self.path} is not a regular file with a single link; move it away")
        return fd, foreign

    def _exchange(self, old: int) -> int:
        """Replace another user's file, whose lock we hold, by our own; both are locked meanwhile."""
        try:
            return self._put(os.fstat(old).st_mtime_ns, os.pread(old, _MOST_BYTES, 0))
        except OSError as error:
            raise TableError(self._explain(error)) from error
        finally:
            os.close(old)

    def _replace_unreadable(self, error: OSError) -> None:
        """Replace a file that we cannot even read, after a change of `user`.

        The rename needs write access to the directory, so only our own tables are affected. No process holds the table
        if /proc/locks has no lock on the file or, where that cannot be read, if the heartbeat is old. Otherwise raises
        TableError.
        """
        try:
            found = self.path.stat(follow_symlinks=False)
            held = holders(found)
            alive = time.time() - found.st_mtime < _DEAD if held is None else bool(held)
            if alive or not stat.S_ISREG(found.st_mode) or found.st_uid == os.geteuid():
                raise TableError(self._explain(error)) from error
            os.close(self._put(found.st_mtime_ns, b""))
        except OSError:
            raise TableError(self._explain(error)) from error

    def _put(self, heartbeat: int, content: bytes) -> int:
        """Rename a new, locked file of our own into place. `heartbeat`: ns since the epoch. Raises OSError."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(fd, content, 0)
        os.utime(fd, ns=(heartbeat, heartbeat))
        fresh.rename(self.path)
        return fd

    def _explain(self, error: OSError) -> str:
        """The message for a file that another user left, with the command that repairs it."""
        us = user_name(os.geteuid())
        message = os_error("cannot open the table lock", self.path, error)
        try:
            left = self.path.stat(follow_symlinks=False).st_uid != os.geteuid()
            ours = self.path.parent.stat().st_uid == os.geteuid()
        except OSError:
            return message
        return f"{message}; as root: chown {us} {self._table} {self.path}" if left and ours else message

    def _in_place(self, fd: int) -> bool:
        try:
            there = self.path.stat(follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def certify(self, record: Record) -> None:
        """Write how the file that we have just renamed into place is to be emptied. Raises TableError."""
        text = record.text().encode()
        if self._claim and text != self._record:
            self._record = text
            self._sign()

    def _sign(self) -> None:
        try:
            self._record = self._record or os.pread(self._fd, _MOST_BYTES, 0).partition(b"\n")[2]
            os.ftruncate(self._fd, 0)
            os.utime(self._fd)
            os.pwrite(self._fd, b"%d\n%b" % (os.getpid(), self._record), 0)
        except OSError as error:
            # On a full disk the lock still holds; only the pid in a second daemon's message is lost.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise TableError(os_error("cannot write the table lock", self.path, error)) from error


def _inode(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
