"""Who may read a table's file. Imports `accounts` only."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from pbs_fast.util.accounts import user_name


def give_mode(target: Path, *, group: str | None, file: Path) -> str | None:
    """Make `target`, which becomes `file`, readable to all, or with `group` to that group only.

    Returns a line for the log where it cannot be given to the group: smtpd opens tables as root, so relaying works
    without; proxymap and postmap as another user do not. Raises OSError when the mode cannot be set.
    """
    if group is None:
        target.chmod(0o644)
        return None
    target.chmod(0o640)
    try:
        os.chown(target, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, OSError):  # EINVAL where a service with PrivateUsers=yes does not know the group
        return (
            f"{file} names users, so it is mode 0640, but user {user_name(os.geteuid())} cannot give it to group "
            f"{group}; make it a member"
        )
    return None
