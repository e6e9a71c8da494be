"""What each logging daemon of Debian 12 and 13 makes of a stranger's bytes is what SECURITY.md says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta import unavailable
from pbs_fast.health.loggers import raw_line_feeds
from servers.log_daemons import DAEMONS, FORGED, Daemon, observe, version, written
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
