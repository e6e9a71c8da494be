"""Reads one source: detects wrapper and layout once, rewrites, scans its pieces in order, folds them into Batches.

The daemon, `match` and `bench` all read through it, with either backend. The caller sets the reference time; `gap` is
the gap of the fold.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pbs_fast.matching.distrust import LONGEST_RECORD
from pbs_fast.matching.protocol import SYSLOG, Matcher, Scan, Stream
from pbs_fast.matching.rewrite import Lines, Rewriter
from pbs_fast.matching.rewrite.containers import Journal
from pbs_fast.matching.rewrite.wrapper import UNDATED

if TYPE_CHECKING:
    from pbs_fast.events import Batch, Event
    from pbs_fast.matching.backends import Backend
    from pbs_fast.matching.distrust import Distrust
    from pbs_fast.matching.rewrite import Shape
    from pbs_fast.matching.rewrite.logtime import LogTime

#: Offsets of rewritten lines start here, beyond any log's size, until they are turned back into those of their source.
_REWRITTEN: Final = 1 << 60
#: Lines of a piece in which a wrapper is looked for: one costs 10 us, so a flood of unknown lines costs 5 ms a piece.
_LOOKED_AT: Final = 512
#: svlogd's timestamp in UTC, which looks like one of local time.
_SVLOGD: Final = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[T_][0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{5} ")


@lru_cache(maxsize=4)
def _iso(second: int) -> bytes:
    """A second since the epoch as a timestamp of a line. A busy log is read 330 times within one."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second)).encode()


class Ready(NamedTuple):
    """Lines as a scan takes them: data[start:stop], whose first byte has this offset, in this layout."""

    data: bytes
    start: int
    stop: int
    offset: int
    layout: str


class _Piece(NamedTuple):
    """Rewritten lines whose rows are not taken yet."""

    begin: int
    """The offset under which they were scanned."""
    offset: int
    """Their offsets in the source."""
    lines: Lines


