"""One owner per table: a flock on FILE.owner, held for life, and its modification time as the owner's pulse.

Invariants: the file is never unlinked (a lock on an unlinked file locks nobody out); the lock alone decides. The kernel
drops the lock of a process that dies in any way, and the modification time, touched by each heartbeat, then says when
it was last alive. What the file holds is for others to read: the newest owner's pid, for the message, and the Record
by which a table is emptied that no configuration names any more (tables/leftover.py).
Only its owner can open the file: who can open it, if only for reading, can hold its lock, and then no daemon starts and
`reap` waits for ever.
A forked child shares the lock; take it after daemonizing. Imports `errors` and modules of this package only.
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
#: `reap` and `clear` hold the lock for well under a second; a daemon that starts meanwhile waits that long.
PATIENCE = 1.5
#: Bytes of FILE.owner that are looked at; the longest path has 4096.
_MOST_BYTES = 8192
#: A grace time beyond this (a month, as in config/model.py) is not one that we wrote.
_LONGEST_GRACE = 30 * 86_400
#: An owner whose pulse is older than two heartbeats (tables/protocol.py) has ended. Seconds.
_DEAD = 120.0
#: A FIFO in its place must not hold us up.
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Record(NamedTuple):
    """What the newest owner of a table left in FILE.owner: how to empty it, and when."""

    spec: TableSpec
    grace: int
    """Seconds that its rows may stay once nobody owns the table; 0 where that is not known."""
    value: str
    """The value of its rows, as TableOptions has it."""

    def text(self) -> str:
        """As `read_record` reads it; empty where it would not be read back as it is."""
        lines = f"{self.spec.full}\n{self.grace}\n{self.value}\n"
        return lines if lines.count("\n") == 3 else ""


def read_record(file: Path) -> Record | None:
    """The record in the owner file of the table in `file`; None where there is none, or one of another table.

    The file may be anybody's: nothing in it is followed, and it says nothing of any file but its own table.
    """
    try:
        fd = os.open(owner_file(file), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
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
        self._record = b""
        """Ours once the file is, else that of the last owner."""
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
                with contextlib.suppress(OSError):  # one that earlier versions left open to all
                    os.fchmod(fd, 0o600)
                _ours.add(_inode(fd))
                return fd
            os.close(fd)  # removed between open and lock

    def _open(self) -> tuple[int, bool]:
        """The file, made where there is none; and whether it is another user's, which can be locked and not written."""
        try:
            fd, foreign = os.open(self.path, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600), False
        except PermissionError as error:
            try:
                fd, foreign = os.open(self.path, _FLAGS | os.O_RDONLY), True
            except OSError:
                self._supplant(error)
                return self._open()
        except OSError as error:
            raise TableError(os_error("cannot open the owner lock", self.path, error)) from error
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            os.close(fd)
            raise TableError(f"{self.path} is not a plain file with one name; move it away")
        return fd, foreign

    def _exchange(self, old: int) -> int:
        """Put a file of our own in the place of another user's, whose lock we hold: both are locked meanwhile."""
        try:
            return self._put(os.fstat(old).st_mtime_ns, os.pread(old, _MOST_BYTES, 0))
        except OSError as error:
            raise TableError(self._mend(error)) from error
        finally:
            os.close(old)

    def _supplant(self, error: OSError) -> None:
        """Do so with one that we cannot even read, after a change of `user`.

        The directory is ours, so nothing but ours is replaced. Nobody lives where the system lists no lock on the
        file; where it lists none at all, where the pulse is old. Raises TableError where its owner may live.
        """
        try:
            found = self.path.stat(follow_symlinks=False)
            held = holders(found)
            lives = time.time() - found.st_mtime < _DEAD if held is None else bool(held)
            if lives or not stat.S_ISREG(found.st_mode) or found.st_uid == os.geteuid():
                raise TableError(self._mend(error)) from error
            os.close(self._put(found.st_mtime_ns, b""))
        except OSError:
            raise TableError(self._mend(error)) from error

    def _put(self, pulse: int, content: bytes) -> int:
        """A new file of our own, locked, in the place of the one that is there. Raises OSError."""
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.unlink(missing_ok=True)
        fd = os.open(fresh, _FLAGS | os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(fd, content, 0)
        os.utime(fd, ns=(pulse, pulse))
        fresh.rename(self.path)
        return fd

    def _mend(self, error: OSError) -> str:
        """The fault of a file that another user left here, and the command that mends it."""
        us = user_name(os.geteuid())
        said = os_error("cannot open the owner lock", self.path, error)
        try:
            left = self.path.stat(follow_symlinks=False).st_uid != os.geteuid()
            ours = self.path.parent.stat().st_uid == os.geteuid()
        except OSError:
            return said
        return f"{said}; as root: chown {us} {self._table} {self.path}" if left and ours else said

    def _in_place(self, fd: int) -> bool:
        try:
            there = self.path.stat(follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(fd))

    def certify(self, record: Record) -> None:
        """Leave word of how the file that we have just put in place is to be emptied. Raises TableError."""
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
            # On a full disk the lock holds all the same; only the pid in a second daemon's message is lost.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise TableError(os_error("cannot write the owner lock", self.path, error)) from error


def _inode(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
