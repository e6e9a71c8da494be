"""Finds logging daemons of this machine that write line feeds of strangers to a log file.

A line feed in a user name then starts a separate line: a forged login (SECURITY.md lists what each daemon does).
`raw_line_feeds` returns findings; it changes nothing and raises nothing. It runs when the daemon starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbs_fast.health.loggers.files import Finding
from pbs_fast.health.loggers.rsyslog import rsyslog_findings
from pbs_fast.health.loggers.syslog_ng import syslog_ng_findings

#: Where distributions put the daemons' programs. A configuration alone may have outlived its package.
_PLACES = ("usr/sbin", "usr/bin", "usr/local/sbin", "sbin")

__all__ = ["Finding", "raw_line_feeds"]


def raw_line_feeds(logs: Sequence[str], root: Path = Path("/")) -> list[Finding]:
    """What is unsafe about these log files (absolute paths) and other mail logs; nothing where no file is followed.

    `root` is where the file system of the machine begins.
    """
    if not logs:
        return []
    found: list[Finding] = []
    for program, findings in (("syslog-ng", syslog_ng_findings), ("rsyslogd", rsyslog_findings)):
        if any((root / place / program).exists() for place in _PLACES):
            found += findings(logs, root)
    return found
