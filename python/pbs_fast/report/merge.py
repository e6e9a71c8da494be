"""Several logs as one, in the order of time: rotated and compressed files, and logs of several servers side by side.

A log is opened when the time has come that its first line names, so of sixty rotated files one or two are open at a
time. What is read waits until every open log has reached that second; memory is bounded by a few pieces of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from operator import itemgetter, not_
from typing import TYPE_CHECKING, NamedTuple, cast

from pbs_fast.errors import SourceError
from pbs_fast.replay.feed import FileEnd, Scanned, scans
from pbs_fast.replay.inputs import once
from pbs_fast.report.mta_lines import MtaLines
from pbs_fast.sources.lines import TOO_LONG
from pbs_fast.sources.open import open_log

if TYPE_CHECKING:
    from pbs_fast.events import Batch
    from pbs_fast.matching.postfix import PostfixLine
    from pbs_fast.matching.protocol import PostfixScan
    from pbs_fast.matching.reader import Reader

#: Seconds by which lines of different writers may be out of order.
SLACK = 5
#: Bytes of text that are taken from a log at a time, as in `bench`.
_TURN = 8 << 20
#: Bytes in which a log's first timestamp is looked for.
_HEAD = 1 << 18


class Logins(NamedTuple):
    """Logins of one log, and the second its years were judged from."""

    batch: Batch
    reference: int


class Slice(NamedTuple):
    """What all logs hold up to a second, and was in no slice before."""

    logins: list[Logins]
    facts: list[PostfixLine]
    """Ascending."""
    until: float
    reference: int


class _Log:
    """One log that is being read."""

    def __init__(self, found: Iterator[Scanned | FileEnd], reader: Reader, lines: MtaLines, first: float) -> None:
        self.reader = reader
        self.through = first
        """The facts of everything up to this second were found."""
        self.read_to = first
        """The latest timestamp that was read."""
        self._found = found
        self._lines = lines
        self._waiting: list[tuple[PostfixScan, float]] = []

    def take(self) -> tuple[Logins | None, bool]:
        """The next logins, and whether the log has ended."""
        begin: int | None = None
        reference, ended = 0, True
        for scanned in self._found:
            if isinstance(scanned, FileEnd):
                break
            self.reader.add(scanned.scan, scanned.offset)
            if scanned.last_timestamp is not None:
                self.read_to = max(self.read_to, scanned.last_timestamp)
            self._waiting.append((cast("PostfixScan", scanned.also), self.read_to))
            reference = scanned.reference
            begin = scanned.end if begin is None else begin
            if scanned.end - begin >= _TURN:
                ended = False
                break
        batch = self.reader.take()
        return (Logins(batch, reference) if batch else None), ended

    def facts(self, *, ended: bool, every: bool) -> list[PostfixLine]:
        """The facts of what was taken. The last piece waits for the next turn: a login of the seconds after it can
        still matter for it."""
        facts: list[PostfixLine] = []
        count = len(self._waiting) if ended else max(len(self._waiting) - 1, 0)
        for held, through in self._waiting[:count]:
            facts += self._lines.facts(held, every=every)
            self.through = through
        del self._waiting[:count]
        if ended:
            self.through = self.read_to
        return facts


class Merged:
    """The slices of some logs."""

    def __init__(
        self,
        files: Sequence[str],
        make_reader: Callable[[], Reader],
        mta_lines: MtaLines,
        *,
        now: int | None,
        threads: int,
        since: float,
        on_position: Callable[[int, int, int], object],
    ) -> None:
        """`since` is a second: files that were last written before it are not read. Raises SourceError."""
        self._mta_lines = mta_lines
        self._make_reader = make_reader
        self._now = now
        self._threads = threads
        self._on_position = on_position
        self._idle: list[_Log] = []
        starts = [(_first(file, make_reader(), now), index) for index, file in enumerate(files)]
        self._files = files
        self._waiting = sorted((first, index) for (first, last), index in starts if last >= since)
        self.skipped = len(files) - len(self._waiting)
        self.lines = 0

    def __iter__(self) -> Iterator[Slice]:
        active: list[_Log] = []
        logins: list[Logins] = []
        facts: list[PostfixLine] = []
        reference = 0
        while active or self._waiting:
            while self._waiting and (not active or self._waiting[0][0] <= min(log.through for log in active)):
                active.append(self._open(*self._waiting.pop(0)))
            log = min(active, key=lambda log: log.through)
            found, ended = log.take()
            if found is not None:
                logins.append(found)
                reference = found.reference
                self._mta_lines.fresh.update(found.batch.ip)
            # Where another log is open, logins of the same seconds may not have been read yet.
            alone = len(active) == 1 and not (self._waiting and self._waiting[0][0] <= log.read_to + SLACK)
            facts += log.facts(ended=ended, every=not alone)
            if ended:
                active.remove(log)
                self._idle.append(log)
            until = min([log.through for log in active] + [first for first, _ in self._waiting[:1]], default=inf)
            yield self._slice(logins, facts, until - SLACK, reference)

    def _slice(self, logins: list[Logins], facts: list[PostfixLine], until: float, reference: int) -> Slice:
        """What lies up to that second leaves the lists."""
        facts.sort(key=itemgetter(0))
        cut = len(facts)
        while cut and facts[cut - 1][0] > until:
            cut -= 1
        ready, late = [], []
        for each in logins:
            batch = each.batch
            if max(batch.last) <= until:
                ready.append(each)
                continue
            mask = [second <= until for second in batch.last]
            late.append(each._replace(batch=batch.select(map(not_, mask))))
            if any(mask):
                ready.append(each._replace(batch=batch.select(mask)))
        logins[:] = late
        self._mta_lines.fresh = {ip for each in late for ip in each.batch.ip}
        found = Slice(ready, facts[:cut], until, reference)
        del facts[:cut]
        return found

    def _open(self, first: float, index: int) -> _Log:
        # A rotated file goes on where the file before it ended: so do sessions and records that are cut there.
        before = next((log for log in self._idle if log.read_to <= first + SLACK), None)
        if before is not None:
            self._idle.remove(before)
        reader = self._make_reader() if before is None else before.reader

        def position(_: int, place: int) -> None:
            self._on_position(index, place, self.lines)

        def counted() -> Iterator[Scanned | FileEnd]:
            files = [self._files[index]]
            for each in scans(
                files, reader, now=self._now, threads=self._threads, on_position=position, also=self._mta_lines.hold
            ):
                if isinstance(each, Scanned):
                    self.lines += each.scan.lines
                yield each

        return _Log(counted(), reader, self._mta_lines, first)


def _first(file: str, reader: Reader, now: int | None) -> tuple[float, float]:
    """The second of a log's first line that has one, and the latest it can hold; of what can be read only once, and of
    what has none, such that it is read from the beginning."""
    if once([file]) is not None:
        return -inf, inf
    with open_log(file) as log:
        reference = log.reference(now)
        data = b""
        while len(data) < _HEAD:
            try:
                more = log.read(_HEAD - len(data))
            except SourceError:
                # Said when the log is read.
                break
            if not more:
                break
            data += more
        last = inf if log.mtime is None else log.mtime
    reader.begin_file()
    start = 0
    while start < len(data):
        newline = data.find(b"\n", start)
        stop = len(data) if newline < 0 else newline
        if stop - start < TOO_LONG:
            second = reader.timestamp(data[start:stop].removesuffix(b"\r"), reference)
            if second is not None:
                return second, last
        start = stop + 1
    return -inf, last
