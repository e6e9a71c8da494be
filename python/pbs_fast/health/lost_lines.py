"""The logging daemons' own words, in a followed file, that they dropped lines: logins perhaps.

Their lines go through the matcher like a server's, as a format of their own (`LOGGERS`), so no other line costs more.
What they say comes out as rows that end a session (docs/MATCHING.md, 4), the number in the place of the user; `taken`
takes these rows out again. The wordings are those of rsyslog (runtime/ratelimit.c, plugins/imuxsock; the older one up
to 7.2), syslog-ng (lib/logqueue-fifo.c; the message reference of its guide) and systemd (journald-server.c). Anybody
who can write to the log can forge them, so there is one warning an hour for each log, and nothing else depends on it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pbs_fast.formats import Format
from pbs_fast.util.text import printable

if TYPE_CHECKING:
    from pbs_fast.events import Batch

#: No site's format has such a name.
NAME: Final = "(loggers)"
#: Seconds between two warnings about the same log.
PAUSE: Final = 3_600.0
#: Most lines that are counted until the next warning; a forger may name any number.
MOST: Final = 10**9
#: Units that are remembered until the next warning.
MOST_UNITS: Final = 2

_NUMBER = "(?P<user>[0-9]{1,9})"
_SUPPRESSED = f"Suppressed {_NUMBER} messages from (?P<session>[!-~]{{1,255}})"
LOGGERS: Final = Format(
    name=NAME,
    title="Logging daemons that dropped lines",
    versions="",
    program=("rsyslogd", "rsyslogd-2177", "syslog-ng", "systemd-journald", "systemd-journal", "journal"),
    tls_program=(),
    success=(),
    login=(),
    logout=(),
    aborted=(
        rf"imuxsock lost {_NUMBER} messages from pid [0-9]{{1,20}} due to rate-limiting(?: .*)?",
        rf"im[a-z0-9]{{1,20}}(?:\([!-'*-~]{{1,64}}\))?(?:\[[ -\\^-~]{{1,255}}\])?: {_NUMBER} messages lost due to "
        r"rate-limiting(?: .*)?",
        rf"Destination queue full, dropping messages; (?:[a-z_]{{1,32}}='[ -&(-~]{{0,255}}',? )*?count='{_NUMBER}'.*",
        _SUPPRESSED,
    ),
)
#: Units, by their names, whose lines matter. Journald names the unit whose lines it dropped; others are no concern.
_MAIL = re.compile(r"dovecot|courier|cyrus|imap|pop3?|mail", re.IGNORECASE)


class LostLines:
    """What the logging daemons say of one log."""

    def __init__(self) -> None:
        self.lines = 0
        """Lines dropped, by their own words."""
        self._unsaid = 0
        self._units: set[str] = set()
        self._quiet_until = float("-inf")
        self._said = ""

    def taken(self, batch: Batch) -> Batch:
        """The batch without the logging daemons' rows, which are noted."""
        # Equal objects are counted at 5 ns a row, so the usual batch costs nothing.
        if batch.kind.count("login") == len(batch) or NAME not in batch.format:
            return batch
        for format_, text, unit in zip(batch.format, batch.user_last, batch.session, strict=True):
            if format_ == NAME and (unit is None or _MAIL.search(unit)):
                self._unsaid = min(MOST, self._unsaid + int(text or 0))
                self.lines = min(MOST, self.lines + int(text or 0))
                if len(self._units) < MOST_UNITS:
                    self._units.add(printable(unit or ""))
        return batch.select(format_ != NAME for format_ in batch.format)

    def warning(self, now: float) -> str | None:
        """The warning that is due at `now` (seconds on a clock that is never set), after the log's name."""
        if not self._unsaid or now < self._quiet_until:
            return None
        self._quiet_until = now + PAUSE
        n, self._unsaid = self._unsaid, 0
        of = f" of {next(iter(self._units))}" if len(self._units) == 1 and "" not in self._units else ""
        self._units.clear()
        self._said = (
            f"the logging daemon dropped {n} lines{of}, logins perhaps, because too many came: raise its rate limits "
            '(rsyslog: SysSock.RateLimit.Interval="0"; systemd: LogRateLimitIntervalSec=0 in the server\'s unit; '
            "syslog-ng: flags(flow-control))"
        )
        return self._said

    def recent(self, now: float) -> str:
        """The last warning, if it was within PAUSE; else ""."""
        return self._said if now < self._quiet_until else ""
