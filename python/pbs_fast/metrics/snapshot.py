"""The numbers of one moment, frozen: made by the loop, read by any thread. And what counts durations until then.

Pure. Invariants: a Snapshot never changes after it was made; a counter's samples never become smaller or disappear from
one to the next, whatever logs come and go.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pbs_fast.metrics.families import FAMILIES, MOST_LOGS, OTHER
from pbs_fast.util.text import printable

Labels = tuple[str, ...]


class Distribution(NamedTuple):
    """A histogram at one moment."""

    counts: tuple[int, ...]
    """How many values were at most each bound and above the one before; the last: above all bounds."""
    sum: float


class Histogram:
    """Counts values in fixed buckets. One thread observes; `frozen` may be called by another."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def frozen(self) -> Distribution:
        """What was counted so far."""
        return Distribution(tuple(self._counts), self._sum)


Value = float | Distribution


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Family -> label values in the family's order -> value."""

    families: Mapping[str, Mapping[Labels, Value]]

    def series(self) -> int:
        """How many pairs of a family and labels there are."""
        return sum(map(len, self.families.values()))


class Latest:
    """Where the loop puts its newest Snapshot, and others find it."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None
        """None before the first turn of the loop."""


class Draft:
    """A Snapshot in the making."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Labels, Value]] = {name: {} for name in FAMILIES}

    def put(self, family: str, value: Value, *labels: str) -> None:
        """The value of one series."""
        self._values[family][labels] = value

    def put_all(self, family: str, names: Iterable[str], counts: Mapping[str, int], *labels: str) -> None:
        """One series for each of `names`, its label the last one; what is not counted is 0."""
        into = self._values[family]
        for name in names:
            into[(*labels, name)] = counts.get(name, 0)

    def done(self) -> Snapshot:
        """The numbers, from now on unchangeable."""
        return Snapshot(self._values)


class LogLabels:
    """The label of each log: its name for the first MOST_LOGS that are seen, then OTHER. None is forgotten."""

    def __init__(self, most: int = MOST_LOGS) -> None:
        self._most = most
        self._labels: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The label of this log."""
        if name in self._labels:
            return self._labels[name]
        if len(self._labels) >= self._most:
            return OTHER
        # Two names that are printed alike share a label, and their numbers are added.
        return self._labels.setdefault(name, printable(name))


class LogTotals:
    """What the logs with one label have counted, those that are no longer followed included."""

    def __init__(self) -> None:
        self._labels = LogLabels()
        self._gone: dict[str, Counter[str]] = {}

    def label(self, name: str) -> str:
        """The label of a log."""
        return self._labels.of(name)

    def gone(self, name: str, counters: Mapping[str, int]) -> None:
        """This log is let go; it had counted so much."""
        self._gone.setdefault(self.label(name), Counter()).update(counters)

    def totals(self, live: Iterable[tuple[str, Mapping[str, int]]]) -> dict[str, Counter[str]]:
        """Label -> counters, of the logs that are followed now and of those that were."""
        total = {label: Counter(counters) for label, counters in self._gone.items()}
        for name, counters in live:
            total.setdefault(self.label(name), Counter()).update(counters)
        return total
