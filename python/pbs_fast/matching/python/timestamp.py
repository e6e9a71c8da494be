"""Timestamps: the text of a date and time to seconds since the epoch (docs/MATCHING.md, 5).

Reads no clock: zone and reference come from the caller.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date

Reading = tuple[int | None, int]
"""Earlier reading in seconds since the epoch, and the distance to the later one (0: none). No time: (None, 0)."""

UNREADABLE: Reading = (None, 0)
YEAR_AHEAD = 26 * 3600
"""A yearless timestamp lies at most this many seconds after the reference."""
CACHE_SIZE = 1 << 17
SECONDS: dict[bytes, int | None] = {b"%02d" % second: second if second < 60 else None for second in range(100)}
"""A minute's seconds by their text; None for a leap second and for what is no second. Its minutes are the same."""

_MONTHS = {name: i for i, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
_DAY = 86_400
_EPOCH = date(1970, 1, 1).toordinal()
_PARTS = re.compile(
    rb"(?:(?P<month>[A-Z][a-z]{2}) (?P<day>[ 0-9]?[0-9]) (?:(?P<year>[0-9]{4}) )?"
    rb"|(?P<iso>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ])"
    rb"(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)


class Clock:
    """Local time to UTC by a zone's table of (start, offset). Immutable."""

    __slots__ = ("_high", "_low", "_offsets", "_starts")

    def __init__(self, zone: Sequence[tuple[int, int]]) -> None:
        """Raises ValueError for a table without rows, or whose rows do not ascend."""
        self._starts = [int(start) for start, _ in zone]
        self._offsets = [int(offset) for _, offset in zone]
        if not zone or any(a >= b for a, b in zip(self._starts, self._starts[1:], strict=False)):
            raise ValueError("a zone needs one row at least, and rows that ascend")
        self._low, self._high = min(self._offsets), max(self._offsets)

    def read(self, local: int) -> tuple[int, int]:
        """(earlier reading, distance to the later) of a local time, given as if it were UTC."""
        starts, offsets = self._starts, self._offsets
        # Only rows that begin within the widest offset's reach of the time can read it.
        first = max(bisect_right(starts, local - self._high) - 1, 0)
        last = max(bisect_right(starts, local - self._low) - 1, 0)
        readings, before = [], first
        for i in range(first, last + 1):
            utc = local - offsets[i]
            begun = i == 0 or utc >= starts[i]
            if begun:
                before = i
            if begun and (i + 1 == len(starts) or utc < starts[i + 1]):
                readings.append(utc)
        if not readings:
            return local - offsets[before], 0
        readings.sort()
        return readings[0], (readings[1] - readings[0] if len(readings) > 1 else 0)

    def is_even(self, utc: int) -> bool:
        """Whether no row starts within a day and the offsets' reach of this second: one reads all times about it."""
        reach = _DAY + self._high - self._low
        return bisect_right(self._starts, utc - reach) == bisect_right(self._starts, utc + reach)


class Hours(dict[bytes, "int | None"]):
    """Timestamp text without minutes and seconds -> their first second, where the whole hour is read alike; else None.

    So a log's further minutes cost 0.5 us each, not 8.
    """

    __slots__ = ("_clock", "_last", "_read")

    def __init__(self, clock: Clock, read: Callable[[bytes], Reading], reference: int) -> None:
        super().__init__()
        self._clock, self._read, self._last = clock, read, reference + YEAR_AHEAD

    def __missing__(self, text: bytes) -> int | None:
        if len(self) >= CACHE_SIZE:
            self.clear()
        at = text.index(b":") + 1
        begin, _ = self._read(text[:at] + b"00:00" + text[at:])
        end, _ = self._read(text[:at] + b"59:59" + text[at:])
        plain = begin is not None and end == begin + 3599
        if plain and begin is not None and text[-1:] == b":":
            # No zone in the text: one row of the table has to read all of the hour, and where there is no year either,
            # it must not turn on the minute which year it is.
            plain = self._clock.is_even(begin) and (b"-" in text or begin + _DAY <= self._last < begin + 364 * _DAY)
        self[text] = hour = begin if plain else None
        return hour


class Minutes(dict[bytes, "int | None"]):
    """Timestamp text without its seconds -> their second 0, where the whole minute has one reading; else None.

    A log of a day has 86,400 seconds but 1,440 minutes: a timestamp costs an addition (0.1 us against 4 us).
    """

    __slots__ = ("_hours", "_read")

    def __init__(self, hours: Hours, read: Callable[[bytes], Reading]) -> None:
        super().__init__()
        self._hours, self._read = hours, read

    def __missing__(self, text: bytes) -> int | None:
        if len(self) >= CACHE_SIZE:
            self.clear()
        at = text.index(b":") + 1
        hour, number = self._hours[text[:at] + text[at + 3 :]], SECONDS[text[at : at + 2]]
        minute = self._of_its_own(text) if hour is None or number is None else hour + 60 * number
        self[text] = minute
        return minute

    def _of_its_own(self, text: bytes) -> int | None:
        at = text.index(b":") + 4
        begin, distance = self._read(text[:at] + b"00" + text[at:])
        end, distance_at_end = self._read(text[:at] + b"59" + text[at:])
        plain = begin is not None and end == begin + 59 and not distance and not distance_at_end
        return begin if plain else None


class Timestamps(dict[bytes, Reading]):
    """Timestamp text without its fraction -> Reading, for one reference; computed on first sight, emptied when full.

    Texts come from the envelope's grammar, so their shape is known; their numbers are not.
    """

    __slots__ = ("_clock", "minutes", "reference")

    def __init__(self, clock: Clock, reference: int) -> None:
        super().__init__()
        self._clock = clock
        self.minutes = Minutes(Hours(clock, self.in_full, reference), self.in_full)
        self.reference = reference

    def __missing__(self, text: bytes) -> Reading:
        if len(self) >= CACHE_SIZE:
            self.clear()
        self[text] = reading = self._by_minute(text)
        return reading

    def _by_minute(self, text: bytes) -> Reading:
        at = text.index(b":") + 4
        minute = self.minutes[text[:at] + text[at + 2 :]]
        seconds = SECONDS.get(text[at : at + 2])
        return self.in_full(text) if minute is None or seconds is None else (minute + seconds, 0)

    def in_full(self, text: bytes) -> Reading:
        """The reading, without asking or keeping what is remembered."""
        m = _PARTS.fullmatch(text)
        if m is None:
            return UNREADABLE
        month, day_text, year_text, iso, time, zone = m.groups()
        seconds = _seconds(time)
        if seconds is None:
            return UNREADABLE
        if iso:
            year, month_number, day = map(int, iso.split(b"-"))
        else:
            month_number, day = _MONTHS.get(month, 0), int(day_text)
            if year_text is None:
                return self._yearless(month_number, day, seconds)
            year = int(year_text)
        days = _days(year, month_number, day)
        if days is None:
            return UNREADABLE
        local = days * _DAY + seconds
        if zone is None:
            return self._clock.read(local)
        offset = offset_of(zone)
        return UNREADABLE if offset is None else (local - offset, 0)

    def _yearless(self, month: int, day: int, seconds: int) -> Reading:
        year = date.fromordinal(self.reference // _DAY + _EPOCH).year
        for candidate in range(year + 1, year - 9, -1):
            days = _days(candidate, month, day)
            if days is not None:
                reading = self._clock.read(days * _DAY + seconds)
                if reading[0] <= self.reference + YEAR_AHEAD:
                    return reading
        return UNREADABLE


def _days(year: int, month: int, day: int) -> int | None:
    """Days since the epoch; None for no date and for years before 1970."""
    if year < 1970:
        return None
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def _seconds(time: bytes) -> int | None:
    """Seconds since midnight; a leap second is the next midnight."""
    if time == b"23:59:60":
        return _DAY
    hour, minute, second = map(int, time.split(b":"))
    return hour * 3600 + minute * 60 + second if hour < 24 and minute < 60 and second < 60 else None


def offset_of(zone: bytes) -> int | None:
    """Seconds east of UTC; None for no zone of the world."""
    if zone == b"Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 3600 + minutes * 60) * (-1 if zone[:1] == b"-" else 1)
