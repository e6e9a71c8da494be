"""Who may read a table's file or connect to its socket.

A mode or group is given to a descriptor of the very file, never to a name: a user who can write the directory could
put a link to another file in its place between two calls. Imports `accounts` only.
"""

from __future__ import annotations

import errno
import grp
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pbs_fast.util.accounts import user_name

#: Elsewhere than on Linux a call that follows no link must do.
_PINS = hasattr(os, "O_PATH")


def give_mode(target: Path, *, group: str | None, file: Path) -> str | None:
    """Make `target`, which becomes `file`, readable to all, or with `group` to that group only.

    Returns a line for the log where it cannot be given to the group: smtpd opens tables as root, so relaying works
    without; proxymap and postmap as another user do not. Raises OSError when the mode cannot be set.
    """
    if group is None:
        set_mode(target, 0o644)
        return None
    set_mode(target, 0o640)
    try:
        set_group(target, grp.getgrnam(group).gr_gid)
    except (KeyError, OSError):  # EINVAL where a service with PrivateUsers=yes does not know the group
        return (
            f"{file} names users, so it is mode 0640, but user {user_name(os.geteuid())} cannot give it to group "
            f"{group}; make it a member"
        )
    return None


def set_mode(path: Path, mode: int) -> None:
    """chmod of a file or socket that we made. Raises OSError, also for a link and for what has another owner."""
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
    """A name for the file that lies at `path` now, whatever is put there later.

    O_PATH because closing any other descriptor would drop the POSIX locks that this process has on the file (LMDB's).
    """
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        # With O_PATH a link is opened itself.
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
            raise OSError(errno.ELOOP, "something else was put in its place", os.fspath(path))
        if found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise OSError(errno.EPERM, "another user's file was put in its place", os.fspath(path))
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
