"""The part of Redis that sharing uses, in one process and on simulated time."""

from __future__ import annotations

from math import floor
from typing import NamedTuple

from pbs_fast.share.message import number_of
from pbs_fast.share.outbox import Trim

#: Seconds since the epoch when a world begins.
BASE = 1_800_000_000.0


class Item(NamedTuple):
    """One entry of a stream."""

    id: tuple[int, int]
    m: bytes
    s: bytes
    made: float
    """When its message was made, in the world's time."""


class Hub:
    """The part of Redis that is used."""

    def __init__(self) -> None:
        self.skew = 0.0
        self.alive = True
        self.streams: dict[str, list[Item]] = {}
        self.tops: dict[str, tuple[int, int]] = {}

    def now(self, time: float) -> float:
        return BASE + time + self.skew

    def add(self, stream: str, m: bytes, s: bytes, time: float, trim: Trim | None = None) -> str:
        items, top = self.streams.setdefault(stream, []), self.tops.get(stream, (0, 0))
        ms = floor(self.now(time) * 1000)
        id_ = (ms, 0) if ms > top[0] else (top[0], top[1] + 1)
        self.tops[stream] = id_
        items.append(Item(id_, m, s, time))
        if trim is not None:
            lowest = number_of(trim.minid)
            if trim.exact or len(items) > 15:  # `~` drops whole parts of the stream only
                items[:] = [item for item in items if item.id >= lowest]
        return f"{id_[0]}-{id_[1]}"

    def last(self, stream: str) -> str | None:
        items = self.streams.get(stream)
        return f"{items[-1].id[0]}-{items[-1].id[1]}" if items else None

    def read(self, stream: str, after: tuple[int, int]) -> list[Item]:
        return [item for item in self.streams.get(stream, []) if item.id > after]

    def lose(self, stream: str, count: int) -> None:
        """A failover: the newest entries never reached the new primary."""
        items = self.streams.get(stream, [])
        del items[max(len(items) - count, 0) :]
        self.tops[stream] = items[-1].id if items else (0, 0)

    def flush(self) -> None:
        self.streams.clear()
        self.tops.clear()
