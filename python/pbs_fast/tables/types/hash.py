"""`hash:`: changed in place under flock, in a file so large that it never splits.

Invariants
- Each change sets, under the flock, a whole-second modification time that this file never had: Postfix compares nothing
  else, and otherwise keeps refusing a client that has just logged in (measured: 45 % of them at 3 changes/s). The times
  lie in the past, so that they can rise by one second a change at any rate (tables/file/mtimes.py).
- No change makes a bucket split: after a split, clients in the table get 554, because smtpd caches the old bucket
  count. Berkeley DB splits when a page holds more than `ffactor` rows or is full, so buckets are provided for the
  fullest page to be expected, and a new file with more of them is renamed into place in time.
- For Exim (`keys=exim`) a new file is renamed into place for each change: it takes no lock (exim 4.96: dbfn.c).
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from contextlib import nullcontext, suppress
from operator import add
from pathlib import Path
from typing import Any

from pbs_fast.tables.file.compact import CompactedTable
from pbs_fast.tables.file.mtimes import Mtimes, PastTimes
from pbs_fast.tables.locks import LockKind, locked
from pbs_fast.tables.registry import TableSpec
from pbs_fast.tables.types.bdb import CACHE, BdbTable, db, engine

#: Rows on one page before Berkeley DB splits its bucket: 75 short rows fill a page of 4096 bytes to the half.
FFACTOR = 75
PAGE = 4096
#: Bytes of a page that rows cannot use, and bytes that each row takes in addition to key and value: two item types and
#: two index entries (dbinc/db_page.h: SIZEOF_PAGE, HKEYDATA).
PAGE_HEAD = 26
ROW_HEAD = 6
#: A new file has room for at least this many times its rows, and up to twice as much: sizes are powers of two.
SPARE = 1.25
#: The least number of buckets: 4 MiB, room for some 40 000 rows of usual length.
BUCKETS = 1024
#: The fullest of N buckets is at most this many standard deviations above the mean (Poisson; 4.5: 1 in 300 000 pages).
SIGMAS = 4.5
#: The shortest row assumed, in bytes: an IPv6 address and a short value, so that the first such address in a table of
#: IPv4 rows needs no new file.
LEAST_ROW = 39 + 2 + ROW_HEAD


def room(buckets: int, longest: int) -> int:
    """How many rows fit in this many buckets before one may split; `longest` is the longest row, in bytes."""
    page = min(FFACTOR, (PAGE - PAGE_HEAD) // longest)
    # The mean m for which m + SIGMAS * sqrt(m) reaches the page's limit.
    root = (math.sqrt(SIGMAS**2 + 4 * page) - SIGMAS) / 2
    return max(1, int(buckets * root**2))


def buckets_for(rows: int, longest: int) -> int:
    """How many buckets a new file starts with."""
    buckets = BUCKETS
    while room(buckets, longest) < SPARE * rows:
        buckets *= 2
    return buckets


class HashTable(CompactedTable, BdbTable):
    """Pre-sized, changed in place, rebuilt with twice the buckets before it would split."""

    method = db.DB_HASH
    method_name = "hash"
    _lock_kind: LockKind = "flock"

    @property
    def _change_seconds(self) -> float:
        return super()._change_seconds if self._renamed else 0.0

    @property
    def _renamed(self) -> bool:
        """Whether each change is a new file: for Exim, which takes no lock."""
        return self._spell is not None

    _handle: Any = None
    _buckets = BUCKETS
    _longest = LEAST_ROW

    def _modification_times(self, spec: TableSpec) -> Mtimes:
        if self._renamed:
            return super()._modification_times(spec)
        file = spec.file or self._file
        return PastTimes(self._options.clock, source=file.with_name(file.name.removesuffix(".db")))

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        self._longest = max(_longest(rows), LEAST_ROW)
        buckets = buckets_for(len(rows), self._longest)
        handle = db.DB()
        with engine():
            handle.set_pagesize(PAGE)
            handle.set_h_ffactor(FFACTOR)
            handle.set_h_nelem(buckets * FFACTOR)
        pairs = ((ip.encode(), value) for ip, value in rows.items())
        self._write_new(target, pairs, handle, size=PAGE * buckets)
        self._buckets = buckets

    def _needed(self) -> int:
        return PAGE * buckets_for(len(self._rows), self._longest)

    def _is_open(self) -> bool:
        return self._handle is not None

    def _open(self) -> None:
        handle = db.DB()
        with engine():
            handle.set_cachesize(0, CACHE)
            handle.open(os.fspath(self._file), None, db.DB_HASH, 0)
        self._handle = handle

    def _shut(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            # DBNoSuchFileError: the file was removed or replaced under us.
            with suppress(db.DBError):
                handle.close(db.DB_NOSYNC)  # each change was synced; one that failed half-way must not be written now

    def _write(self, put: Mapping[str, bytes], gone: Collection[str]) -> bool:
        if self._renamed:
            return False
        new = len(put.keys() - self._rows.keys())
        if (spell := self._spell) is not None:
            put, gone = {spell(ip): value for ip, value in put.items()}, [spell(ip) for ip in gone]
        longest = _longest(put)
        if len(self._rows) + new > room(self._buckets, max(longest, self._longest)):
            return False
        self._longest = max(longest, self._longest)
        if (mtime := self._mtimes.next()) is None:
            return False
        handle = self._handle
        with engine():
            fd = handle.fd()
        lock = (
            locked(fd, self._lock_kind, shared=False, wait=self._patience.wait, file=self._file)
            if self._options.flock
            else nullcontext()
        )
        with lock, engine():
            for ip in gone:
                handle.delete(ip.encode())
            for ip, value in put.items():
                handle.put(ip.encode(), value)
            handle.sync()
            os.utime(fd, (mtime, mtime))
            self._last_seen.changed()
        return True


def _longest(rows: Mapping[str, bytes]) -> int:
    """Bytes of the longest row on its page; 0 without rows."""
    return max(map(add, map(len, rows), map(len, rows.values())), default=-ROW_HEAD) + ROW_HEAD
