"""The own log of a daemon in the background that has no file for it: its warnings go to syslog.

There standard output and error end in /dev/null once it is ready; before, both are written. Imports logs.
"""

from __future__ import annotations

import syslog

from pbs_fast.logs import Log, printable

#: The name in syslog's lines, with the process id behind it.
IDENT = "pbs-fast"


class SyslogVoice(Log):
    """A Log whose warnings go to syslog too (facility mail, level warning); `target` is None or `-`."""

    def __init__(self, target: str | None, *, debug: bool = False) -> None:
        super().__init__(target, debug=debug)
        syslog.openlog(IDENT, syslog.LOG_PID, syslog.LOG_MAIL)

    def warning(self, text: str) -> None:
        syslog.syslog(syslog.LOG_WARNING, printable(text))
        super().warning(text)
