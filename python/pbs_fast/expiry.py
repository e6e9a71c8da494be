"""When to look at which address: one bucket of addresses a second, the seconds in a heap.

Pure: no clock. Knows neither why an address stands here nor whether its time has really come; the ledger does. Imports
nothing of the package.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from heapq import heapify, heappop, heappush
from itertools import chain

#: Up to so many due seconds are taken off the heap one by one, at 0.4 µs each; for more the heap is made anew, at 25 ns
#: for each second that it holds.
_FEW = 16


class _Buckets(dict[int, list[str]]):
    """Second -> addresses; a second that is asked for gets its bucket, and its place in the heap."""

    def __init__(self, seconds: list[int]) -> None:
        self._heap = seconds

    def __missing__(self, second: int) -> list[str]:
        heappush(self._heap, second)
        bucket = self[second] = []
        return bucket


class ExpiryQueue:
    """Addresses, each once, by seconds of the ledger's clock."""

    def __init__(self) -> None:
        self._seconds: list[int] = []
        self._buckets = _Buckets(self._seconds)
        self.bucket: Callable[[int], list[str]] = self._buckets.__getitem__
        """The addresses to look at at a second; whoever asks must append one. For the ledger's loop: half of `add`."""

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def next(self) -> int | None:
        """The earliest second at which something is due; None when nothing stands here."""
        return self._seconds[0] if self._seconds else None

    def add(self, ip: str, second: int) -> None:
        """Look at this address at this second."""
        self._buckets[second].append(ip)

    def due(self, now: float) -> list[str]:
        """Take out the addresses of all seconds up to now, in the order of their seconds."""
        seconds: list[int] = []
        while self._seconds and self._seconds[0] <= now:
            if len(seconds) == _FEW:
                seconds += sorted(second for second in self._seconds if second <= now)
                self._seconds[:] = [second for second in self._seconds if second > now]
                heapify(self._seconds)
                break
            seconds.append(heappop(self._seconds))
        return list(chain.from_iterable(map(self._buckets.pop, seconds)))

    def discard(self, ips: Container[str]) -> None:
        """Take out these addresses, wherever they stand. Walks the whole queue: for rare events."""
        for bucket in self._buckets.values():
            bucket[:] = [ip for ip in bucket if ip not in ips]
