"""Addresses that the ledger let go, or never got, each with the end of its last grant: bounded in memory, however many.

The digest needs them all, and a login that is stamped before the ledger's last expiry needs the one of its address.
They stand in a dictionary; when that holds `limit` addresses it is appended to a nameless file in the directory for
temporary files (SQLite, some 40 bytes an address), which is gone when the process ends. That file is sorted when it is
read, and has an index once somebody looks an address up: most logs are in order, and then nobody does. Kept in order
from the beginning it cost 2.5 µs an address among three million, and more with each million. Not for several threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pbs_fast.errors import SourceError

if TYPE_CHECKING:
    import sqlite3

#: Addresses kept in memory: those of three days of a busy hub, in some 50 MB (IPv6; 35 MB where all are IPv4).
LIMIT = 262_144


class Past:
    """Address -> latest end, in seconds: that of its newest login, refused ones included, and the grace after it."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._near: dict[str, int] = {}
        self._far: sqlite3.Connection | None = None
        self._indexed = False

    def update(self, ends: dict[str, int]) -> None:
        """Keep these where they are later than what is known. Raises SourceError when the disk takes no more."""
        near = self._near
        known = near.keys() & ends.keys()
        self.advance(ends | {ip: max(near[ip], ends[ip]) for ip in known})

    def advance(self, ends: Mapping[str, int]) -> None:
        """`update` with ends that are at least as late as what is known of their addresses."""
        self._near.update(ends)
        if len(self._near) >= self._limit:
            self._spill()

    def of(self, ips: Iterable[str]) -> dict[str, int]:
        """The ends of those of the addresses that are known."""
        found = {}
        if self._far is not None and not self._indexed:
            with _told():
                self._far.execute("CREATE INDEX by_ip ON past (ip, ends)")
            self._indexed = True
        for ip in ips:
            end = self._near.get(ip)
            if self._far is not None:
                for (far,) in self._far.execute("SELECT ends FROM past WHERE ip = ?", (ip,)):
                    end = far if end is None else max(end, far)
            if end is not None:
                found[ip] = end
        return found

    def later_than(self, second: int) -> dict[str, int]:
        """All whose end is later. For the end of a log, where they are few."""
        found = {ip: known for ip, known in self._near.items() if known > second}
        if self._far is not None:
            later = self._far.execute("SELECT ip, max(ends) FROM past WHERE ends > ? GROUP BY ip", (second,))
            for ip, far in later:
                found[ip] = max(far, found.get(ip, far))
        return found

    def ordered(self) -> Iterator[tuple[str, int]]:
        """All in the order of their addresses' bytes. An address may come twice, then one after the other."""
        from heapq import merge

        near = ((ip, self._near[ip]) for ip in sorted(self._near))
        if self._far is None:
            return near
        return merge(near, self._far.execute("SELECT ip, max(ends) FROM past GROUP BY ip ORDER BY ip"))

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
            self._far.executemany("INSERT INTO past VALUES (?, ?)", self._near.items())
            self._far.execute("COMMIT")
        self._near.clear()


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
