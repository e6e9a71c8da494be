"""The locks that MTAs take around a look-up, tried without blocking.

Postfix on Linux reads hash and btree under flock and lmdb under fcntl (MTA source: sys_defs.h, slmdb.c); the two kinds
do not see each other. A lock is tried, never waited for in the kernel: a reader that hangs must not hang the daemon.
Imports `errors` only.
"""

from __future__ import annotations

import errno
import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pbs_fast.errors import TableError

LockKind = Literal["flock", "fcntl"]

#: A look-up holds its lock for some microseconds, so the first pauses are short; seconds.
_FIRST_PAUSE = 0.0005
_LONGEST_PAUSE = 0.02


class TableBusyError(TableError):
    """The readers' lock was not to be had in time; nothing was changed."""


@contextmanager
def locked(fd: int, kind: LockKind, *, shared: bool, wait: float, file: Path) -> Iterator[None]:
    """Hold the lock over the whole file on this descriptor.

    An fcntl lock goes when ANY descriptor of the file in this process is closed, and does not keep threads apart.
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
            raise TableBusyError(
                f"{file}: another process has held its {kind} lock for {wait:g} s; look with: fuser -v {file}"
            )
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
    try:
        yield
    finally:
        call(fd, fcntl.LOCK_UN)
