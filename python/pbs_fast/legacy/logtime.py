"""The old `$logtime_pat`, and other patterns for timestamps, as the key `logtime`.

Which timestamps a pattern is for is tried with those that servers write. Imports the reader of `logtime`.
"""

from __future__ import annotations

import re

from pbs_fast.errors import PbsError
from pbs_fast.legacy.spelling import spelled
from pbs_fast.matching.rewrite import read_logtime

#: Timestamps that are read without being told (docs/MATCHING.md, 2).
_READ_ANYWAY = (
    "Mar  4 07:12:09",
    "Mar  4 2026 07:12:09",
    "2026-03-04T07:12:09",
    "2026-03-04 07:12:09",
    "2026-03-04T07:12:09.123456+01:00",
)
#: Timestamps of other servers, and the strptime format where `logtime` does not read them by itself; `?` for none.
_STAMPS = (
    ("04.03.2026 07:12:09", "?"),
    ("04/03/2026 07:12:09", "?"),
    ("Wed Mar  4 07:12:09 2026", ""),
    ("Mar  4 07:12:09 2026", ""),
    ("Mar 04 07:12:09", ""),
    ("Wed, 04 Mar 2026 07:12:09 +0100", ""),
    ("04-Mar-2026 07:12:09", ""),
    ("04 Mar 2026 07:12:09", ""),
    ("2026/03/04 07:12:09", ""),
    ("04/Mar/2026:07:12:09", "%d/%b/%Y:%H:%M:%S"),
    ("04/Mar/2026:07:12:09 +0100", "%d/%b/%Y:%H:%M:%S %z"),
    ("04/Mar/2026 07:12:09", "%d/%b/%Y %H:%M:%S"),
    ("2026.03.04 07:12:09", "%Y.%m.%d %H:%M:%S"),
    ("20260304 07:12:09", "%Y%m%d %H:%M:%S"),
    ("20260304071209", "%Y%m%d%H%M%S"),
    ("1772608329", "%s"),
)


def takes_stamp(pattern: str) -> bool:
    """Whether a pattern for a timestamp takes one that is read without being told."""
    try:
        return any(re.fullmatch(pattern, timestamp) is not None for timestamp in _READ_ANYWAY)
    except re.error:
        return False


def logtime_of(pattern: str) -> str:
    """The `logtime` for a pattern: itself, or a strptime format. Raises ValueError with what is wrong with it."""
    for timestamp, wanted in _STAMPS:
        try:
            if re.fullmatch(pattern, timestamp) is None:
                continue
            if wanted == "?":
                raise ValueError("whether the day or the month comes first cannot be told")
            chosen = wanted or spelled(pattern)
            if read_logtime(chosen).head(f"{timestamp} x".encode()) is not None:
                return chosen
        except (PbsError, re.error) as error:
            raise ValueError(str(error)) from error
    raise ValueError("no timestamp that it takes can be read")


def has_year(pattern: str) -> bool:
    """Whether the timestamps of a pattern that `logtime_of` takes name their year."""
    return any(
        "20" in timestamp or "1772608329" in timestamp for timestamp, _ in _STAMPS if re.fullmatch(pattern, timestamp)
    )
