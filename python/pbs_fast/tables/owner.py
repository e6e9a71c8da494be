"""One owner per table: a flock on FILE.owner, held for life, and its modification time as the owner's pulse.

Invariants: the file is never unlinked (a lock on an unlinked file locks nobody out); it holds the pid of the newest
owner for the message only, the lock alone decides. The kernel drops the lock of a process that dies in any way, and the
modification time, touched by each heartbeat, then says when it was last alive: `reap` needs nothing else.
A forked child shares the lock; take it after daemonizing. Imports `errors` and `describe` only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables.describe import os_error

#: The lock files that this process holds, by device and inode.
_ours: set[tuple[int, int]] = set()
#: `reap` and `clear` hold the lock for well under a second; a daemon that starts meanwhile waits that long.
PATIENCE = 1.5


def owner_file(file: Path) -> Path:
    """Where the owner lock of this table lies."""
    return file.with_name(file.name + ".owner")


class OwnedError(TableError):
    """Another process holds the owner lock."""


class Owner:
    """The lock, held until `close`."""

    def __init__(self, file: Path, *, claim: bool = True, patience: float = PATIENCE) -> None:
        """Take the lock. With `claim`, leave our pid and touch the pulse; `reap` must not.

        Raises TableError naming the owner's pid when another process holds it, or why it cannot be taken.
        """
        self.path = owner_file(file)
        self._table = file
        self._claim = claim
        self._fd = self._take(patience)
        if claim:
            self._sign()

    @property
    def pulse(self) -> float:
        """When an owner was last known to live: seconds since the epoch."""
        return os.fstat(self._fd).st_mtime

    def touch(self) -> None:
        """Say that we live. Takes the lock anew where somebody removed the file; TableError if another got it first."""
        if not self._in_place(self._fd):
            fresh = self._take(0)
            _ours.discard(_inode(self._fd))
            os.close(self._fd)
            self._fd = fresh
            self._sign()
        self.restart_pulse()

    def restart_pulse(self) -> None:
        """Count from now: also for a pulse that lies in the future because the clock was set back."""
        try:
            os.utime(self._fd)
        except OSError as error:
            raise TableError(os_error("cannot touch the owner lock", self.path, error)) from error

    def close(self) -> None:
        """Let go; the pulse says when."""
        if self._fd < 0:
            return
        _ours.discard(_inode(self._fd))
        if self._claim:
            with contextlib.suppress(OSError):  # a read-only file system; the last heartbeat stands
                os.utime(self._fd)
        os.close(self._fd)
        self._fd = -1

    def _take(self, patience: float) -> int:
        end = time.monotonic() + patience
        while True:
            try:
                fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            except OSError as error:
                raise TableError(os_error("cannot open the owner lock", self.path, error)) from error
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
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
                _ours.add(_inode(fd))
                return fd
            os.close(fd)  # removed between open and lock

    def _in_place(self, fd: int) -> bool:
        try:
            there = self.path.stat(follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def _sign(self) -> None:
        try:
            os.ftruncate(self._fd, 0)
            os.utime(self._fd)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError as error:
            # On a full disk the lock holds all the same; only the pid in a second daemon's message is lost.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise TableError(os_error("cannot write the owner lock", self.path, error)) from error


def _inode(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
