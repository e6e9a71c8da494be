"""Cuts bytes into whole lines: the one place that says what a line of a log is, for the daemon, `match` and `bench`.

`cut` is pure and knows the rules; `pieces` reads a log in order with it, `aligned` gives independent ranges of a plain
file. Whatever the sizes, the pieces hold each line once, in order, at its true offset. The rules that decide trust:

- an unfinished line is never handed out while more may come (half an address is another address);
- the rest of an over-long line is never taken for a line of its own (its start would be a stranger's text). Of such a
  line as much is handed out as makes the matcher count one `too_long` line, and the rest is dropped to the newline;
- NUL bytes are skipped at the start of a line only. A writer that does not append leaves such a hole after its log was
  truncated. In the middle of a line they stay: text behind them would otherwise become a line's start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pbs_fast.sources.open import LogFile

#: Longest line that the matcher looks at, in bytes (docs/MATCHING.md, 1).
MAX_LINE = 16_384

#: Bytes of a line that are too many in any case: with one less, the last could be the `\r` that does not count.
TOO_LONG = MAX_LINE + 2

#: Measured on a 345 MB log with two cores: 1 MiB pieces scan as fast as larger ones and stay in the caches.
PIECE = 1 << 20

_NULS = re.compile(rb"\0+")


class Piece(NamedTuple):
    """Whole lines: data[start:stop]. The last lacks its newline only at the end of the log or when it is too long."""

    data: bytes
    start: int
    stop: int
    offset: int
    """Where data[start] stands in the log, in bytes of text."""
    end: int
    """Where reading goes on: beyond offset + stop - start when the rest of a too long line was left out."""


class Cut(NamedTuple):
    """What one buffer holds."""

    pieces: list[Piece]
    consumed: int
    """Index in the buffer of the first byte that must be offered again."""
    discarding: bool
    """The buffer ended inside an over-long line: everything up to the next newline is to be dropped."""
    nul: int
    """NUL bytes skipped."""


def cut(data: bytes, start: int, offset: int, discarding: bool) -> Cut:
    """Cut data[start:], where data[start] is the source's byte `offset` and begins a line unless `discarding`."""
    stop = data.rfind(b"\n", start) + 1
    if discarding:
        if not stop:
            return Cut([], len(data), True, 0)
        begin = data.index(b"\n", start) + 1
        start, offset = begin, offset + begin - start
    found: list[Piece] = []
    nul = 0
    if data.find(0, start) < 0:
        if stop > start:
            found.append(Piece(data, start, stop, offset, offset + stop - start))
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
            found.append(Piece(data, consumed, end, offset + consumed - start, offset + end - start))
            consumed = end
    if len(data) - consumed < TOO_LONG:
        return Cut(found, consumed, False, nul)
    found.append(Piece(data, consumed, consumed + TOO_LONG, offset + consumed - start, offset + len(data) - start))
    return Cut(found, len(data), True, nul)


class Range(NamedTuple):
    """The lines of a plain file that start within [start, stop). Ranges are read in any order, by any thread."""

    log: LogFile
    start: int
    stop: int

    def read(self) -> list[Piece]:
        """The range's lines: nearly always one piece, more where there are holes, none where no line starts.

        Raises SourceError when the file cannot be read.
        """
        # The byte before tells whether a line starts at `start`; what follows `stop` completes the last line. All in
        # one read, so that nothing is joined: of a line that needs more than TOO_LONG bytes, no more is wanted.
        before = 1 if self.start else 0
        # In `data`, `border` stands for `stop`: a line that starts before it is ours, one that starts there is not.
        border = before + self.stop - self.start
        data = self.log.read_at(self.start - before, border + TOO_LONG)
        first = data.find(b"\n", 0, border) + 1 if before else 0
        if (before and not first) or first >= min(border, len(data)):
            return []
        base = self.start - before
        last = data.find(b"\n", border - 1) + 1 if border < len(data) else len(data)
        if last and data.find(0, first, last) < 0:
            return [Piece(data, first, last, base + first, base + last)]
        found = cut(data[:last] if last else data, first, base + first, False)
        rest = data[found.consumed : last or len(data)]
        if not found.discarding and (rest or not last):
            is_whole = bool(last) or len(data) < border + TOO_LONG
            found.pieces.extend(
                _rest(rest, base + found.consumed) if is_whole else self._line_at(base + found.consumed)
            )
        return found.pieces

    def _line_at(self, position: int) -> list[Piece]:
        """The one line that begins here, with a hole before it or without."""
        data = b""
        while fresh := self.log.read_at(position + len(data), PIECE):
            data += fresh
            found = cut(data, 0, position, False)
            if found.pieces:
                first = found.pieces[0]
                newline = data.find(b"\n", first.start, first.stop) + 1
                stop = newline or first.stop
                return [first._replace(stop=stop, end=first.offset + stop - first.start)]
            position, data = position + found.consumed, data[found.consumed :]
        return _rest(data, position)


def _rest(data: bytes, offset: int) -> list[Piece]:
    """The last line of a log that lacks its newline."""
    return [Piece(data, 0, len(data), offset, offset + len(data))] if data else []


def aligned(log: LogFile, size: int = PIECE) -> list[Range]:
    """The ranges of a seekable log, as large as it is now, whose lines together are the log's, in order."""
    total = log.size()
    return [Range(log, start, min(start + size, total)) for start in range(0, total, size)]


def pieces(log: LogFile, size: int = PIECE) -> Iterator[Piece]:
    """The lines of a log in order, in pieces of about `size` bytes (at least `TOO_LONG`).

    Pieces come as soon as whole lines can be had, also from a live pipe. Raises SourceError when the log cannot be
    read to its end, after the whole lines before; a line that a cut in compressed data leaves incomplete is dropped,
    because half an address is another address.
    """
    size = max(size, TOO_LONG)
    offset, discarding, rest = 0, False, b""
    while True:
        # To read a line's beginning twice is cheaper than to join buffers, where the log can be read twice.
        fresh = log.read_at(offset, size) if log.seekable else log.read(size)
        data = rest + fresh if rest else fresh
        found = cut(data, 0, offset, discarding)
        yield from found.pieces
        offset, discarding, rest = offset + found.consumed, found.discarding, data[found.consumed :]
        if not fresh or (log.seekable and rest and len(fresh) < size):
            break
        if log.seekable:
            rest = b""
    yield from _rest(rest, offset)
