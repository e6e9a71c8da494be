"""Which account acts: what root starts goes on as `user`, or as the account that controls the files it works on.

Names in a directory that another account can write are that account's to choose: where root opens, chmods or renames by
such a name, a link swapped in at the right moment decides which file that is. So root becomes that account first, for
good, and what it may not do is found at the start and not at the first rotation. Imports accounts and errors only.
"""

from __future__ import annotations

import grp
import os
import pwd
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress

from pbs_fast.errors import PbsError
from pbs_fast.util.accounts import controllers, user_name

#: Groups that may read logs on today's systems, joined where they exist (Debian: adm; the journal: systemd-journal).
LOG_GROUPS = ("adm", "systemd-journal")


def drop_to(user: str) -> None:
    """Become `user` for good, with its groups and LOG_GROUPS. Nothing when we are that user already.

    Raises PbsError when there is no such account, or when we are neither root nor that user.
    """
    account = _account(user)
    if os.geteuid() == account.pw_uid:
        return
    if os.geteuid() != 0:
        raise PbsError(f"user {user}: only root can become another user; start as root, or as {user}")
    groups = set(os.getgrouplist(user, account.pw_gid))
    for name in LOG_GROUPS:
        with suppress(KeyError):
            groups.add(grp.getgrnam(name).gr_gid)
    os.setgroups(sorted(groups))
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    with suppress(PermissionError):
        os.setresuid(0, 0, 0)
        raise PbsError(f"user {user}: the system let us become root again; not continuing")


def account_for(paths: Iterable[str | os.PathLike[str]], user: str | None) -> str | None:
    """The account as which root must work on these paths; None for root itself, because only root controls them.

    `user` is the configured account: it is taken where several accounts, or a group, control a path. Raises PbsError
    where that leaves no answer.
    """
    uids: set[int] = set()
    shared = None
    for path in paths:
        try:
            found = controllers(path)
        except OSError as error:
            raise PbsError(f"cannot examine {os.fspath(path)}: {error.strerror}") from error
        uids |= found.uids
        shared = shared or found.shared
    if len(uids) == 1:
        (uid,) = uids
        return user_name(uid)
    if not uids and shared is None:
        return None
    if user is not None and user != "root":
        return user
    who = " and ".join(sorted(map(user_name, uids))) or "more users than root"
    raise PbsError(
        f"{who} can write {shared or 'directories above the table'}, so root does not work there; set `user` to one "
        f"account" + (f", or: chmod go-w {shared}" if shared else ", or give the directories to one owner")
    )


def apart(user: str | None, work: Callable[[], int]) -> int:
    """The exit status of `work`, done by a child process that became `user`; done here where `user` is None.

    Nothing but the status comes back: what an account's process sends is nothing that root should read.
    """
    if user is None:
        return work()
    sys.stdout.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return max(1, os.waitstatus_to_exitcode(status)) if status else 0
    status = 1
    try:
        drop_to(user)
        status = work()
    except PbsError as error:
        os.write(2, f"pbs-fast: {error}\n".encode("utf-8", "backslashreplace"))
        status = error.exit_status
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(status)


def prepare_log(path: str, user: str) -> None:
    """Make our own log for `user` in a directory where only root can: `/var/log`. Nothing where it exists.

    In a directory that another account controls nothing is made; there that account makes it. Raises PbsError.
    """
    try:
        if controllers(path).uids or controllers(path).shared:
            return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    except OSError:  # it exists, or opening it will say why not
        return
    account = _account(user)
    os.fchown(fd, account.pw_uid, account.pw_gid)
    os.close(fd)


def prepare_directory(path: str, user: str) -> None:
    """Make a directory for `user` where only root can, such as /run/pbs-fast. Nothing where it exists.

    Below a directory that another account controls nothing is made. Raises PbsError.
    """
    account = _account(user)
    try:
        if controllers(path).uids or controllers(path).shared:
            return
        os.mkdir(path, 0o755)  # noqa: PTH102 - text, as all paths here
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    except OSError:  # it exists, or using it will say why not
        return


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isascii() and user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise PbsError(f"user {user}: no such account; create it, or name another one") from None
