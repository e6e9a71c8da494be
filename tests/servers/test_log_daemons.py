"""What each logging daemon of Debian 12 and 13 makes of a stranger's bytes is what SECURITY.md says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from formats.injecting import CORES, MATCHERS
from mta import unavailable
from pbs_fast.health.loggers import raw_line_feeds
from servers.log_daemons import DAEMONS, FORGED, Daemon, journaled, observe, version, written
from servers.log_hosts import SUITES, UNPACKED

_PAGE = Path(__file__).parents[2] / "SECURITY.md"


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("daemon", DAEMONS, ids=[daemon.name for daemon in DAEMONS])
def test_is_as_written(daemon: Daemon, suite: str) -> None:
    if not (UNPACKED / suite / ".complete").exists():
        unavailable(f"the logging daemons of {suite} are not unpacked")
    rows = written(_PAGE)
    # A point release of Debian may bring another version than the page names; what it does is still held.
    said = rows.get((daemon.name, version(suite, daemon.package)))
    if said is None:
        said = next(row for (name, _), row in rows.items() if name == daemon.name)
    assert observe(daemon, suite) == said


@pytest.mark.parametrize("suite", SUITES)
def test_blanks_that_fill_a_record_are_part_of_its_length(suite: str) -> None:
    """journald strips them, and a stranger may fill a record of courierlogger with them: the next part is a login."""
    if not (UNPACKED / suite / ".complete").exists():
        unavailable(f"the logging daemons of {suite} are not unpacked")
    forged = b"imapd: LOGIN, user=y, ip=[192.0.2.6], port=[1], protocol=IMAP"
    true = b"imapd: LOGIN, user=mia, ip=[198.51.100.14], port=[40122], protocol=IMAP"
    for filled in (b"imapd: LOGIN FAILED, user=x".ljust(7 + 505), forged.ljust(7 + 505)):
        log = b"\n".join(journaled(suite, [filled, forged, true])) + b"\n"
        for core in CORES:
            scan = MATCHERS[core.name].scan(log, layout="syslog", reference=int(time.time()))
            events = core.Stream(MATCHERS[core.name], source="journal", gap=0, fold=False).events(scan)
            assert [event.ip for event in events if event.kind == "login"] == ["198.51.100.14"], log


def test_the_page_has_every_daemon() -> None:
    rows = written(_PAGE)
    assert {name for name, _ in rows} == {daemon.name for daemon in DAEMONS}
    forged = {way for row in rows.values() for way in row.forged.split(", ")}
    # The attack does something, and each way that does is known.
    assert "LF" in forged
    assert forged <= {"no", *FORGED}


#: Package -> its program, and its configuration.
_LOGGERS = {
    "rsyslog": ("rsyslogd", "etc/rsyslog.conf"),
    "syslog-ng-core": ("syslog-ng", "etc/syslog-ng/syslog-ng.conf"),
}


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("daemon", [each for each in DAEMONS if each.package in _LOGGERS], ids=lambda each: each.name)
def test_findings_are_what_the_daemons_do(tmp_path: Path, daemon: Daemon, suite: str) -> None:
    """A finding exactly where a forged login was read: of these very configurations."""
    shipped = UNPACKED / suite
    if not (shipped / ".complete").exists():
        unavailable(f"the logging daemons of {suite} are not unpacked")
    program, configuration = _LOGGERS[daemon.package]
    files = {f"/{configuration}": (shipped / configuration).read_text(), f"/usr/sbin/{program}": "", **daemon.files}
    for name, text in files.items():
        (tmp_path / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name.lstrip("/")).write_text(text)
    findings = raw_line_feeds(["/var/log/mail.log"], tmp_path)
    forged = {row.forged for (name, _), row in written(_PAGE).items() if name == daemon.name}
    assert bool(findings) == (forged != {"no"})
    assert all(finding.followed == ("/var/log/mail.log",) for finding in findings)