class Reader:
    """The lines of one source, in their order. Not for several threads at once, but for `scan`."""

    def __init__(
        self,
        core: Backend,
        matcher: Matcher,
        *,
        source: str,
        gap: int | None,
        live: bool,
        fold: bool,
        logtime: LogTime | None = None,
        on_layout: Callable[[str], object] | None = None,
        distrust: Distrust | None = None,
        shape: Shape | None = None,
        of_containers: bool = False,
        starts_whole: bool = False,
        sessions: bool = True,
    ) -> None:
        """`gap` is the fold's, in seconds, None for a row of each login (docs/MATCHING.md, 6). `on_layout` gets the
        layout when it is detected. `sessions` false is for who counts none (`protocol.Stream`).

        `logtime` is how this site writes its timestamps, where the matcher does not know it. `distrust` is what takes
        away lines that a stranger may have written, where the source is such a file. `shape` is that of this site's
        JSON records. `of_containers`: the source is the journal of containers. `starts_whole`: the first entry of each
        stream of a container is taken as a whole line, which is only for readers that grant nothing.
        """
        self._matcher = matcher
        self.stream: Stream = core.Stream(matcher, source=source, gap=gap, live=live, fold=fold, sessions=sessions)
        self.layout: str | None = None
        """What the first conclusive line showed; None until there was one."""
        self._rewriter = Rewriter(
            matcher.nested,
            logtime,
            shape=shape,
            wrapper=Journal() if of_containers else None,
            starts_whole=starts_whole,
        )
        self._pieces: list[_Piece] = []
        self._next = _REWRITTEN
        self._added = 0
        self._on_layout = on_layout
        self._primed: dict[str, int] = {}
        self._distrust = distrust
        self._unproven = LONGEST_RECORD

    @property
    def rewrites(self) -> bool:
        """Whether lines are rewritten, which has to be done in their order."""
        return self._rewriter.rewrites

    def feed(self, data: bytes, start: int, stop: int, *, offset: int, reference: int, arrived: bool = False) -> None:
        """Take the whole lines data[start:stop], which begin at byte `offset` of the source.

        `arrived`: they were written just now, at `reference`, which is then the timestamp of lines that have none.
        """
        self._rewriter.undated = _iso(reference) if arrived else UNDATED
        ready = self.ready(data, start, stop, offset=offset)
        self.add(self.scan(ready, reference), ready.offset)

    def events(self, data: bytes, start: int, stop: int, *, offset: int, reference: int) -> list[Event]:
        """The events of whole lines, missed ones included, in line order, instead of their rows."""
        found = self.stream.events(self.scan(self.ready(data, start, stop, offset=offset), reference))
        if self._pieces:
            found = [event._replace(offset=self._original(event.offset)) for event in found]
            self._pieces.clear()
        return found

    def ready(self, data: bytes, start: int, stop: int, *, offset: int) -> Ready:
        """Decide the layout from whole lines if it is open, and rewrite them where they need it. In their order."""
        self.decide(data, start, stop)
        self.finds_months(data, start, stop)
        if not self.rewrites:
            if self.layout is None:
                self._rewriter.doubt()
            if self._distrust is not None:
                unproven = self._unproven if offset else 0
                self._unproven = max(0, unproven - (stop - start))
                data = self._distrust.screened(data, start, stop, unproven)
                start, stop = 0, len(data)
            return Ready(data, start, stop, offset, self.layout or SYSLOG)
        lines = self._rewriter.lines(data, start, stop)
        if self.layout is None:
            self._sniff(lines.data)
        if self._distrust is not None and not self._rewriter.escapes:
            unproven = self._unproven if offset else 0
            self._unproven = max(0, unproven - (stop - start))
            lines = lines._replace(data=self._distrust.screened(lines.data, 0, len(lines.data), unproven))
        begin = self._next
        self._next += len(lines.data) + 1
        self._pieces.append(_Piece(begin, offset, lines))
        return Ready(lines.data, 0, len(lines.data), begin, self.layout or SYSLOG)

    def decide(self, data: bytes, start: int, stop: int) -> bool:
        """Decide wrapper or layout from whole lines, if both are open; whether one of them is decided now."""
        if self.layout is None and self._rewriter.wrapper is None:
            self._find(data, start, stop)
        return self.layout is not None or self.rewrites

    def finds_months(self, data: bytes, start: int, stop: int) -> bool:
        """Whether plain lines begin with the month name of another language: from there on they are rewritten."""
        if self.rewrites or self.layout != SYSLOG or not self._rewriter.finds_months(data, start, stop):
            return False
        self._announce()
        return True

    def scan(self, ready: Ready, reference: int) -> Scan:
        """The scan of lines that are ready, in any order, by any thread."""
        data, start, stop, offset, layout = ready
        return self._matcher.scan(data, start=start, stop=stop, offset=offset, layout=layout, reference=reference)

    def add(self, scan: Scan, offset: int) -> None:
        """Fold the scan of what was `ready` at this offset. In the lines' order."""
        self.stream.add(scan)
        self._added = offset

    def prime(self, data: bytes, start: int, *, reference: int) -> None:
        """Take whole lines for the sake of order alone: what they leave open is known, their events are in no Batch.

        Only before the first `feed`; their lines are not in the counters either.
        """
        if data[start:]:
            # Its lines are those in front of what comes: what is true of them is known.
            self._unproven = 0
            self.feed(data, start, len(data), offset=0, reference=reference)
            self.take()
            self._primed = self._counted()

    @property
    def counters(self) -> dict[str, int]:
        """Counters of the lines that were fed (docs/MATCHING.md, 7), with `parts` (8)."""
        return {name: n - self._primed.get(name, 0) for name, n in self._counted().items()}

    def _counted(self) -> dict[str, int]:
        return {**self.stream.counters, "parts": self._rewriter.parts}

    def forget(self) -> None:
        """Lines that are ready, and not added yet, will not be."""
        self._pieces.clear()

    def take(self) -> Batch:
        """The rows since the last take."""
        batch = self.stream.take()
        if self._pieces:
            batch.offset[:] = map(self._original, batch.offset)
            # Some may be ready and not added yet.
            self._pieces = [piece for piece in self._pieces if piece.begin > self._added]
        return batch

    def timestamp(self, line: bytes, reference: int) -> int | None:
        """The timestamp of one line without its end, in the source's layout."""
        if self.layout is None:
            whole = line + b"\n"
            if self._rewriter.wrapper is None:
                self._find(whole, 0, len(whole))
            if self.rewrites:
                self._sniff(self._rewriter.peek(line) + b"\n")
        line = self._rewriter.peek(line)
        return self._matcher.timestamp(line, layout=self.layout or SYSLOG, reference=reference)

    def timestamp_of(self, line: bytes, layout: str, reference: int) -> int | None:
        """The timestamp of one line of what is `ready`, without its end."""
        return self._matcher.timestamp(line, layout=layout, reference=reference)

    def plain(self, line: bytes) -> tuple[bytes, str]:
        """One line, without its end, as it is scanned, and the layout it is read in."""
        return self._rewriter.peek(line), self.layout or SYSLOG

    def begin_file(self) -> None:
        """Another file of this source begins: its first conclusive lines decide wrapper and layout again."""
        self.layout = None
        self._unproven = 0
        self._rewriter.begin_file()

    def _find(self, data: bytes, start: int, stop: int) -> None:
        """The wrapper of the lines, else their layout: whichever a line shows first."""
        rewriter = self._rewriter
        at = start
        for _ in range(_LOOKED_AT):
            if at >= stop:
                break
            newline = data.find(b"\n", at, stop)
            end = stop if newline < 0 else newline
            line = data[at:end].removesuffix(b"\r")
            # A site's own timestamps are looked for where there is no wrapper. Nearly always the first line tells.
            if rewriter.logtime is None and not _SVLOGD.match(line):
                self._sniff(line + b"\n")
                if self.layout is not None:
                    return
            if rewriter.find(line):
                return
            at = end + 1
        if at < stop and rewriter.logtime is None:
            self._sniff(data[at:stop])
        rewriter.uses_logtime = rewriter.logtime is not None

    def _sniff(self, data: bytes) -> None:
        self.layout = self._matcher.sniff(data)
        if self.layout is not None:
            self._announce()

    def _announce(self) -> None:
        if self._on_layout is not None and self.layout is not None:
            name = self._rewriter.name
            self._on_layout(self.layout if name is None else f"{self.layout} ({name})")

    def _original(self, offset: int) -> int:
        """The offset of a line in the source, from its offset in the scanned text."""
        if offset < _REWRITTEN:
            return offset
        piece = self._pieces[bisect_right(self._pieces, offset, key=lambda piece: piece.begin) - 1]
        line = bisect_right(piece.lines.starts, offset - piece.begin) - 1
        return piece.offset + piece.lines.originals[line]
