"""Whole lines out of a buffer that may end, and may begin, in the middle of one.

Pure: no I/O, no state. The rules that decide trust are here:

- an unfinished line is never handed out (half an address is another address);
- the rest of an over-long line is never taken for a line of its own (its start would be a stranger's text). Of such a
  line as much is handed out as makes the matcher count one `too_long` line, and the rest is dropped to the newline;
- NUL bytes are skipped at the start of a line only. A writer that does not append leaves such a hole after its log was
  truncated. In the middle of a line they stay: text behind them would otherwise become a line's start.

Imports nothing but its neighbour `pieces`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from pbs_fast.sources.lines import TOO_LONG, Piece

_NULS = re.compile(rb"\0+")


class Frame(NamedTuple):
    """What one buffer holds."""

    pieces: list[Piece]
    consumed: int
    """Index in the buffer of the first byte that must be offered again."""
    discarding: bool
    """The buffer ended inside an over-long line: everything up to the next newline is to be dropped."""
    nul: int
    """NUL bytes skipped."""


def frame(data: bytes, start: int, offset: int, discarding: bool) -> Frame:
    """Frame data[start:], where data[start] is the source's byte `offset` and begins a line unless `discarding`."""
    stop = data.rfind(b"\n", start) + 1
    if discarding:
        if not stop:
            return Frame([], len(data), True, 0)
        start, offset = _past_newline(data, start, offset)
    pieces: list[Piece] = []
    nul = 0
    if data.find(0, start) < 0:
        if stop > start:
            pieces.append(Piece(data, start, stop, offset, offset + stop - start))
        consumed = max(start, stop)
    else:
        consumed = start
        while True:
            if hole := _NULS.match(data, consumed):
                nul += hole.end() - consumed
                consumed = hole.end()
            if consumed >= stop:
                break
            border = data.find(b"\n\0", consumed, stop + 1)
            end = stop if border < 0 else border + 1
            pieces.append(Piece(data, consumed, end, offset + consumed - start, offset + end - start))
            consumed = end
    if len(data) - consumed < TOO_LONG:
        return Frame(pieces, consumed, False, nul)
    pieces.append(Piece(data, consumed, consumed + TOO_LONG, offset + consumed - start, offset + len(data) - start))
    return Frame(pieces, len(data), True, nul)


def _past_newline(data: bytes, start: int, offset: int) -> tuple[int, int]:
    begin = data.index(b"\n", start) + 1
    return begin, offset + begin - start
