"""The daemon's own log: three levels, one line each, to the target that `logto` names.

Invariants: one line stays one line whatever its text holds; once open, no failure to write ends the caller's work:
what could not be written is counted and said as soon as writing works again. No state outside the instance.
Must not import the configuration or anything of the pipeline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeGuard

from pbs_fast.errors import LogError
from pbs_fast.log.targets import (
    DEV_LOG,
    IDENT,
    JOURNAL_SOCKET,
    FileTarget,
    JournalTarget,
    Level,
    StreamTarget,
    SyslogTarget,
    Target,
)
from pbs_fast.util.text import printable

#: What `logto` may be besides a file's path; a file of such a name is `./syslog`.
STDOUT: Final = "-"
SYSLOG: Final = "syslog"
JOURNAL: Final = "journal"
#: Lines that go out in one write: 10 KiB, so that a named pipe, of 64 KiB, loses none while its reader reads.
_TOGETHER: Final = 64


class Log:
    """Our own log at one of three levels: debug (only when asked for), info (audit lines too), warning.

    `logto` is a file's path, `-` for standard output, `syslog`, `journal`, or None: then only warnings are written, to
    standard error and without a timestamp. Where a stream ends in the journal, the level stands before each line
    instead. It may also be a Target. Raises LogError when the file cannot be opened, or when nobody
    listens for syslog or journal.
    """

    def __init__(
        self,
        logto: str | Target | None,
        *,
        debug: bool = False,
        waits: bool = False,
        clock: Callable[[], float] = time.time,
        ident: str = IDENT,
    ) -> None:
        """`waits`: a reader of standard output or error that is slow, or stops, is waited for (see StreamTarget).

        `ident` is the program's name in syslog and journal.
        """
        self.informing = logto is not None
        """True when info lines are written; ask before building a costly one."""
        self.debugging = debug and self.informing
        """The same of debug lines."""
        self.lost = 0
        """Lines that could not be written since the last that could."""
        self._clock = clock
        self._as_of: float | None = None
        self._target = (
            _target(logto, waits, self._now, clock, ident) if logto is None or isinstance(logto, str) else logto
        )

    def as_of(self, second: float | None) -> None:
        """Write this time, in seconds since 1970, before lines of a file and of standard output; None: the clock's."""
        self._as_of = second

    def _now(self) -> float:
        return self._clock() if self._as_of is None else self._as_of

    def debug(self, text: str) -> None:
        """What was done with one address or line, and why."""
        if self.debugging:
            self._write(Level.DEBUG, text)

    def info(self, text: str) -> None:
        """What an administrator wants to find later: start, stop, each grant and removal."""
        if self.informing:
            self._write(Level.INFO, text)

    def infos(self, texts: Iterable[str]) -> None:
        """`info` of each, many in one write where the target can."""
        if self.informing:
            left = iter(texts)
            while some := tuple(islice(left, _TOGETHER)):
                self._write(Level.INFO, *some)

    def warning(self, text: str) -> None:
        """What an administrator should know now."""
        self._write(Level.WARNING, text)

    def reopen(self) -> None:
        """Open the file anew, as after a rotation; when that fails, go on with the old one and say so in it."""
        try:
            self._target.reopen()
        except LogError as error:
            self.warning(f"{error}; still writing to the file that was open before")

    def close(self) -> None:
        """Close the file; standard output and error stay open. Lines written afterwards are lost."""
        self._target.close()

    def _write(self, level: Level, *texts: str) -> None:
        if self.lost and not self._target.put(Level.WARNING, [f"{self.lost} lines of this log could not be written"]):
            self.lost = 0
        # One look at all: nearly always there is nothing to escape, and a look at each took as long as the rest.
        self.lost += self._target.put(level, texts if "".join(texts).isprintable() else [*map(printable, texts)])


def is_file(logto: str | None) -> TypeGuard[str]:
    """Whether this `logto` names a file."""
    return logto not in (None, STDOUT, SYSLOG, JOURNAL)


def _target(logto: str | None, waits: bool, now: Callable[[], float], clock: Callable[[], float], ident: str) -> Target:
    if logto is None:
        return StreamTarget(2, timestamped=False, waits=waits)
    if logto == STDOUT:
        return StreamTarget(1, timestamped=True, waits=waits, clock=now)
    if logto == SYSLOG:
        return SyslogTarget(DEV_LOG, clock, ident=ident)
    return JournalTarget(JOURNAL_SOCKET, ident) if logto == JOURNAL else FileTarget(logto, now)
