"""Checks of the tables: `table.read` as the MTA's account, `table.owner`, and `postfix.other` of their files."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pbs_fast.doctor.account import as_account, blocked_at, findings_as
from pbs_fast.doctor.daemon import a_row
from pbs_fast.doctor.site import Site
from pbs_fast.doctor.system import has_systemd, unit_state
from pbs_fast.errors import PbsError
from pbs_fast.health.finding import CANNOT_TELL, Finding
from pbs_fast.health.postfix.naming import for_postfix
from pbs_fast.health.postfix.wiring import unsupported
from pbs_fast.tables import HEARTBEAT, TableSpec, list_rows
from pbs_fast.tables.leftover import directories, leftovers
from pbs_fast.tables.locks import holders
from pbs_fast.tables.owner import owner_file
from pbs_fast.util.addresses import canonical
from pbs_fast.util.commands import find_program, run
from pbs_fast.util.durations import rough
from pbs_fast.util.text import printable

READ, OWNER, OTHER = "table.read", "table.owner", "postfix.other"
#: An address that is nobody's (RFC 5737): asked where no row is known.
NOBODY: Final = "192.0.2.1"
_TIMEOUT: Final = 20.0
_LIMIT: Final = 1 << 16
_SELINUX = "sys/fs/selinux/enforce"


class _Row(NamedTuple):
    key: str
    value: str | None
    """None: not known from outside."""


def check_read(site: Site) -> Iterator[Finding]:
    """Does the MTA find in each table what we wrote?"""
    for spec in site.specs:
        if spec.file is not None:
            yield from _file(spec)
    ours = for_postfix(site.specs)
    if not site.postfix.installations or not ours:
        return
    lacking = list(unsupported(site.postfix.installations, ours))
    yield from lacking
    types = [each.types for each in site.postfix.installations]
    for spec in ours:
        if spec.type != "policy" and all(spec.type in known or not known for known in types):
            yield from _asked(site, spec)
    if (Path(site.root) / _SELINUX).exists() and _text(Path(site.root) / _SELINUX) == "1":
        yield Finding(
            READ,
            "note",
            "SELinux is enforcing: smtpd reads files and sockets only with the right label",
            "if look-ups fail: ausearch -m avc -c smtpd; a table socketmap:inet: on loopback needs no label",
        )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _file(spec: TableSpec) -> Iterator[Finding]:
    """The file itself, whoever reads it."""
    assert spec.file is not None  # noqa: S101 - the caller's
    try:
        found = spec.file.stat()
    except OSError as error:
        yield Finding(
            READ,
            "fail",
            f"{spec.file}: {error.strerror}: the MTA answers 451 to relay attempts, or to all mail",
            "start pbs-fast, which creates it, then: postfix reload",
        )
        return
    if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
        yield Finding(
            OTHER,
            "fail",
            f"{spec.file} has {found.st_nlink} hard links: Postfix does not notice that it was replaced",
            f"find the other names (find / -xdev -samefile {spec.file}) and remove them",
        )


def _asked(site: Site, spec: TableSpec) -> Iterator[Finding]:
    """Ask as Postfix would."""
    try:
        account = pwd.getpwnam(site.postfix.account) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    except KeyError:
        yield Finding(READ, "skip", f"{CANNOT_TELL}: there is no account {site.postfix.account}, Postfix's mail_owner")
        return
    if spec.file is not None:
        if not spec.file.exists():
            return
        blocked = blocked_at(
            Path(os.path.realpath(spec.file)),
            uid=account.pw_uid,
            groups=os.getgrouplist(account.pw_name, account.pw_gid),
        )
        if blocked is not None:
            yield Finding(
                READ,
                "fail",
                f"{spec}: {account.pw_name} may not pass through the directory {blocked}",
                f"chmod a+x {blocked}",
            )
            return
    postmap = find_program("postmap")
    if postmap is None:
        yield Finding(READ, "skip", f"{CANNOT_TELL}: no command postmap, so {spec} was not asked")
        return
    row = _row(site, spec)
    answer = _answer(site, postmap, row, spec, account)
    if answer is None and row is not None:
        # It may have ended meanwhile.
        row = _row(site, spec)
        answer = _answer(site, postmap, row, spec, account)
    yield _judge(spec, account.pw_name, row, answer)


def _judge(spec: TableSpec, account: str, row: _Row | None, answer: str | PbsError | None) -> Finding:
    key = NOBODY if row is None else row.key
    asked = f"postmap -q {key} {spec} as {account}"
    if isinstance(answer, PbsError):
        return Finding(READ, "fail", f"{asked}: {answer}", "see docs/MTA-POSTFIX.md; modes and owners decide")
    if row is None:
        return Finding(READ, "ok", f"{asked}: readable; no row to ask for")
    if answer is None:
        return Finding(READ, "fail", f"{asked}: not found, although pbs-fast has it", f"restart pbs-fast; {asked}")
    if row.value is not None and answer != row.value:
        return Finding(
            READ,
            "fail",
            f"{asked}: {printable(answer)!r}, and pbs-fast list shows {printable(row.value)!r}",
            "another program's table has this name, or Postfix reads another file",
        )
    return Finding(READ, "ok", f"{asked}: {printable(answer)}")


def _row(site: Site, spec: TableSpec) -> _Row | None:
    """A live row of a table, read as the account that writes it; None if there is none."""
    if spec.kind.served:
        # Its rows are in the daemon's memory.
        known = a_row(site.config.control.directory)
        return None if known is None else _Row(known, None)
    if site.trouble:
        return None

    def first() -> list[list[str]]:
        rows = list_rows(spec, flock=site.config.flock)
        return [list(row) for row in rows[:1]]

    try:
        rows = as_account(site.account, first)
    except PbsError:
        return None  # `_answer` says what is wrong with the file
    for key, value in rows:
        if canonical(str(key)) is not None:
            return _Row(str(key), str(value))
    return None


def _answer(
    site: Site, postmap: str, row: _Row | None, spec: TableSpec, account: pwd.struct_passwd
) -> str | PbsError | None:
    """What Postfix finds; None for nothing, a PbsError for why it cannot look."""
    directory = site.postfix.installations[0].directory
    command = [postmap, "-c", directory, "-q", NOBODY if row is None else row.key, str(spec)]
    cwd = site.postfix.queue if spec.kind.served and Path(site.postfix.queue).is_dir() else "/"
    try:
        # A relative directory of configuration is one of this process's working directory.
        command[2] = str(Path(directory).absolute())
        done = run(command, timeout=_TIMEOUT, limit=_LIMIT, account=account, cwd=cwd)
    except OSError as error:
        return PbsError(f"cannot run {postmap}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return PbsError(f"no answer in {_TIMEOUT:.0f} s")
    complaint = printable(done.complaint.removeprefix("postmap: "))
    if done.status == 0:
        return done.text
    return None if done.status == 1 and not complaint else PbsError(complaint or f"status {done.status}")


def check_owner(site: Site) -> Iterator[Finding]:
    """Does one daemon, and no other, keep the tables? Does `reap` run when none does?"""
    if not site.trouble:
        yield from findings_as(site.account, lambda: _owners(site.specs))
    if any(spec.file is not None for spec in site.specs):
        yield from _timer(site)


def _owners(specs: Sequence[TableSpec]) -> Iterator[Finding]:
    for spec in specs:
        if spec.file is not None:
            yield from _owner(spec)
    for left in leftovers(directories(specs), specs):
        file = left.spec.file
        if file is not None and (pids := _holding(file)):
            yield Finding(
                OWNER,
                "warn",
                f"another pbs-fast (pid {pids[0]}) writes {left.spec}, which is not in this configuration",
                "stop it, unless another MTA reads that table",
            )


def _owner(spec: TableSpec) -> Iterator[Finding]:
    assert spec.file is not None  # noqa: S101 - the caller's
    file = Path(os.path.realpath(spec.file))
    try:
        heartbeat = owner_file(file).stat().st_mtime
    except OSError as error:
        yield Finding(
            OWNER, "fail", f"{owner_file(file)}: {error.strerror}: no pbs-fast has kept {spec}", "start pbs-fast"
        )
        return
    pids = _holding(file)
    age = time.time() - heartbeat
    if pids is None:
        level, what = ("ok", "kept") if age < 2 * HEARTBEAT else ("fail", "not kept")
        yield Finding(OWNER, level, f"{spec}: {what} by a daemon; its last heartbeat was {rough(max(0, age))} ago")  # type: ignore[arg-type]
    elif not pids:
        yield Finding(
            OWNER,
            "fail",
            f"{spec}: no pbs-fast runs; the last one ended {rough(max(0, age))} ago, so logins grant nothing",
            "start it: systemctl start pbs-fast",
        )
    elif age > 2 * HEARTBEAT:
        yield Finding(
            OWNER,
            "fail",
            f"{spec}: pid {pids[0]} keeps it, and its last heartbeat was {rough(age)} ago: it hangs",
            f"see its log; then: kill {pids[0]}",
        )
    else:
        yield Finding(OWNER, "ok", f"{spec}: kept by pid {pids[0]}; its last heartbeat was {rough(max(0, age))} ago")


def _holding(file: Path) -> list[int] | None:
    """The processes that hold the lock of a table; None if that cannot be known."""
    try:
        return holders(owner_file(file).stat())
    except OSError:
        return []


def _timer(site: Site) -> Iterator[Finding]:
    if not has_systemd(site.root):
        yield Finding(
            OWNER,
            "skip",
            f"{CANNOT_TELL} whether `pbs-fast reap` runs from cron: there is no systemd here",
            "without it, rows stay when the daemon is stopped for good",
        )
        return
    state = unit_state("pbs-fast-reap.timer")
    if state in ("active", "activating"):
        yield Finding(OWNER, "ok", "pbs-fast-reap.timer is active")
    elif state is not None:
        yield Finding(
            OWNER,
            "warn",
            f"pbs-fast-reap.timer is {state}: if the daemon is stopped for good, its rows stay and may relay",
            "systemctl enable --now pbs-fast-reap.timer, or run `pbs-fast reap` from cron",
        )
    else:
        yield Finding(OWNER, "skip", f"{CANNOT_TELL} whether `pbs-fast reap` runs: systemctl gives no answer")
