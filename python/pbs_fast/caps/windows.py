"""Sliding windows that count what a login sends, in 12 parts; pure.

A window of an hour has 12 parts of 5 minutes: what counts is the sum of the current part and the 11 before. That is at
most a twelfth too generous, costs the same for one recipient as for a million, and explains itself ("200 of 200 in an
hour"). It is leaky: what was refused does not count, so a client that retries recovers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pbs_fast.errors import UsageError

PARTS = 12
#: Longest window in seconds; like the longest `grace`.
LONGEST = 30 * 86_400

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_RATE = re.compile(r"(?P<limit>[0-9]{1,9})/(?P<count>[0-9]{1,4})(?P<unit>[smhd])")


class Rate(NamedTuple):
    """At most `limit` in `seconds`."""

    limit: int
    seconds: int

    def __str__(self) -> str:
        unit = next(unit for unit in "dhms" if self.seconds % _UNITS[unit] == 0)
        return f"{self.limit}/{self.seconds // _UNITS[unit]}{unit}"


def parse_rate(text: str) -> Rate:
    """The rate that `200/1h` names. Raises UsageError."""
    found = _RATE.fullmatch(text)
    if found is None or not int(found["limit"]):
        raise UsageError(f"{text}: is not a rate; write it like 200/1h or 1000/1d")
    if not PARTS <= int(found["count"]) * _UNITS[found["unit"]] <= LONGEST:
        raise UsageError(f"{text}: is not a rate; its time must be from {PARTS} seconds to 30 days")
    return Rate(int(found["limit"]), int(found["count"]) * _UNITS[found["unit"]])


class Window:
    """What one login or address sent lately. Not for several threads at once."""

    __slots__ = ("_counts", "_part", "_seconds", "_sum")

    def __init__(self, seconds: int) -> None:
        """`seconds` is the whole window's length, at least PARTS."""
        if seconds < PARTS:
            raise ValueError(f"a window has at least {PARTS} seconds, not {seconds}")
        self._seconds = seconds
        self._counts = [0] * PARTS
        self._part = 0
        self._sum = 0

    def used(self, second: float) -> int:
        """What counts at this second. A second before the latest one counts as the latest."""
        part = int(second * PARTS // self._seconds)
        passed = part - self._part
        if passed > 0:
            counts = self._counts
            for each in range(self._part + 1, self._part + 1 + min(passed, PARTS)):
                self._sum -= counts[each % PARTS]
                counts[each % PARTS] = 0
            self._part = part
        return self._sum

    def add(self, second: float, n: int = 1) -> int:
        """Count `n` more; what counts then."""
        self.used(second)
        self._counts[self._part % PARTS] += n
        self._sum += n
        return self._sum

    def admit(self, second: float, limit: int, n: int = 1) -> int:
        """Count as many of `n` as keep the window within `limit`; how many these are."""
        admitted = max(0, min(n, limit - self.used(second)))
        self.add(second, admitted)
        return admitted

    def parts(self) -> list[tuple[float, int]]:
        """What counts, the oldest first: the last moment of each part that has any, and how much."""
        length = self._seconds / PARTS
        # A thousandth before the end: within the part on a clock that is a little off, too.
        return [
            ((part + 0.999) * length, n)
            for part in range(self._part - PARTS + 1, self._part + 1)
            if (n := self._counts[part % PARTS])
        ]
