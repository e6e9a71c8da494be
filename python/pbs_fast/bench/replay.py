"""One replay: scans folded, guards and ledger asked, the table written, everything counted and timed.

The ledger's clock is each row's own stamp, as in `run --reprocess`. Counts and digest are a function of the logs, the
references and grace alone: not of threads, piece sizes, the twin or the machine (tests hold it). So the guards are
those that hold everywhere: no networks that may relay anyway, no addresses of this machine, no limits on how many.
Times go to `Stages`; what makes the digest runs after the clock has stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import compress
from typing import TYPE_CHECKING

from pbs_fast.bench.feed import FileEnd, Scanned, scans
from pbs_fast.config.model import Guards as GuardConfig
from pbs_fast.deny import DenyList
from pbs_fast.events import MAX_AHEAD, Batch
from pbs_fast.guards import Guards, Machine
from pbs_fast.ledger import Ledger
from pbs_fast.matching import Core, Matcher
from pbs_fast.matching.reader import Reader
from pbs_fast.netblocks import Netblocks
from pbs_fast.sources.pieces import PIECE

if TYPE_CHECKING:
    from pbs_fast.matching.rewrite.logtime import LogTime
    from pbs_fast.tables import Table

#: Bytes of text whose rows make one Batch: some thousands of logins of a busy hub, a second of reading at 64 MB/s.
_BATCH = 64 << 20


#: A limit on numbers that no log reaches.
_NO_LIMIT = 1 << 62


@dataclass
class Stages:
    """Where the time went, in seconds. `read` and `scan` add up what several threads did at the same time; `ledger`
    has the guards in it."""

    read: float = 0.0
    scan: float = 0.0
    fold: float = 0.0
    ledger: float = 0.0
    table: float = 0.0


@dataclass(frozen=True)
class Result:
    """What a replay counted, and how long it took (DESIGN: bench)."""

    files: int
    bytes: int
    """Of text: uncompressed."""
    lines: int
    """Newlines, and one more where a file's last line lacks it."""
    seconds: float
    """From the first read to the last update of ledger and table."""
    core: str
    threads: int
    logins: int
    logouts: int
    distinct_ips: int
    granted: int
    """Logins that opened the relay: those later than the end of the address's grant before, if any."""
    expired: int
    """Grants that ended by the time of the logs' last readable stamp."""
    digest: str
    """SHA-256 over `IP SPACE EPOCH NEWLINE` of each address with its greatest login stamp, sorted bytewise."""
    stages: Stages


