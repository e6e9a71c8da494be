"""One line about a file that cannot be used: what, the file, the reason, the user and the modes that decide it.

Imports nothing of the package.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path


def os_error(what: str, path: Path, error: OSError) -> str:
    """`cannot write /x/relay.db: Permission denied (user mail; directory /x is 0755 root:root)`."""
    return failure(what, path, error.strerror or str(error))


def failure(what: str, path: Path, reason: str) -> str:
    """The same for a reason in words."""
    return f"{what} {path}: {reason} (user {user_name()}; {_what_stands(path)})"


def user_name() -> str:
    """The name of the effective user, or its number."""
    return _user(os.geteuid())


def _what_stands(path: Path) -> str:
    """File and directory: a new file renamed into place needs the directory's mode, one changed in place its own."""
    found = [word for place in (path, path.parent) if (word := _mode(place))]
    return ", ".join(found) or f"directory {path.parent} does not exist"


def _mode(place: Path) -> str | None:
    try:
        found = place.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{place}: {error.strerror}"
    word = "directory" if stat.S_ISDIR(found.st_mode) else "file"
    return f"{word} {place} is {stat.S_IMODE(found.st_mode):04o} {_user(found.st_uid)}:{_group(found.st_gid)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
