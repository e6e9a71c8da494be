"""Checks of the logs: `log.read`, `log.tags`, `log.hosts`, `log.time` and what the logins say for `guard.docker`.

`look` runs as the account of the service.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pbs_fast.daemon.privileges import LOG_GROUPS
from pbs_fast.doctor.account import may
from pbs_fast.doctor.recent import Recent, read_recent
from pbs_fast.doctor.rotation import Rotation, rotation_of
from pbs_fast.errors import PbsError, SourceError
from pbs_fast.guards import read_machine
from pbs_fast.guards.networks import PRIVATE
from pbs_fast.health.drift import MISSED, MISSED_SHARE
from pbs_fast.health.finding import Finding, Level
from pbs_fast.health.loggers import raw_line_feeds
from pbs_fast.matching import load_backend
from pbs_fast.matching.rewrite import read_logtime
from pbs_fast.matching.site import site_formats
from pbs_fast.matching.zones import zone_table
from pbs_fast.sources.protocol import SourceOptions
from pbs_fast.sources.registry import find_scheme, make_source
from pbs_fast.sources.watched import Watched
from pbs_fast.util.accounts import user_name
from pbs_fast.util.addresses import Network, NetworkTable, parse
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.config import Settings
    from pbs_fast.formats import Format

READ, TAGS, HOSTS, TIME, DOCKER = "log.read", "log.tags", "log.hosts", "log.time", "guard.docker"
#: Logs that are looked at: a pattern may fit thousands.
MOST_LOGS: Final = 32
#: Seconds after which no further log is begun; one takes a second, or a minute with the Python backend.
MOST_SECONDS: Final = 120.0
#: Lines of a server without a login from which on its wording is suspect.
MANY_LINES: Final = 200
#: Seconds by which timestamps may be off unremarked.
SKEW: Final = 5
#: Logins, and users, from one address that make it a proxy's.
MANY_LOGINS: Final = 20
MANY_USERS: Final = 3


def look(settings: Settings, root: Path = Path("/")) -> Iterator[Finding]:
    """The findings about all logs. Raises PbsError for a configuration that the daemon refuses too."""
    site = site_formats(settings)
    config = settings.config
    backend = load_backend(config.core if "core" in settings.origins else None)
    matcher = backend.Matcher(site.formats, zone_table(config.log_timezone))
    logtime = None if config.logtime is None else read_logtime(config.logtime, f"{settings.origin('logtime')}: ")
    try:
        paths = Watched(config).paths
    except PbsError as error:
        yield Finding(READ, "fail", str(error), "name a log that exists in watchlog")
        return
    looked, end = 0, time.monotonic() + MOST_SECONDS
    for path in paths:
        shown = printable(path)
        scheme = find_scheme(path)
        if scheme is not None and scheme.inherited:
            yield Finding(READ, "skip", f"{shown}: standard input is read by the daemon only")
            continue
        if scheme is None and _is_fifo(path):
            yield Finding(READ, "skip", f"{shown}: a FIFO is read by the daemon only")
            continue
        if looked >= MOST_LOGS or time.monotonic() > end:
            yield Finding(READ, "note", f"{len(paths)} logs are followed; the first {looked} were looked at")
            break
        looked += 1
        if (trouble := unreadable(path)) is not None:
            yield trouble
            continue
        yield Finding(READ, *_readable(path, root))
        try:
            recent = read_recent(path, backend, matcher, site.formats, logtime)
        except SourceError as error:
            yield Finding(READ, "fail", str(error), "see docs/OPERATION.md, Log rotation")
            continue
        yield from of_tags(shown, recent, site.formats)
        yield from of_hosts(shown, recent, config.guards.hosts)
        yield from of_time(shown, recent, config.grace, time.time())
        yield from of_addresses(shown, recent, read_machine().gateways)
    files = [os.path.abspath(path) for path in paths if find_scheme(path) is None]  # noqa: PTH100 - any bytes
    for unsafe in raw_line_feeds(files, root):
        yield Finding(READ, "warn", unsafe.text, "the daemon goes by raw_line_feeds until then")


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116 - any bytes
    except OSError:
        return False


def unreadable(path: str) -> Finding | None:
    """Why the daemon cannot follow this log; None where it can."""
    account = user_name(os.geteuid())
    try:
        source = make_source(path, SourceOptions())
        with closing(source):
            source.open()
            trouble = source.trouble
    except PbsError as error:
        if find_scheme(path) is not None:
            return Finding(READ, "fail", str(error), _groups(account, "systemd-journal"))
        return Finding(READ, "fail", f"{error} (as {account})", _groups(account, "adm"))
    if trouble is None:
        return None
    if trouble.kind == "missing":
        return Finding(READ, "fail", trouble.text, "name the mail server's log in watchlog, or wait for its first line")
    return Finding(READ, "fail", f"{trouble.text} (as {account})", _groups(account, "adm"))


def _groups(account: str, group: str) -> str:
    return f"give {account} read access, for example: usermod --append --groups {group} {account}"


def _readable(path: str, root: Path) -> tuple[Level, str, str]:
    """Level, evidence and advice for a log that can be read now: can it be read after its next rotation?"""
    account = user_name(os.geteuid())
    shown = printable(path)
    if find_scheme(path) is not None:
        return "ok", f"{shown}: {account} reads it", ""
    absolute = os.path.abspath(path)  # noqa: PTH100 - any bytes
    rotation = rotation_of(absolute, root)
    if rotation is None:
        return "ok", f"{shown}: {account} reads it; no configuration of logrotate names it", ""
    if rotation.way == "copytruncate" or (rotation.way == "create" and not rotation.words):
        return "ok", f"{shown}: {account} reads it, and a rotation keeps its mode and owners ({rotation.file})", ""
    if rotation.way == "nocreate":
        return (
            "ok",
            f"{shown}: {account} reads it; after a rotation the logging daemon creates it ({rotation.file})",
            "",
        )
    if _may_read_after(rotation, Path(absolute)):
        return "ok", f"{shown}: {account} reads it, and the file that logrotate will create ({rotation.words})", ""
    return (
        "fail",
        f"{shown}: {account} reads it now, and not the file that logrotate will create ({rotation.words}; "
        f"{rotation.file})",
        f"set create 0640 root adm there, and let {account} be in that group ({' or '.join(LOG_GROUPS)})",
    )


def _may_read_after(rotation: Rotation, log: Path) -> bool:
    now = log.stat()
    mode = stat.S_IMODE(now.st_mode) if rotation.mode is None else rotation.mode
    try:
        owner = now.st_uid if rotation.owner is None else pwd.getpwnam(rotation.owner).pw_uid
        group = now.st_gid if rotation.group is None else grp.getgrnam(rotation.group).gr_gid
    except KeyError:
        return False  # logrotate itself refuses such a line, and rotates nothing
    groups = [os.getegid(), *os.getgroups()]
    return may(mode, owner, group, want=4, uid=os.geteuid(), groups=groups)


def of_tags(log: str, recent: Recent, formats: Sequence[Format]) -> Iterator[Finding]:
    """Are there lines of a POP or IMAP server, and logins among them?"""
    match = f"pbs-fast match --missed {log} shows what is read"
    logins, missed = sum(recent.logins.values()), sum(recent.missed.values())
    if not recent.tags and not logins:
        if recent.lines < MANY_LINES:
            yield Finding(TAGS, "skip", f"{log}: {recent.lines} lines in 24 h, none of a known server: too few to tell")
        else:
            yield Finding(
                TAGS,
                "fail",
                f"{log}: {recent.lines:,} lines in 24 h, none of a POP or IMAP server that pbs-fast knows",
                "name the log of the POP and IMAP server in watchlog; `pbs-fast formats` lists the servers",
            )
        return
    if recent.is_cut:
        yield Finding(TAGS, "note", f"{log}: only {recent.bytes >> 20} MiB of the last 24 h were read")
    silent = _silent(recent, formats)
    for tag in silent:
        lost = sum(recent.missed[name] for name in _formats_of(tag, formats))
        evidence = f"{log}: {tag} wrote {recent.tags[tag]:,} lines in 24 h and none is a login for us"
        if lost:
            yield Finding(TAGS, "fail", f"{evidence}; {lost:,} look like one and match no pattern", match)
        elif not logins:
            yield Finding(
                TAGS,
                "fail",
                f"{evidence}; nobody logs in, all log-ins fail, or the wording changed with an upgrade",
                f"log in once; then {match}",
            )
        else:
            yield Finding(TAGS, "note", evidence, "that may be meant: it may be no server where users log in")
    if logins:
        if missed >= MISSED and missed > MISSED_SHARE * (missed + logins):
            yield Finding(
                TAGS,
                "warn",
                f"{log}: {missed:,} of {missed + logins:,} lines in 24 h that look like a login match no pattern",
                match,
            )
        else:
            counts = ", ".join(f"{name} {n:,}" for name, n in recent.logins.most_common(5))
            yield Finding(TAGS, "ok", f"{log}: logins in 24 h: {counts}; the last {_iso(recent.last_login)}")
    elif not silent:
        lines = ", ".join(f"{tag} {n:,}" for tag, n in recent.tags.most_common(5))
        yield Finding(
            TAGS, "note", f"{log}: no login in 24 h, and few lines of known servers ({lines}): too few to tell"
        )


def _silent(recent: Recent, formats: Sequence[Format]) -> list[str]:
    """The tags with many lines and no login of any of their formats."""
    return [
        tag
        for tag, lines in recent.tags.most_common()
        if lines >= MANY_LINES and not any(recent.logins[name] for name in _formats_of(tag, formats))
    ]


def _formats_of(tag: str, formats: Sequence[Format]) -> list[str]:
    """The formats with this tag; in a server's own log the tag is the format's name."""
    return [each.name for each in formats if tag in (each.name, *each.program, *each.tls_program)]


def _iso(seconds: int | None) -> str:
    return "unknown" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def of_hosts(log: str, recent: Recent, allowed: Sequence[str]) -> Iterator[Finding]:
    """Do several hosts write here, and may any host?"""
    hosts = [printable(host) for host, _ in recent.hosts.most_common() if host]
    named = ", ".join(hosts[:5]) + (", …" if len(hosts) > 5 else "")
    if len(hosts) > 1 and not allowed:
        yield Finding(
            HOSTS,
            "warn",
            f"{log}: logins of {len(hosts)} hosts ({named}), and guards.hosts is empty: lines of any host count",
            "list the hosts whose logins count in guards.hosts",
        )
    elif hosts:
        yield Finding(HOSTS, "ok", f"{log}: logins of {named}")


def of_time(log: str, recent: Recent, grace: int, now: float) -> Iterator[Finding]:
    """Are the timestamps those of this machine's clock? They are compared with when the file was written."""
    if recent.last_line is None:
        return
    written = min(now, recent.modified) if recent.modified is not None else now
    if recent.modified is None and now - recent.last_line > 0:
        # The journal's entries bear the time at which they came.
        yield Finding(TIME, "ok", f"{log}: its entries bear this machine's time")
        return
    off = recent.last_line - written
    way = "ahead of" if off > 0 else "behind"
    evidence = f"{log}: the last timestamps are {abs(off):.0f} s {way} the clock by which the file was written"
    if abs(off) > grace / 2:
        quarters = round(abs(off) / 900) / 4
        yield Finding(
            TIME,
            "fail",
            f"{evidence} ({quarters:g} h), so logins grant nothing or too long",
            "set log_timezone to the time zone of the log, or the clock of the host that writes it",
        )
    elif abs(off) > SKEW:
        yield Finding(TIME, "warn", evidence, "keep the clocks of all hosts in step (NTP)")
    else:
        yield Finding(TIME, "ok", f"{log}: its timestamps are in step with the clock")


def of_addresses(log: str, recent: Recent, gateways: Sequence[Network]) -> Iterator[Finding]:
    """Do all logins come from one address that hides the clients?"""
    logins = sum(recent.addresses.values())
    if len(recent.addresses) != 1 or logins < MANY_LOGINS:
        return
    ((address, _),) = recent.addresses.items()
    is_gateway = _within(address, gateways)
    if is_gateway or (_within(address, PRIVATE) and len(recent.users) >= MANY_USERS):
        what = "this machine's default gateway" if is_gateway else "a private address"
        yield Finding(
            DOCKER,
            "fail",
            f"{log}: all {logins:,} logins of {len(recent.users):,} users come from {address}, {what}: a proxy hides "
            "the clients",
            "let the proxy pass the client's address on (PROXY protocol; Dovecot: haproxy_trusted_networks)",
        )


def _within(address: str, networks: Sequence[Network]) -> bool:
    found = parse(address)
    return found is not None and NetworkTable((network, True) for network in networks).find(*found) is True
