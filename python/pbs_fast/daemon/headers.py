"""Counts lines without a header in a log whose lines have one, and warns of them.

Such a line is the rest of a message in which somebody sent a line feed, so the logging daemon lets line feeds through
(SECURITY.md). It is a hint: a forger can give each line a header. Imports sources and matching.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbs_fast.matching.reader import Reader
    from pbs_fast.sources.lines import Piece

log = logging.getLogger(__name__)

#: Seconds until another warning about the same log.
PAUSE: Final = 3600.0

# What begins a header nearly always; only a line that begins otherwise is looked at.
_USUAL = rb"[A-Z][a-z]{2} [ 0-9]|[0-9]{4}-[0-9]{2}-|<[0-9]{1,3}>"
_BEGINS = re.compile(_USUAL)
_UNUSUAL = re.compile(rb"\n(?!" + _USUAL + rb"|\Z)")


class HeaderWatch:
    """The lines without a header of one log, `count` of them so far. The first is logged, then at most one in PAUSE."""

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.count = 0
        self._path = path
        self._clock = clock
        self._quiet_until = float("-inf")

    def saw(self, piece: Piece, reader: Reader, reference: int) -> None:
        """Look at whole lines which that reader has read, at this second since the epoch."""
        if reader.layout is None or reader.rewrites:
            return
        first = None
        for begin in _unusual(piece):
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


def _unusual(piece: Piece) -> Iterator[int]:
    """Where the lines begin that begin in no usual way."""
    if piece.start < piece.stop and not _BEGINS.match(piece.data, piece.start, piece.stop):
        yield piece.start
    # 90 ns a line of 140 bytes; following a line at full load takes some 2,300.
    for found in _UNUSUAL.finditer(piece.data, piece.start, piece.stop):
        yield found.end()
