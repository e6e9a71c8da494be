"""Names of users and groups for messages, numbers where there is no name. Imports nothing of the package."""

from __future__ import annotations

import grp
import pwd


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
