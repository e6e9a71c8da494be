"""One line about a file that cannot be used: what, the file, the reason, the user and the modes that decide it."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.util.accounts import group_name, user_name


class WaitingError(TableError):
    """A part of the change failed and is retried: no reason to exit, not even at a start."""


class NoSpaceError(WaitingError):
    """There is no space for the file now; the existing one is unchanged."""


def space_error(error: OSError) -> type[TableError]:
    """NoSpaceError for a full disk, which is worth waiting for; TableError for other errors."""
    return NoSpaceError if error.errno in (errno.ENOSPC, errno.EDQUOT) else TableError


def os_error(what: str, path: Path, error: OSError) -> str:
    """`cannot write /x/relay.db: Permission denied (user mail; directory /x is 0755 root:root)`."""
    return failure(what, path, error.strerror or str(error))


def failure(what: str, path: Path, reason: str) -> str:
    """The same for a reason in words."""
    return f"{what} {path}: {reason} (user {user_name(os.geteuid())}; {_modes(path)})"


def _modes(path: Path) -> str:
    """Of file and directory: the directory's decides about a new file, the file's about a change in place."""
    found = [word for place in (path, path.parent) if (word := _mode(place))]
    return ", ".join(found) or (
        f"directory {path.parent} does not exist; make it for the daemon's account: install -d -m755 -o ACCOUNT"
        f" {shlex.quote(str(path.parent))}"
    )


def _mode(place: Path) -> str | None:
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{place}: {error.strerror}"
    word = "directory" if stat.S_ISDIR(found.st_mode) else "file"
    return f"{word} {place} is {stat.S_IMODE(found.st_mode):04o} {user_name(found.st_uid)}:{group_name(found.st_gid)}"
