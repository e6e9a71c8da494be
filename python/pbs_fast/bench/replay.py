"""One timed replay: scans folded, the replayer fed, the table written, everything counted.

Counts and digest depend only on the logs, the references and grace, not on threads, piece sizes, the backend or the
machine (tested). So only guards that are the same everywhere apply (`same_everywhere`). The digest is computed after
the clock has stopped.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pbs_fast.events import Changes, Delta
from pbs_fast.ledger.ledger import Ledger
from pbs_fast.matching import Backend, Matcher
from pbs_fast.matching.reader import Reader
from pbs_fast.replay.expiries import LIMIT
from pbs_fast.replay.feed import FileEnd, Scanned, scans
from pbs_fast.replay.replayer import Replayer, same_everywhere
from pbs_fast.util.gc import collector_aside

if TYPE_CHECKING:
    from pbs_fast.matching.rewrite import Shape
    from pbs_fast.matching.rewrite.logtime import LogTime
    from pbs_fast.tables import Table

#: Bytes of text whose rows make one Batch: some 3,000 logins of a busy hub, which stay in a processor's second-level
#: cache with all that is made of them. Eight times as much costs a quarter more.
_BATCH = 8 << 20


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
    """Grants that ended by the time of the logs' last readable timestamp."""
    digest: str
    """SHA-256 over `IP SPACE EPOCH NEWLINE` of each address with its greatest login timestamp, sorted bytewise."""
    stages: Stages


class Replay:
    """Replays some logs once."""

    def __init__(
        self,
        core: Backend,
        matcher: Matcher,
        *,
        grace: int,
        table: Table | None = None,
        logtime: LogTime | None = None,
        shape: Shape | None = None,
        kept: int = LIMIT,
    ) -> None:
        """`table`, where given, gets all rows, also those of long ago: it must not be one that an MTA asks.

        `kept` is how many addresses without grant stay in memory.
        """
        self._core = core
        self._reader = Reader(
            core, matcher, source="bench", gap=grace, live=False, fold=True, logtime=logtime, shape=shape
        )
        self._table = table
        self._changes = Changes()
        on_change = None if table is None else self._change
        self._replayer = Replayer(Ledger(grace), same_everywhere(core.near_addresses), kept=kept, on_change=on_change)
        self._written = float("-inf")
        """When the table was last written."""
        self._stages = Stages()
        self._bytes = 0
        self._lines = 0

    def __call__(
        self,
        files: Sequence[str],
        *,
        now: int | None,
        threads: int,
        piece: int | None = None,
        batch: int = _BATCH,
        on_position: Callable[[int, int, int], object] = lambda _file, _position, _lines: None,
    ) -> Result:
        """Replay the files as one log, in the order given; once. `now` is what years are judged from (`feed.scans`).

        `on_position` regularly gets the file's index, the bytes of it that were used, and the lines so far.
        Raises SourceError when a file cannot be read to its end, TableError when the table cannot be written.
        """
        with collector_aside(), closing(self._replayer):
            return self._replay(files, now, threads, piece, batch, on_position)

    def _replay(
        self,
        files: Sequence[str],
        now: int | None,
        threads: int,
        piece: int | None,
        batch: int,
        on_position: Callable[[int, int, int], object],
    ) -> Result:
        started = time.perf_counter()
        file_bytes = waiting = 0
        reference = 0
        last_timestamp: int | None = None

        def position(index: int, place: int) -> None:
            on_position(index, place, self._lines)

        for found in scans(files, self._reader, now=now, threads=threads, size=piece, on_position=position):
            if isinstance(found, FileEnd):
                self._bytes += found.bytes
                self._turn(reference, last_timestamp)
                self._replayer.end_log(last_timestamp, reference)
                file_bytes = waiting = 0
                last_timestamp = None
                continue
            waiting += found.end - file_bytes
            file_bytes, reference = found.end, found.reference
            if found.last_timestamp is not None:
                last_timestamp = found.last_timestamp
            self._add(found)
            if waiting >= batch:
                self._turn(reference, last_timestamp)
                waiting = 0
        self._replayer.finish()
        self._publish(last=True)
        seconds = time.perf_counter() - started
        ledger = self._replayer.ledger
        sha256, distinct = _digest((ip, end - ledger.grace) for ip, end in self._replayer.ends())
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
            distinct_ips=distinct,
            granted=ledger.granted,
            expired=ledger.counters["expired"],
            digest=sha256,
            stages=self._stages,
        )

    def _add(self, found: Scanned) -> None:
        self._lines += found.scan.lines
        self._stages.read += found.read_seconds
        self._stages.scan += found.scan.seconds
        self._reader.add(found.scan, found.offset)

    def _turn(self, reference: int, last_timestamp: int | None) -> None:
        """Give the rows since the last time to the ledger, end the grants whose time has come, write the table."""
        batch = self._reader.take()
        started = time.perf_counter()
        self._replayer.take(batch, reference)
        self._replayer.advance(last_timestamp, reference)
        self._stages.ledger += time.perf_counter() - started
        self._publish()

    def _change(self, delta: Delta) -> None:
        self._changes.add(delta)

    def _publish(self, *, last: bool = False) -> None:
        """Write what changed once the table's window is over, as the daemon does."""
        if self._table is None or not self._changes:
            return
        started = time.perf_counter()
        if last or started >= self._written + self._table.window:
            self._table.apply(self._changes.delta())
            self._changes = Changes()
            self._written = time.perf_counter()
            self._stages.table += self._written - started


def digest(latest: Mapping[str, int]) -> str:
    """SHA-256, in hexadecimal, over `IP SPACE EPOCH NEWLINE` of each address, sorted bytewise."""
    return _digest(sorted(latest.items()))[0]


def _digest(ordered: Iterable[tuple[str, int]]) -> tuple[str, int]:
    """The digest and the number of the addresses, of which each may come several times, one after the other.

    A blank is less than all that addresses consist of, so lines in the order of their addresses are sorted bytewise.
    """
    sha256 = hashlib.sha256()
    distinct = 0
    before, latest = "", 0
    for ip, timestamp in ordered:
        if ip == before:
            latest = max(latest, timestamp)
            continue
        if distinct:
            sha256.update(f"{before} {latest}\n".encode("ascii"))
        distinct += 1
        before, latest = ip, timestamp
    if distinct:
        sha256.update(f"{before} {latest}\n".encode("ascii"))
    return sha256.hexdigest(), distinct
