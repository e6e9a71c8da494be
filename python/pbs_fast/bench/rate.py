"""How fast a log was written, by its timestamps: on average, and in its busiest minute.

A separate pass over the logs, after the replay's clock has stopped. Within a piece the timestamps are assumed to be
ascending, so that the borders of minutes are found by bisection and few lines are parsed. If timestamps go backwards in
places, the figures are approximate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pbs_fast.matching.reader import Reader, Ready
from pbs_fast.replay.feed import last_timestamp_of
from pbs_fast.replay.inputs import once
from pbs_fast.sources.lines import MAX_LINE, pieces
from pbs_fast.sources.open import open_log


class LogRate(NamedTuple):
    """What one or several logs, taken as one, say about the rate at which they were written."""

    lines: int
    first: int
    """Least and greatest timestamp, seconds since the epoch."""
    last: int
    busiest: int
    """Lines in the busiest minute."""
    busiest_at: int
    """When that minute began, seconds since the epoch."""

    @property
    def average(self) -> float:
        """Lines a second."""
        return self.lines / max(self.last - self.first, 1)

    @property
    def peak(self) -> float:
        """Lines a second in the busiest minute; of a log of less than a minute, its average."""
        return max(self.busiest / 60, self.average)


class _Minutes:
    """Lines a minute, as lines come; only the busiest minute is kept."""

    def __init__(self) -> None:
        self.lines = 0
        self.busiest = 0
        self.busiest_at = 0
        self._minute: int | None = None
        self._n = 0

    def add(self, minute: int, lines: int) -> None:
        self.lines += lines
        if minute != self._minute:
            self._minute, self._n = minute, 0
        self._n += lines
        if self._n > self.busiest:
            self.busiest, self.busiest_at = self._n, minute * 60


class _Stamps:
    """The minutes of the lines of one piece."""

    def __init__(self, ready: Ready, reader: Reader, reference: int) -> None:
        self.data, self.start, self.stop = ready.data, ready.start, ready.stop
        self._ready = ready
        self._reader = reader
        self._reference = reference

    def timestamp(self, start: int) -> int | None:
        """That of the line which starts here."""
        end = self.data.find(b"\n", start, self.stop)
        end = self.stop if end < 0 else end
        if end - start > MAX_LINE:
            return None
        return self._reader.timestamp_of(self.data[start:end].removesuffix(b"\r"), self._ready.layout, self._reference)

    def next_line(self, place: int, before: int) -> int:
        """Where the first line starts after this place, `before` when none starts earlier."""
        return self.data.find(b"\n", place, before) + 1 or before

    def first(self, start: int) -> tuple[int, int] | None:
        """Start and timestamp of the first line from here on that has a timestamp."""
        while start < self.stop:
            timestamp = self.timestamp(start)
            if timestamp is not None:
                return start, timestamp
            start = self.next_line(start, self.stop)
        return None

    def end_of_minute(self, start: int, minute: int) -> int:
        """Where the first line of another minute starts, from a line of this minute on; doubling steps, then halves."""
        low, step, high = start, 512, self.stop
        while low + step < self.stop:
            place = self.next_line(low + step, self.stop)
            if place >= self.stop or self._is_later(place, minute):
                high = place
                break
            low, step = place, step * 2
        while True:
            place = self.next_line((low + high) // 2, high)
            if place >= high:
                place = self.next_line(low, high)
                if place >= high:
                    return high
            if self._is_later(place, minute):
                high = place
            else:
                low = place

    def _is_later(self, start: int, minute: int) -> bool:
        """A line without timestamp belongs to the minute before."""
        timestamp = self.timestamp(start)
        return timestamp is not None and timestamp // 60 != minute


def log_rate(files: Sequence[str], reader: Reader, now: int | None) -> LogRate | None:
    """Read the logs once more; `reader` must be a fresh one. None when no line has a timestamp, or when one of them
    cannot be read again (`inputs.once`). Raises SourceError.

    `now` is the second that years are judged from; None means each file's time of last modification.
    """
    if once(files):
        return None
    minutes = _Minutes()
    first: int | None = None
    last = 0
    for file in files:
        with open_log(file) as log:
            reader.begin_file()
            reference = log.reference(now)
            for piece in pieces(log):
                ready = reader.ready(piece.data, piece.start, piece.stop, offset=piece.offset)
                timestamps = _Stamps(ready, reader, reference)
                place = ready.start
                while found := timestamps.first(place):
                    timestamp = found[1]
                    first = timestamp if first is None else min(first, timestamp)
                    end = timestamps.end_of_minute(found[0], timestamp // 60)
                    minutes.add(timestamp // 60, ready.data.count(b"\n", place, end))
                    place = end
                last = max(last, last_timestamp_of(ready, reader, reference) or last)
                reader.forget()
    return None if first is None else LogRate(minutes.lines, first, last, minutes.busiest, minutes.busiest_at)
