"""Days of the site's own time zone."""

from __future__ import annotations

from bisect import bisect_right
from datetime import date

from pbs_fast.matching.zones import zone_table

_DAY = 86_400


class Days:
    """Numbers of days, which go up by one at local midnight."""

    def __init__(self, zone: str | None) -> None:
        """`zone` is a name such as Europe/Berlin; None is local time. Raises ConfigError for an unknown one."""
        self._table = zone_table(zone)
        self._starts = [start for start, _ in self._table]
        self._number = 0
        self._begin = self._end = 0

    def _offset(self, second: int) -> int:
        """Seconds by which local time is ahead of UTC."""
        return self._table[max(0, bisect_right(self._starts, second) - 1)][1]

    def number(self, second: int) -> int:
        """The day of a second since the epoch."""
        if not self._begin <= second < self._end:
            self._begin, self._end, self._number = self.around(second)
        return self._number

    def around(self, second: int) -> tuple[int, int, int]:
        """Seconds from which on and before which it is the same day as at this one, and the day's number."""
        local = second + self._offset(second)
        # Only a quarter of an hour: the offset changes at none of its other seconds.
        begin = second - local % 900
        return begin, begin + 900, local // _DAY

    @staticmethod
    def date(number: int) -> date:
        """The date of a day."""
        return date.fromordinal(number + date(1970, 1, 1).toordinal())
