"""The latest ends of rows that have ended or were refused, by address, in bounded memory.

Most logs are in order, so addresses are looked up only at the end. Ends are therefore only appended, and sorted when
one is looked up. Beyond `limit` they go to an unnamed temporary file (SQLite, about 40 bytes each), which disappears
with the process. Keeping them sorted by address from the beginning costs 2.5 µs each on disk with three million
addresses, and more with each further million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

from pbs_fast.errors import SourceError

if TYPE_CHECKING:
    import sqlite3

#: Ends kept in memory: those of two days of a busy hub, in some 30 MB.
LIMIT = 262_144


class SpilledExpiries:
    """Address -> latest end, in seconds. Not for several threads at once."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._ips: list[str] = []
        self._ends: list[int] = []
        self._in_memory: dict[str, int] = {}
        """The latest ends among the first `_sorted` of those above."""
        self._sorted = 0
        self._on_disk: sqlite3.Connection | None = None
        self._indexed = False

    def keep(self, ips: Iterable[str], ends: Iterable[int]) -> None:
        """Further ends of addresses, as many of the one as of the other; of several the latest counts.

        Raises SourceError when the disk takes no more.
        """
        self._ips.extend(ips)
        self._ends.extend(ends)
        if len(self._ips) >= self._limit:
            self._spill()

    def of(self, ips: Iterable[str]) -> dict[str, int]:
        """The ends of those of the addresses that are known."""
        found = {}
        in_memory = self._latest()
        if self._on_disk is not None and not self._indexed:
            with _as_source_error():
                self._on_disk.execute("CREATE INDEX by_ip ON ends (ip, second)")
            self._indexed = True
        for ip in ips:
            end = in_memory.get(ip)
            if self._on_disk is not None:
                for (on_disk,) in self._on_disk.execute("SELECT second FROM ends WHERE ip = ?", (ip,)):
                    end = on_disk if end is None else max(end, on_disk)
            if end is not None:
                found[ip] = end
        return found

    def later_than(self, second: int) -> dict[str, int]:
        """All whose end is later. For the end of a log, where they are few."""
        found = {ip: end for ip, end in self._latest().items() if end > second}
        if self._on_disk is not None:
            later = self._on_disk.execute("SELECT ip, max(second) FROM ends WHERE second > ? GROUP BY ip", (second,))
            for ip, on_disk in later:
                found[ip] = max(on_disk, found.get(ip, on_disk))
        return found

    def ordered(self) -> Iterator[tuple[str, int]]:
        """All in the order of their addresses' bytes. An address may come twice, then one after the other."""
        from heapq import merge

        latest = self._latest()
        in_memory = ((ip, latest[ip]) for ip in sorted(latest))
        if self._on_disk is None:
            return in_memory
        return merge(in_memory, self._on_disk.execute("SELECT ip, max(second) FROM ends GROUP BY ip ORDER BY ip"))

    def close(self) -> None:
        """Free the temporary file."""
        if self._on_disk is not None:
            self._on_disk.close()
            self._on_disk = None

    def _latest(self) -> dict[str, int]:
        in_memory = self._in_memory
        for ip, end in zip(*(islice(column, self._sorted, None) for column in (self._ips, self._ends)), strict=True):
            if ip not in in_memory or in_memory[ip] < end:
                in_memory[ip] = end
        self._sorted = len(self._ips)
        return in_memory

    def _spill(self) -> None:
        import sqlite3

        with _as_source_error():
            if self._on_disk is None:
                # An empty name is a file of its own that SQLite deletes; nothing of it has to survive a crash.
                self._on_disk = sqlite3.connect("", isolation_level=None)
                self._on_disk.execute("PRAGMA journal_mode = OFF")
                self._on_disk.execute("PRAGMA synchronous = OFF")
                self._on_disk.execute("CREATE TABLE ends (ip TEXT, second INTEGER)")
            self._on_disk.execute("BEGIN")
            self._on_disk.executemany("INSERT INTO ends VALUES (?, ?)", zip(self._ips, self._ends, strict=True))
            self._on_disk.execute("COMMIT")
        for kept in (self._ips, self._ends, self._in_memory):
            kept.clear()
        self._sorted = 0


@contextmanager
def _as_source_error() -> Iterator[None]:
    """An error of the temporary file as one of ours."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(
            f"replay: cannot keep the addresses of this log in a temporary file: {error}; set TMPDIR to a directory"
            " with more room"
        ) from error
