"""`user`: the account that a daemon started by root goes on as, before it opens logs and tables.

What that account may not do is then found at the start and not at the first rotation. Imports errors only.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Sequence
from contextlib import suppress

from pbs_fast.errors import PbsError

#: Groups that may read logs on today's systems, joined where they exist (Debian: adm; the journal: systemd-journal).
LOG_GROUPS = ("adm", "systemd-journal")


def drop_to(user: str, own: Sequence[str] = ()) -> None:
    """Become `user` for good, with its groups and LOG_GROUPS. Nothing when we are that user already.

    `own` are files that we have just made and that `user` is to open again, such as our own log after a rotation.
    Raises PbsError when there is no such account, or when we are neither root nor that user.
    """
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        raise PbsError(f"user {user}: there is no such account; create it, or name another one") from None
    if os.geteuid() == account.pw_uid:
        return
    if os.geteuid() != 0:
        raise PbsError(f"user {user}: only root can become another user; start as root, or as {user}")
    groups = set(os.getgrouplist(user, account.pw_gid))
    for name in LOG_GROUPS:
        with suppress(KeyError):
            groups.add(grp.getgrnam(name).gr_gid)
    for path in own:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    os.setgroups(sorted(groups))
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    with suppress(PermissionError):
        os.setresuid(0, 0, 0)
        raise PbsError(f"user {user}: the system let us become root again; not going on")