class Replay:
    """Replays some logs once."""

    def __init__(
        self, core: Core, matcher: Matcher, *, grace: int, table: Table | None = None, logtime: LogTime | None = None
    ) -> None:
        """`table`, where given, gets all rows, also those of long ago: it must not be one that an MTA asks."""
        self._core = core
        self._reader = Reader(core, matcher, source="bench", gap=grace, live=False, fold=True, logtime=logtime)
        self._ledger = Ledger(grace)
        self._guards = Guards(
            GuardConfig(max_rows=_NO_LIMIT, max_new_per_minute=_NO_LIMIT, max_users_per_address=_NO_LIMIT),
            Netblocks(),
            Machine(),
            DenyList(),
        )
        self._table = table
        self._stages = Stages()
        self._aside: dict[str, int] = {}
        """Greatest stamp of addresses whose logins the ledger did not get; they count for the digest."""
        self._bytes = 0
        self._lines = 0
        self._last_stamp: int | None = None

    def __call__(
        self,
        files: Sequence[str],
        *,
        now: int | None,
        threads: int,
        piece: int = PIECE,
        batch: int = _BATCH,
        on_position: Callable[[int, int, int], object] = lambda _file, _position, _lines: None,
    ) -> Result:
        """Replay the files as one log, in the order given. `now` is what years are judged from (`feed.scans`).

        `on_position` is told, now and then, the file's index, the bytes of it that were used, and the lines so far.
        Raises SourceError when a file cannot be read to its end, TableError when the table cannot be written.
        """
        started = time.perf_counter()
        file_bytes = waiting = 0
        reference = 0
        last_stamp: int | None = None

        def position(index: int, place: int) -> None:
            on_position(index, place, self._lines)

        for found in scans(files, self._reader, now=now, threads=threads, size=piece, on_position=position):
            if isinstance(found, FileEnd):
                self._bytes += file_bytes
                if last_stamp is not None:
                    self._last_stamp = max(last_stamp, self._last_stamp or last_stamp)
                self._take(reference)
                file_bytes = waiting = 0
                last_stamp = None
                continue
            waiting += found.end - file_bytes
            file_bytes, reference = found.end, found.reference
            if found.last_stamp is not None:
                last_stamp = found.last_stamp
            self._add(found)
            if waiting >= batch:
                self._take(reference)
                waiting = 0
        seconds = time.perf_counter() - started
        latest = self._latest()
        seconds += self._expire()
        self._stages.fold = self._reader.stream.fold_seconds
        counters = self._reader.counters
        return Result(
            files=len(files),
            bytes=self._bytes,
            lines=self._lines,
            seconds=seconds,
            core=self._core.name,
            threads=threads,
            logins=counters["login"],
            logouts=counters["logout"],
            distinct_ips=len(latest),
            granted=self._ledger.granted,
            expired=self._ledger.counters["expired"],
            digest=digest(latest),
            stages=self._stages,
        )

    def _add(self, found: Scanned) -> None:
        self._lines += found.scan.lines
        self._stages.read += found.read_seconds
        self._stages.scan += found.scan.seconds
        self._reader.add(found.scan, found.offset)

    def _take(self, reference: int) -> None:
        """Give the rows since the last time to ledger and table."""
        batch = self._reader.take()
        started = time.perf_counter()
        if batch.first and max(batch.first) > reference + MAX_AHEAD:
            batch = self._without_ahead(batch, reference + MAX_AHEAD)
        screened = self._guards.screen(batch, self._ledger, reference, replay=True)
        if screened.refused:
            refused = {row.ip for row in screened.refused}
            self._keep_aside(batch, [ip in refused for ip in batch.ip])
        delta = self._ledger.observe(screened.batch, None)
        done = time.perf_counter()
        self._stages.ledger += done - started
        if self._table is not None and delta:
            self._table.apply(delta)
            self._stages.table += time.perf_counter() - done

    def _without_ahead(self, batch: Batch, limit: int) -> Batch:
        """In a replay a login stamped far ahead grants nothing. No row holds both such logins and others (the fold)."""
        kept = [first <= limit for first in batch.first]
        self._keep_aside(batch, [not keep for keep in kept])
        columns = (list(compress(getattr(batch, each.name), kept)) for each in fields(batch)[1:])
        return Batch(batch.source, *columns)

    def _keep_aside(self, batch: Batch, mask: list[bool]) -> None:
        for ip, last, kind in compress(zip(batch.ip, batch.last, batch.kind, strict=True), mask):
            if kind == "login":
                self._aside[ip] = max(last, self._aside.get(ip, last))

    def _latest(self) -> dict[str, int]:
        """Each address's greatest login stamp. Rows leave the ledger only in `_expire`, so it still knows them all."""
        grace = self._ledger.grace
        latest = {ip: row.expires - grace for ip, row in self._ledger.rows().items()}
        for ip, stamp in self._aside.items():
            latest[ip] = max(stamp, latest.get(ip, stamp))
        return latest

    def _expire(self) -> float:
        """End the grants that ended within the logs; the seconds it took."""
        if self._last_stamp is None:
            return 0.0
        started = time.perf_counter()
        delta = self._ledger.expire(self._last_stamp)
        expired = time.perf_counter()
        self._stages.ledger += expired - started
        if self._table is not None and delta:
            self._table.apply(delta)
            self._stages.table += time.perf_counter() - expired
        return time.perf_counter() - started


def digest(latest: Mapping[str, int]) -> str:
    """SHA-256, in hexadecimal, over `IP SPACE EPOCH NEWLINE` of each address, sorted bytewise."""
    lines = sorted(f"{ip} {stamp}\n" for ip, stamp in latest.items())
    return hashlib.sha256("".join(lines).encode("ascii")).hexdigest()
