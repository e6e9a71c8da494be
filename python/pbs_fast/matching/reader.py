"""Reads one source: decides its layout once, scans its pieces in order, and folds them into Batches.

Works with either twin. Knows no tables, no grace but as the fold's gap, and no clock: the caller says the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pbs_fast.matching import SYSLOG, Matcher, Stream

if TYPE_CHECKING:
    from pbs_fast.events import Batch
    from pbs_fast.matching import Core


class Reader:
    """The lines of one source, in their order. Not for several threads at once."""

    def __init__(
        self,
        core: Core,
        matcher: Matcher,
        *,
        source: str,
        gap: int,
        live: bool,
        fold: bool,
        on_layout: Callable[[str], object] | None = None,
    ) -> None:
        """`gap` is the fold's, in seconds (docs/MATCHING.md, 6). `on_layout` is told the layout when it is decided."""
        self._matcher = matcher
        self.stream: Stream = core.Stream(matcher, source=source, gap=gap, live=live, fold=fold)
        self.layout: str | None = None
        """What the first conclusive line showed; None until there was one."""
        self._on_layout = on_layout
        self._primed: dict[str, int] = {}

    def feed(self, data: bytes, start: int, stop: int, *, offset: int, reference: int) -> None:
        """Take the whole lines data[start:stop], which stand at byte `offset` of the source."""
        if self.layout is None:
            self._sniff(data[start:stop])
        scan = self._matcher.scan(
            data, start=start, stop=stop, offset=offset, layout=self.layout or SYSLOG, reference=reference
        )
        self.stream.add(scan)

    def prime(self, data: bytes, start: int, *, reference: int) -> None:
        """Take whole lines for the sake of order alone: what they leave open is known, their events are in no Batch.

        Only before the first `feed`; their lines are not in the counters either.
        """
        if data[start:]:
            self.feed(data, start, len(data), offset=0, reference=reference)
            self.take()
            self._primed = self.stream.counters

    @property
    def counters(self) -> dict[str, int]:
        """Counters of the lines that were fed (docs/MATCHING.md, 7)."""
        return {name: n - self._primed.get(name, 0) for name, n in self.stream.counters.items()}

    def take(self) -> Batch:
        """The rows since the last take."""
        return self.stream.take()

    def stamp(self, line: bytes, reference: int) -> int | None:
        """The stamp of one line, in the source's layout."""
        if self.layout is None:
            self._sniff(line + b"\n")
        return self._matcher.stamp(line, layout=self.layout or SYSLOG, reference=reference)

    def begin_file(self) -> None:
        """Another file of this source begins: its first conclusive line decides its layout again."""
        self.layout = None

    def _sniff(self, data: bytes) -> None:
        self.layout = self._matcher.sniff(data)
        if self.layout is not None and self._on_layout is not None:
            self._on_layout(self.layout)
