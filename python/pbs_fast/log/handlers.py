"""The daemon's own log: a `logging` handler that writes to the target which `logto` names.

Every module logs to its own `logging.getLogger(__name__)`; `own_log` is where these records go while a daemon runs.
Invariants: one line stays one line whatever its text holds; once open, no failure to write ends the caller's work: what
could not be written is counted and said as soon as writing works again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from typing import Final, TypeGuard

from pbs_fast.errors import LogError
from pbs_fast.log.records import Lines
from pbs_fast.log.targets import (
    DEV_LOG,
    IDENT,
    JOURNAL_SOCKET,
    Clock,
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

_PACKAGE: Final = logging.getLogger("pbs_fast")
log = logging.getLogger(__name__)


class OwnLog(logging.Handler):
    """Writes records to a Target: debug lines (only when asked for), info lines (audit lines too), warnings.

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
        clock: Clock = time.time,
        ident: str = IDENT,
    ) -> None:
        """`waits`: a reader of standard output or error that is slow, or stops, is waited for (see StreamTarget).

        `ident` is the program's name in syslog and journal.
        """
        self.lost = 0
        """Lines that could not be written since the last that could."""
        self._clock = clock
        self._as_of: float | None = None
        self._held: list[tuple[float, logging.LogRecord]] | None = None
        self._target = (
            _target(logto, waits, self._now, clock, ident) if logto is None or isinstance(logto, str) else logto
        )
        super().__init__(logging.WARNING if logto is None else logging.DEBUG if debug else logging.INFO)

    def as_of(self, second: float | None) -> None:
        """Write this time, in seconds since 1970, before lines of a file and of standard output; None: the clock's."""
        self._as_of = second

    def _now(self) -> float:
        return self._clock() if self._as_of is None else self._as_of

    def hold(self) -> None:
        """Keep records in memory until `write_held`, which writes them with their times, or `discard`.

        For a start that may be refused because another daemon runs, whose log this file may be.
        """
        self._held = []

    def write_held(self) -> None:
        """Write what is held, and from now on each record at once."""
        held, self._held = self._held or [], None
        for at, record in held:
            self.as_of(at)
            self.handle(record)
            self.as_of(None)

    def discard(self) -> None:
        """Forget what is held; records that come now are written at once."""
        self._held = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's lines, many in one write where the target can."""
        if self._held is not None:
            self._held.append((self._clock(), record))
            return
        number = record.levelno
        level = Level.WARNING if number >= logging.WARNING else Level.INFO if number >= logging.INFO else Level.DEBUG
        left = iter(record.msg if isinstance(record.msg, Lines) else (record.getMessage(),))
        while some := tuple(islice(left, _TOGETHER)):
            self._write(level, some)

    def reopen(self) -> None:
        """Open the file anew, as after a rotation; when that fails, go on with the old one and say so in it."""
        try:
            self._target.reopen()
        except LogError as error:
            log.warning("%s; still writing to the file that was open before", error)

    def close(self) -> None:
        """Close the file; standard output and error stay open. Lines written afterwards are lost."""
        self.write_held()
        self._target.close()
        super().close()

    def _write(self, level: Level, texts: Sequence[str]) -> None:
        if self.lost and not self._target.put(Level.WARNING, [f"{self.lost} lines of this log could not be written"]):
            self.lost = 0
        # One look at all: nearly always there is nothing to escape, and a look at each took as long as the rest.
        self.lost += self._target.put(level, texts if "".join(texts).isprintable() else [*map(printable, texts)])


@contextmanager
def own_log(
    logto: str | Target | None, *, tee: bool = False, clock: Clock = time.time, ident: str = IDENT, **options: bool
) -> Iterator[OwnLog]:
    """While it lasts, the package's records are lines of this log and go nowhere else; see OwnLog, also for `options`.

    `tee`: warnings go to syslog too, before; that no syslog daemon runs is no fault. It is for a daemon in the
    background that has no file for its log: its standard output and error end in /dev/null once it is ready. Raises
    LogError.
    """
    with ExitStack() as stack:
        own = stack.enter_context(closing(OwnLog(logto, clock=clock, ident=ident, **options)))
        if tee:
            syslog = stack.enter_context(closing(OwnLog(SyslogTarget(DEV_LOG, clock, required=False, ident=ident))))
            syslog.setLevel(logging.WARNING)
            stack.enter_context(listening(syslog))
        stack.enter_context(listening(own))
        yield own


@contextmanager
def listening(handler: logging.Handler) -> Iterator[None]:
    """While it lasts, `handler` gets the package's records from its level on, and the root logger gets none.

    Records below the levels of all that listen are not made; ask the logger (`isEnabledFor`) before building a costly
    one.
    """
    _PACKAGE.addHandler(handler)
    _adjust()
    try:
        yield
    finally:
        _PACKAGE.removeHandler(handler)
        _adjust()


def _adjust() -> None:
    # One without a level, as a test runner adds, takes what the others have made.
    levels = [each.level for each in _PACKAGE.handlers if each.level != logging.NOTSET]
    _PACKAGE.setLevel(min(levels, default=logging.NOTSET))
    _PACKAGE.propagate = not levels


def is_file(logto: str | None) -> TypeGuard[str]:
    """Whether this `logto` names a file."""
    return logto not in (None, STDOUT, SYSLOG, JOURNAL)


def _target(logto: str | None, waits: bool, now: Clock, clock: Clock, ident: str) -> Target:
    if logto is None:
        return StreamTarget(2, timestamped=False, waits=waits)
    if logto == STDOUT:
        return StreamTarget(1, timestamped=True, waits=waits, clock=now)
    if logto == SYSLOG:
        return SyslogTarget(DEV_LOG, clock, ident=ident)
    return JournalTarget(JOURNAL_SOCKET, ident) if logto == JOURNAL else FileTarget(logto, now)
