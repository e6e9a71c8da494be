"""The own log of a daemon in the background that has no file for it: its warnings go to syslog.

There standard output and error end in /dev/null once it is ready; before, both are written. Imports logs.
"""

from __future__ import annotations

from pbs_fast.log.logger import Log
from pbs_fast.log.targets import IDENT, SyslogTarget


class TeeHandler(Log):
    """A Log whose warnings go to syslog too; `logto` is None or `-`. That no syslog daemon runs is no fault."""

    def __init__(self, logto: str | None, *, debug: bool = False, waits: bool = False, ident: str = IDENT) -> None:
        super().__init__(logto, debug=debug, waits=waits, ident=ident)
        self._syslog = Log(SyslogTarget(required=False, ident=ident))

    def warning(self, text: str) -> None:
        self._syslog.warning(text)
        super().warning(text)
