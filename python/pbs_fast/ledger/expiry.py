"""When to look at which address: one bucket of addresses a second, the seconds in a heap.

Pure: no clock. Knows neither why an address is here nor whether its time has really come; the ledger does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container
from heapq import heapify, heappop, heappush
from itertools import chain, islice

#: Up to so many seconds go on or off the heap one by one, at some 0.2 µs each; for more it is made anew, at 25 ns for
#: each second that it holds.
_FEW = 16

#: Rows of a replay that nobody watches are looked at up to so many seconds early: a bucket for each second costs 0.2 µs
#: a row. Few rows are looked at twice, as a replay looks once in many minutes of its log.
COARSE = 64


class ExpiryQueue:
    """Addresses, each once, by seconds of the ledger's clock."""

    def __init__(self) -> None:
        self._buckets: defaultdict[int, list[str]] = defaultdict(list)
        self._seconds: list[int] = []
        """A heap of the buckets' seconds, but for those of the newest buckets."""
        self.bucket: Callable[[int], list[str]] = self._buckets.__getitem__
        """The addresses to look at at a second; the caller must append one. For the ledger's loop: half of `add`."""

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def next(self) -> int | None:
        """The earliest second at which something is due; None when the queue is empty."""
        seconds = self._heap()
        return seconds[0] if seconds else None

    def add(self, ip: str, second: int) -> None:
        """Look at this address at this second."""
        self._buckets[second].append(ip)

    def due(self, now: float) -> list[str]:
        """Take out the addresses of all seconds up to now, in the order of their seconds."""
        heap = self._heap()
        seconds: list[int] = []
        while heap and heap[0] <= now:
            if len(seconds) == _FEW:
                seconds += sorted(second for second in heap if second <= now)
                heap[:] = [second for second in heap if second > now]
                heapify(heap)
                break
            seconds.append(heappop(heap))
        return list(chain.from_iterable(map(self._buckets.pop, seconds)))

    def discard(self, ips: Container[str]) -> None:
        """Remove these addresses, wherever they are. Walks the whole queue: for rare events."""
        for bucket in self._buckets.values():
            bucket[:] = [ip for ip in bucket if ip not in ips]

    def _heap(self) -> list[int]:
        """The heap, with the seconds of the newest buckets, which are the dictionary's last keys."""
        new = len(self._buckets) - len(self._seconds)
        if new > _FEW:
            self._seconds += islice(reversed(self._buckets), new)
            heapify(self._seconds)
        elif new:
            for second in islice(reversed(self._buckets), new):
                heappush(self._seconds, second)
        return self._seconds
