"""Users and groups: their names for messages, and who controls a path."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from typing import NamedTuple

#: As many symbolic links as Linux follows in one path (path_resolution(7)).
_MOST_LINKS = 40


def user_name(uid: int) -> str:
    """The name of a user, or its number as text."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group, or its number as text."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def reading_group() -> str:
    """The group of logs that this process could be given: `adm` where there is one, else its own."""
    try:
        return grp.getgrnam("adm").gr_name
    except KeyError:
        return group_name(os.getegid())


def is_member(group: str) -> bool:
    """Whether this process has the rights of a group that exists."""
    return grp.getgrnam(group).gr_gid in (os.getegid(), *os.getgroups())


class Control(NamedTuple):
    """Who, apart from root, can put something else in the place of a path at any moment."""

    uids: frozenset[int]
    """Owners of directories on the way."""
    shared: str | None
    """A directory on the way that a group or everybody can write; None where there is none."""


def controllers(path: str | os.PathLike[str]) -> Control:
    """Who controls a path: each directory is looked at that the kernel passes through, links followed.

    A user who can write one of them can replace what comes after it, so what root then opens, changes or signals by
    that name is theirs to choose. In a sticky directory (`/tmp`) only the owner of what is there can replace it, and
    everybody what is not there yet. What does not exist ends the way. Raises OSError.
    """
    uids: set[int] = set()
    shared: list[str] = []
    name = os.fspath(path)
    # Not os.path.abspath: behind a link ".." leads elsewhere.
    left = (name if name.startswith("/") else f"{os.getcwd()}/{name}").split("/")[::-1]  # noqa: PTH109
    at, links = "/", 0
    while left:
        name = left.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at)  # noqa: PTH120
            continue
        here = os.path.join(at, name)  # noqa: PTH118
        try:
            there = os.lstat(here)
        except FileNotFoundError:
            there = None
        _look(at, there, uids, shared)
        if there is None:
            break
        mode = there.st_mode
        if stat.S_ISLNK(mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
            target = os.readlink(here)  # noqa: PTH115
            at = "/" if target.startswith("/") else at
            left += target.split("/")[::-1]
        elif stat.S_ISDIR(mode):
            at = here
    return Control(frozenset(uids), shared[0] if shared else None)


def _look(directory: str, there: os.stat_result | None, uids: set[int], shared: list[str]) -> None:
    """Who can replace what is `there` in the directory, None for nothing."""
    found = os.stat(directory)  # noqa: PTH116
    group = found.st_mode & stat.S_IWGRP and found.st_gid and found.st_gid != _own_group(found.st_uid)
    if (group or found.st_mode & stat.S_IWOTH) and not (found.st_mode & stat.S_ISVTX and there):
        shared.append(directory)
    owners = {found.st_uid, there.st_uid} if there and found.st_mode & stat.S_ISVTX else {found.st_uid}
    uids |= owners - {0}


def _own_group(uid: int) -> int | None:
    """The primary group of a user; where each user has a group of their own, directories are often 0775."""
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return None
