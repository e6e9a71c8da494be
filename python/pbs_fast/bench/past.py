"""Addresses that the ledger let go, or never got, with the ends of their last grants: bounded in memory, however many.

The digest needs them all, and a login that is stamped before the ledger's last expiry needs the one of its address.
Most logs are in order, and then nobody asks for an address before the end: so the ends are only put one behind the
other, and sorted out when somebody asks. Beyond `limit` they go into a nameless file in the directory for temporary
files (SQLite, some 40 bytes each), which is gone when the process ends. Kept in the order of their addresses from the
beginning they cost 2.5 µs each there, among three million, and more with each million. Not for several threads.
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


class Past:
    """Address -> latest end, in seconds: that of its newest login, refused ones included, and the grace after it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._ips: list[str] = []
        self._ends: list[int] = []
        self._near: dict[str, int] = {}
        """The latest ends among the first `_sorted` of those above."""
        self._sorted = 0
        self._far: sqlite3.Connection | None = None
        self._indexed = False

    def close(self) -> None:
        """Forgets all that is on the disk, whose file is deleted."""
        if self._far is not None:
            self._far.close()
            self._far = None

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
        near = self._latest()
        if self._far is not None and not self._indexed:
            with _told():
                self._far.execute("CREATE INDEX by_ip ON past (ip, ends)")
            self._indexed = True
        for ip in ips:
            end = near.get(ip)
            if self._far is not None:
                for (far,) in self._far.execute("SELECT ends FROM past WHERE ip = ?", (ip,)):
                    end = far if end is None else max(end, far)
            if end is not None:
                found[ip] = end
        return found

    def later_than(self, second: int) -> dict[str, int]:
        """All whose end is later. For the end of a log, where they are few."""
        found = {ip: end for ip, end in self._latest().items() if end > second}
        if self._far is not None:
            later = self._far.execute("SELECT ip, max(ends) FROM past WHERE ends > ? GROUP BY ip", (second,))
            for ip, far in later:
                found[ip] = max(far, found.get(ip, far))
        return found

    def ordered(self) -> Iterator[tuple[str, int]]:
        """All in the order of their addresses' bytes. An address may come twice, then one after the other."""
        from heapq import merge

        latest = self._latest()
        near = ((ip, latest[ip]) for ip in sorted(latest))
        if self._far is None:
            return near
        return merge(near, self._far.execute("SELECT ip, max(ends) FROM past GROUP BY ip ORDER BY ip"))

    def _latest(self) -> dict[str, int]:
        near = self._near
        for ip, end in zip(*(islice(column, self._sorted, None) for column in (self._ips, self._ends)), strict=True):
            if ip not in near or near[ip] < end:
                near[ip] = end
        self._sorted = len(self._ips)
        return near

    def _spill(self) -> None:
        import sqlite3

        with _told():
            if self._far is None:
                # An empty name is a file of its own that SQLite deletes; nothing of it has to survive a crash.
                self._far = sqlite3.connect("", isolation_level=None)
                self._far.execute("PRAGMA journal_mode = OFF")
                self._far.execute("PRAGMA synchronous = OFF")
                self._far.execute("CREATE TABLE past (ip TEXT, ends INTEGER)")
            self._far.execute("BEGIN")
            self._far.executemany("INSERT INTO past VALUES (?, ?)", zip(self._ips, self._ends, strict=True))
            self._far.execute("COMMIT")
        for kept in (self._ips, self._ends, self._near):
            kept.clear()
        self._sorted = 0


@contextmanager
def _told() -> Iterator[None]:
    """A fault of the temporary file as ours."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(
            f"bench: cannot keep the addresses of this log in a temporary file: {error}; set TMPDIR to a directory"
            " with more room"
        ) from error
