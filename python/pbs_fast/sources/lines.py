"""Cuts bytes into whole lines: the only definition of a line of a log, for the daemon, `match` and `bench`.

`cut` is pure and knows the rules; `pieces` reads a log in order with it, `aligned` gives independent ranges of a plain
file. Whatever the sizes, the pieces hold each line once, in order, at its true offset. The rules for trust:

- an unfinished line is never handed out while more may come (half an address is another address);
- the rest of an over-long line is never treated as a line (it would start with text that an attacker may choose). The
  backend gets enough of such a line to count one `too_long`, and the rest up to the newline is dropped;
- NUL bytes are skipped at the start of a line only: a writer that does not append leaves such a hole after its log was
  truncated. Within a line they are kept; otherwise the text after them would become the start of a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pbs_fast.sources.open import LogReader

#: Longest line that the backend matches, in bytes (docs/MATCHING.md, 1).
MAX_LINE = 16_384

#: Length at which a line is too long in any case: with one byte less, the last could be the `\r`, which is not counted.
TOO_LONG = MAX_LINE + 2

#: A piece stays in a processor's second-level cache from the read to the scan: with 1 MiB, on a busy machine, reading
#: takes a sixth longer and the scan a twentieth; with 256 KiB as long as with this.
PIECE = 1 << 19

_NULS = re.compile(rb"\0+")


class Piece(NamedTuple):
    """Whole lines: data[start:stop]. The last lacks its newline only at the end of the log or when it is too long."""

    data: bytes
    start: int
    stop: int
    offset: int
    """Offset of data[start] in the log, in bytes of text."""
    end: int
    """Where reading continues: beyond offset + stop - start if the rest of a too long line was left out."""


class Cut(NamedTuple):
    """The result of cutting one buffer."""

    pieces: list[Piece]
    consumed: int
    """Index in the buffer of the first byte that must be offered again."""
    discarding: bool
    """The buffer ended inside an over-long line: everything up to the next newline must be dropped."""
    nul: int
    """NUL bytes skipped."""


def cut(data: bytes, start: int, offset: int, discarding: bool) -> Cut:
    """Cut data[start:]; data[start] is the source's byte `offset` and the start of a line unless `discarding`."""
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

    log: LogReader
    start: int
    stop: int

    def read(self) -> list[Piece]:
        """The range's lines: nearly always one piece, more if there are holes, none if no line starts in it.

        Raises SourceError if the file cannot be read.
        """
        # The byte before shows whether a line starts at `start`; the bytes after `stop` complete the last line. All in
        # one read, so that no buffers are joined: of a line longer than TOO_LONG bytes, no more is needed.
        before = 1 if self.start else 0
        # `border` is the index of `stop` in `data`: only lines that start before it belong to this range.
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
        """The one line that starts here, perhaps after a hole."""
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


def aligned(log: LogReader, size: int = PIECE) -> list[Range]:
    """The ranges of a seekable log, up to its current size, whose lines together are the log's, in order."""
    total = log.size()
    return [Range(log, start, min(start + size, total)) for start in range(0, total, size)]


def pieces(log: LogReader, size: int = PIECE) -> Iterator[Piece]:
    """The lines of a log in order, in pieces of about `size` bytes (at least `TOO_LONG`).

    Pieces come as soon as there are whole lines, also from a live pipe. Raises SourceError if the log cannot be read to
    its end, after the whole lines before that; a line that a cut in compressed data leaves incomplete is dropped.
    """
    size = max(size, TOO_LONG)
    offset, discarding, rest = 0, False, b""
    while True:
        # In a seekable log, reading the start of a line twice is cheaper than joining buffers.
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
