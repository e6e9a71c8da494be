"""Finds where in a log a time window begins, by the timestamps of its lines.

Lines of a log are not quite in order: clocks differ, writers block, an hour repeats at the end of summer time, and some
lines have no timestamp. So a place is judged by the greatest timestamp of many lines, and one that cannot be judged
counts as inside the window: at worst, too much is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

#: Seconds by which lines may be out of order; reading starts that much earlier: the repeated hour, whose timestamps are
#: read an hour too early, and 300 s.
SLACK = 3_900

#: Timestamps that judge a place: so many lines in a row from hosts with a slow clock are unlikely.
TIMESTAMPS = 32

#: Bytes read to judge a place, and the size at which the search ends.
BLOCK = 65_536


def find_start(fd: int, end: int, target: int, timestamp: Callable[[bytes], int | None]) -> int:
    """The start of a line of the plain file `fd`, before byte `end`, with only lines older than `target` before it.

    A binary search: about 14 reads for 1 GB. Raises OSError.
    """
    low, high = 0, end
    while high - low > BLOCK:
        middle = (low + high) // 2
        data = os.pread(fd, min(BLOCK, end - middle), middle)
        begin = data.find(b"\n") + 1
        newest = greatest(_lines(data[begin:]), timestamp) if begin else None
        if newest is not None and newest < target and middle + begin < high:
            low = middle + begin
        else:
            high = middle
    return low


def first_timestamp(data: bytes, timestamp: Callable[[bytes], int | None]) -> int | None:
    """The first timestamp that can be read in the whole lines of `data`."""
    return next((found for line in _lines(data) if (found := timestamp(line)) is not None), None)


def ends_before(data: bytes, target: int, timestamp: Callable[[bytes], int | None]) -> bool:
    """Are the last lines of `data`, and so all of it, older than `target`? False if unknown."""
    newest = greatest(reversed(list(_lines(data[-BLOCK:]))[1:]), timestamp)
    return newest is not None and newest < target


def greatest(lines: Iterator[bytes], timestamp: Callable[[bytes], int | None]) -> int | None:
    """The greatest of the first TIMESTAMPS timestamps that can be read in `lines`."""
    found: list[int] = []
    for line in lines:
        if (one := timestamp(line)) is not None:
            found.append(one)
            if len(found) == TIMESTAMPS:
                break
    return max(found, default=None)


def _lines(data: bytes) -> Iterator[bytes]:
    """The whole lines of `data`, without newline and without the NULs of a hole."""
    position = 0
    while (newline := data.find(b"\n", position)) >= 0:
        yield data[position:newline].lstrip(b"\0")
        position = newline + 1
