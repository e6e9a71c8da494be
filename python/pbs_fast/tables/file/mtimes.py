"""Modification times of table files: how a reader that keeps a file open notices that it was changed.

What readers compare, each with the file that it has open and in whole seconds:
- Postfix: whether the time differs, or no name is left (src/util/dict.c: dict_changed_name; src/util/dict_db.c and
  dict_cdb.c store the time at their opening). Up to a connection's end an smtpd goes on with what it has read.
- Sendmail: whether the time is later (sendmail/map.c: db_map_lookup), at each look-up.
- Exim, tcpserver and couriertcpd do not compare times: they open the file for each connection, or are notified.

So a file that Postfix reads may have any times, if none comes twice while the file has that name: `PastTimes`. Sendmail
needs times that only grow, although each write sets the current time for a moment: `AheadTimes`. So do files that are
only ever replaced, for programs that look at a name's time now and then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: The least time between two changes, so that smtpds restart at most ten times a second each (seconds).
WINDOW = 0.1

#: How far in the past the first time of a file is, in seconds: that many changes fit, three days at ten a second.
DEPTH = 30 * 86_400
#: The last time of a file is this much before its creation, in seconds. Its writes set the current time for a moment,
#: and a reader may see that: with this distance no such time is used again, also after a small step of the clock.
MARGIN = 60
#: With fewer changes left than this the source file's time is ignored.
LEAST_ROOM = 600

#: A modification time further ahead than this comes from a wrong clock; the next one is the current time. Seconds.
CLOCK_FAULT = 3600
#: Each change uses up one whole second of modification time. With this slope the window is 0.25 s when the time in the
#: file is 10 s ahead of the clock, and 1 s, at which it gets no further ahead, at 60 s.
SLOPE = 0.015
LONGEST_WINDOW = 1.0


class Mtimes(ABC):
    """The modification times, in whole seconds since the epoch, of the files that get one name after another."""

    @property
    def window(self) -> float:
        """The least number of seconds between two changes."""
        return WINDOW

    @property
    def half_used(self) -> bool:
        """Whether the file should be replaced when that is convenient, because it may run out of times."""
        return False

    @abstractmethod
    def first(self, file: Path) -> int:
        """The time for a new file that is about to replace `file`."""

    def installed(self) -> None:  # noqa: B027  only some rules distinguish files
        """The new file has its name."""

    @abstractmethod
    def next(self) -> int | None:
        """The time to set after a change in place; None if the file has to be replaced instead."""


class PastTimes(Mtimes):
    """One second more for each change, beginning long ago.

    Invariant: the times of one file never repeat, and are earlier than any time at which it is written. A file whose
    times are used up is replaced by one that begins long ago again; so is a file newer than the clock, which was set
    back. A new file goes on after the old one's time while it leaves room, for programs that compare names' times.
    """

    def __init__(self, clock: Callable[[], float], source: Path) -> None:
        """`source` is the file of which Postfix logs a warning at each opening if it is newer than the table."""
        self._clock = clock
        self._source = source
        self._last = self._end = self._begin = 0
        self._new = (0, 0)

    @property
    def half_used(self) -> bool:
        return self._last - self._begin > (self._end - self._begin) / 2

    def first(self, file: Path) -> int:
        end = int(self._clock()) - MARGIN
        first = end - DEPTH
        for other, latest in ((self._source, end - LEAST_ROOM), (file, end - DEPTH // 2)):
            with suppress(OSError):
                later = int(other.stat().st_mtime) + 1
                if later <= latest:
                    first = max(first, later)
        # Postfix warns of 0, and newer versions ignore negative times.
        self._new = max(1, first), end
        return self._new[0]

    def installed(self) -> None:
        # Not before: if the new file cannot be installed, the old one still takes changes, at its own times.
        self._begin, self._end = self._new
        self._last = self._begin

    def next(self) -> int | None:
        if self._last + 1 >= self._end or self._clock() < self._end + 1:
            return None
        self._last += 1
        return self._last


class AheadTimes(Mtimes):
    """The current time, or one second more than the last if that is later."""

    def __init__(self, clock: Callable[[], float], *, slope: float = 0.0) -> None:
        """`slope` lengthens the window, in seconds for each second that the times are ahead of the clock."""
        self._clock = clock
        self._slope = slope
        self.last = 0
        """The newest time given, and 0 before."""

    @property
    def window(self) -> float:
        ahead = self.last - self._clock()
        return min(LONGEST_WINDOW, WINDOW + self._slope * max(0.0, ahead))

    def first(self, file: Path) -> int:
        if not self.last:
            with suppress(FileNotFoundError):
                self.last = int(file.stat(follow_symlinks=False).st_mtime)
        if self.last > self._clock() + CLOCK_FAULT:
            self.last = 0
        return self.next()

    def next(self) -> int:
        self.last = max(int(self._clock()), self.last + 1)
        return self.last
