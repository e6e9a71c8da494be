"""A time zone as the table that the backends use for timestamps (docs/MATCHING.md, 5).

The table is found by sampling the offset every five days from 1970 to 2100 and bisecting where it differs, which takes
a few milliseconds and needs no knowledge of zone file formats. Two changes that cancel each other within five days
would be missed; the closest such pair in the zone data of 2026 is a week less an hour apart (America/Noronha in 2000,
Asia/Gaza in 2040).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pbs_fast.errors import ConfigError

#: UTC seconds between which the table is exact: 1970-01-01 and 2101-01-01. Beyond, the nearest offset holds.
FIRST, LAST = 0, 4_133_980_800
#: Start of the first row: below every timestamp.
BELOW_ALL = -(2**62)

_STEP = 5 * 86_400


def zone_table(name: str | None) -> tuple[tuple[int, int], ...]:
    """Rows of (UTC second, offset in seconds east of UTC from then on), ascending, for the named zone.

    None is the zone of this machine, as the C library has it (TZ, /etc/localtime). Raises ConfigError for a name that
    is no zone, with the nearest one that is.
    """
    offset = _local_offset if name is None else _named_offset(name)
    start, current = FIRST, offset(FIRST)
    rows = [(BELOW_ALL, current)]
    for stop in range(FIRST + _STEP, LAST + _STEP, _STEP):
        while offset(stop) != current:
            start = _first_change(offset, current, start, stop)
            current = offset(start)
            rows.append((start, current))
        start = stop
    return tuple(rows)


def _first_change(offset: Callable[[int], int], before: int, low: int, high: int) -> int:
    """The first second after `low`, where the offset is `before`, at which it is another, as it is at `high`."""
    # Nearly every change is at a whole hour and most others at a whole minute, which one question confirms.
    for unit in (3600, 60, 1):
        first, last = low // unit, -(-high // unit)
        while last - first > 1:
            middle = (first + last) // 2
            if offset(middle * unit) == before:
                first = middle
            else:
                last = middle
        low, high = max(low, first * unit), min(high, last * unit)
        if high - low == 1 or offset(high - 1) == before:
            break
    return high


def _local_offset(second: int) -> int:
    return time.localtime(second).tm_gmtoff


def _named_offset(name: str) -> Callable[[int], int]:
    """What answers for the zone's offset. Imports `zoneinfo` (10 ms), which the machine's own zone does not need."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    try:
        zone = ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # not there; not a relative path; a directory of zones
        raise ConfigError(f"log_timezone '{name}': no such time zone; {_nearest(name)}") from None

    def offset(second: int) -> int:
        east = datetime.fromtimestamp(second, zone).utcoffset()
        assert east is not None  # noqa: S101  # a ZoneInfo always knows
        return east.days * 86_400 + east.seconds

    return offset


def _nearest(name: str) -> str:
    import difflib
    from zoneinfo import available_timezones

    zones = {zone.lower(): zone for zone in available_timezones()}
    if not zones:
        return "this machine has no zone data (install tzdata)"
    near = difflib.get_close_matches(name.lower(), zones, n=1, cutoff=0)
    return f"did you mean {zones[near[0]]}?"
