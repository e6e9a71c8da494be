"""Counts lines without a header in a log whose lines have one, and warns of them.

Such a line is the rest of a message in which somebody sent a line feed, so the logging daemon lets line feeds through
(SECURITY.md). It is a hint: a forger can give each line a header. Imports sources and matching.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbs_fast.matching.protocol import UnusualBegins
    from pbs_fast.matching.reader import Reader
    from pbs_fast.sources.lines import Piece

log = logging.getLogger(__name__)

#: Seconds until another warning about the same log.
PAUSE: Final = 3600.0


class HeaderWatch:
    """The lines without a header of one log, `count` of them so far. The first is logged, then at most one in PAUSE."""

    def __init__(self, path: str, unusual: UnusualBegins, clock: Callable[[], float] = time.monotonic) -> None:
        """`unusual` is the backend's."""
        self.count = 0
        self._path, self._unusual = path, unusual
        self._clock = clock
        self._quiet_until = float("-inf")

    def saw(self, piece: Piece, reader: Reader, reference: int) -> None:
        """Look at whole lines which that reader has read, at this second since the epoch."""
        if reader.layout is None or reader.rewrites:
            return
        first = None
        for begin in self._unusual(piece.data, piece.start, piece.stop):
            end = piece.data.find(b"\n", begin, piece.stop)
            line = piece.data[begin : piece.stop if end < 0 else end]
            if reader.timestamp_of(line, reader.layout, reference) is None:
                self.count += 1
                first = begin if first is None else first
        if first is not None and (now := self._clock()) >= self._quiet_until:
            self._quiet_until = now + PAUSE
            log.warning(
                f"{self._path}: the line at byte {piece.offset + first - piece.start} has no header ({self.count} so "
                "far): if the logging daemon writes line feeds in user names to this file, a stranger can forge "
                "logins; see the table of logging daemons in SECURITY.md"
            )
