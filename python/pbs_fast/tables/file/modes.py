"""Who may read a table's file or connect to its socket.

Mode and group are set through a descriptor of the file, never by name: a user who can write the directory could put a
link to another file in its place between two calls.
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pbs_fast.util.accounts import user_name

log = logging.getLogger(__name__)

#: Names of Exim's group in distributions; the first that exists is used.
EXIM_GROUPS = ("Debian-exim", "exim", "mail")
#: Only Linux has O_PATH; elsewhere the calls that follow no links have to do.
_PINS = hasattr(os, "O_PATH")


def exim_group() -> str:
    """The group of this machine's Exim."""
    known = {entry.gr_name for entry in grp.getgrall()}
    return next((name for name in EXIM_GROUPS if name in known), EXIM_GROUPS[0])


class Readable:
    """Makes the new files of one table readable by all, or with `group` by that group only."""

    def __init__(self, file: Path, group: str | None) -> None:
        self._file = file
        self._group = group
        self._warned = False

    def make(self, target: Path) -> None:
        """`target` becomes the table's file. Raises OSError when the mode cannot be set.

        It is logged once if it cannot be given to the group. Relaying still works, because smtpd opens tables as root;
        proxymap and postmap as another user do not.
        """
        if self._group is None:
            set_mode(target, 0o644)
            return
        set_mode(target, 0o640)
        try:
            set_group(target, grp.getgrnam(self._group).gr_gid)
        except (KeyError, OSError):  # EINVAL where a service with PrivateUsers=yes does not know the group
            if not self._warned:
                log.warning(
                    f"{self._file} contains user names, so it has mode 0640, but user {user_name(os.geteuid())} cannot "
                    f"give it to group {self._group}; make the user a member of it"
                )
            self._warned = True


def set_mode(path: Path, mode: int) -> None:
    """chmod of a file or socket that we made. Raises OSError, also for a link and for another user's file."""
    if not _PINS:
        os.chmod(path, mode, follow_symlinks=False)  # noqa: PTH101
        return
    with _pinned(path) as name:
        os.chmod(name, mode)  # noqa: PTH101


def set_group(path: Path, gid: int) -> None:
    """chgrp of a file or socket that we made. Raises OSError as `set_mode`."""
    if not _PINS:
        os.chown(path, -1, gid, follow_symlinks=False)
        return
    with _pinned(path) as name:
        os.chown(name, -1, gid)


@contextmanager
def _pinned(path: Path) -> Iterator[str]:
    """A name for the file that is at `path` now, even if another is put there later.

    O_PATH because closing any other descriptor would drop the POSIX locks that this process has on the file (LMDB's).
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        # O_PATH opens the link itself, not its target.
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
            raise OSError(errno.ELOOP, "replaced by something else", os.fspath(path))
        if found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise OSError(errno.EPERM, "replaced by another user's file", os.fspath(path))
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
