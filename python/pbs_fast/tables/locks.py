"""The locks that MTAs take around a look-up, tried without blocking, and how long a change waits for one.

Postfix on Linux reads hash and btree under flock and lmdb under fcntl (sys_defs.h, slmdb.c); the two kinds do not see
each other. A lock is tried, never waited for in the kernel: a reader that hangs must not hang the daemon.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pbs_fast.errors import TableError
from pbs_fast.util.accounts import user_name

LockKind = Literal["flock", "fcntl"]

#: A look-up holds its lock for some microseconds, so the first pauses are short. Seconds.
_FIRST_PAUSE = 0.0001
_LONGEST_PAUSE = 0.02
#: A reader that holds its lock longer than this hangs. A new file is then renamed into place, which needs no lock.
#: Seconds.
LONGEST_BUSY = 5.0
#: Any user who can read a table can lock it, and each new file again. So for this long after a lock that was held too
#: long, changes hardly wait for locks; each further such lock restarts the time. Seconds.
HINDERED = 60.0
#: How long they wait during that time, enough for a look-up. Seconds.
_HINDERED_WAIT = 0.02
#: Bytes of /proc/locks that are read, some 4 000 locks.
_MOST_BYTES = 256 << 10


class TableBusyError(TableError):
    """The readers' lock was not free in time; nothing was changed."""


@contextmanager
def locked(fd: int, kind: LockKind, *, shared: bool, wait: float, file: Path) -> Iterator[None]:
    """Hold the lock over the whole file on this descriptor.

    Closing ANY descriptor of the file in this process drops its fcntl lock; such a lock does not exclude threads.
    Raises TableBusyError after `wait` seconds (one attempt is always made).
    """
    call: Callable[[int, int], None] = fcntl.flock if kind == "flock" else fcntl.lockf
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    end = time.monotonic() + wait
    pause = _FIRST_PAUSE
    while True:
        try:
            call(fd, mode | fcntl.LOCK_NB)
            break
        except OSError as error:
            # POSIX lets F_SETLK answer EACCES as well as EAGAIN for a lock that another process holds.
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        left = end - time.monotonic()
        if left <= 0:
            who = holder(fd) or f"find it with: fuser -v {file}"
            raise TableBusyError(f"{file}: another process has held its {kind} lock for {wait:g} s; {who}")
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
    try:
        yield
    finally:
        call(fd, fcntl.LOCK_UN)


class Patience:
    """How long the changes of one table wait for the readers' lock, and when they replace the file instead."""

    def __init__(self, wait: float) -> None:
        """`wait`: seconds that one attempt may take."""
        self._wait = wait
        self._busy_since: float | None = None
        self._hindered_until = float("-inf")

    @property
    def wait(self) -> float:
        """Seconds that an attempt may wait now."""
        return self._wait if time.monotonic() >= self._hindered_until else min(self._wait, _HINDERED_WAIT)

    def busy(self) -> Literal["wait", "replace", "replace again"]:
        """What to do about a lock that is held; `replace again` after the first time."""
        now = time.monotonic()
        if now < self._hindered_until:
            self._hindered_until = now + HINDERED
            return "replace again"
        self._busy_since = self._busy_since or now
        if now < self._busy_since + LONGEST_BUSY:
            return "wait"
        self._hindered_until = now + HINDERED
        return "replace"

    def done(self) -> None:
        """A change was made, in place or by a new file."""
        self._busy_since = None


def holder(fd: int) -> str:
    """Who holds a lock on this file: process, program and user; "" if unknown."""
    for pid in holders(os.fstat(fd)) or ():
        if pid not in (0, os.getpid()):
            return f"process {pid}{_process(pid)} holds it"
    return ""


def holders(file: os.stat_result) -> list[int] | None:
    """The processes that hold a lock on this file by /proc/locks (proc(5)); None if that cannot be known."""
    try:
        with open("/proc/locks", "rb") as locks:
            text = locks.read(_MOST_BYTES)
    except OSError:
        return None
    if len(text) == _MOST_BYTES:
        return None
    fields = [found for line in text.decode("ascii", "replace").splitlines() if len(found := line.split()) == 8]
    # Major and minor number in hex, then the inode; btrfs and overlayfs show another device there than stat(2).
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    mine = [each for each in fields if each[5] == place] or [
        each for each in fields if each[5].rpartition(":")[2] == str(file.st_ino)
    ]
    return [int(each[4]) for each in mine if each[4].isdigit()]


def _process(pid: int) -> str:
    """` (NAME of user USER)`; "" if /proc hides other users' processes."""
    try:
        user = user_name(os.stat(f"/proc/{pid}").st_uid)  # noqa: PTH116
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
    return f" ({name!a} of user {user})"
