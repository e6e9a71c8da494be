"""Several replays of the same logs: the median run, and the spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def median_record(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The record of the median run (of an even number the lower one of the two), and `repeat`: what all runs took.

    `spread` is (max - min) / median. One run alone is returned as it is.
    """
    if len(records) == 1:
        return records[0]
    by_time = sorted(records, key=lambda record: record["seconds"])
    median = by_time[(len(by_time) - 1) // 2]
    least, most = by_time[0]["seconds"], by_time[-1]["seconds"]
    spread = round((most - least) / median["seconds"], 3) if median["seconds"] else 0.0
    return median | {
        "repeat": {
            "runs": len(records),
            "seconds": [record["seconds"] for record in records],
            "median": median["seconds"],
            "min": least,
            "max": most,
            "spread": spread,
        }
    }
