"""Cuts a log into pieces of whole lines: in order for any log, or as independent ranges of a plain file.

Whatever the sizes, the pieces hold each line once, in order, at its true offset. Memory stays bounded for lines of any
length: of a line that is longer than a piece only as much is handed out as makes the matcher count one `too_long` line.
Knows newlines only: no formats, no addresses. Imports nothing of the package but its neighbour `opening`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pbs_fast.sources.open import LogFile

#: Longest line that the matcher looks at, in bytes (docs/MATCHING.md, 1).
MAX_LINE = 16_384

#: Bytes of a line that are too many in any case: with one less, the last could be the `\r` that does not count.
TOO_LONG = MAX_LINE + 2

#: Measured on a 345 MB log with two cores: 1 MiB pieces scan as fast as larger ones and stay in the caches.
PIECE = 1 << 20


class Piece(NamedTuple):
    """Whole lines: data[start:stop]. The last lacks its newline only at the end of the log or when it is too long."""

    data: bytes
    start: int
    stop: int
    offset: int
    """Where data[start] stands in the log, in bytes of text."""
    end: int
    """Where the next piece starts; beyond offset + stop - start when the rest of a too long line was left out."""


class Range(NamedTuple):
    """The lines of a plain file that start within [start, stop). Ranges are read in any order, by any thread."""

    log: LogFile
    start: int
    stop: int

    def read(self) -> Piece | None:
        """The range's lines, None when none starts in it. Raises SourceError when the file cannot be read."""
        # The byte before tells whether a line starts at `start`; what follows `stop` completes the last line. All in
        # one read, so that nothing is joined: of a line that needs more than TOO_LONG bytes, no more is wanted.
        before = 1 if self.start else 0
        wanted = self.stop - self.start
        data = self.log.read_at(self.start - before, before + wanted + TOO_LONG)
        first = data.find(b"\n", 0, before + wanted) + 1 if before else 0
        # In `data`, `border` stands for `stop`: a line that starts before it is ours, one that starts there is not.
        border = before + wanted
        if (before and not first) or first >= min(border, len(data)):
            return None
        offset = self.start - before + first
        if border >= len(data):
            return Piece(data, first, len(data), offset, offset + len(data) - first)
        newline = data.find(b"\n", border - 1)
        if newline >= 0:
            return Piece(data, first, newline + 1, offset, offset + newline + 1 - first)
        if len(data) < border + TOO_LONG:
            return Piece(data, first, len(data), offset, offset + len(data) - first)
        return Piece(data, first, len(data), offset, _next_line(self.log, self.start - before + len(data)))


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
    return _in_place(log, max(size, TOO_LONG)) if log.seekable else _joined(log, max(size, TOO_LONG))


def _in_place(log: LogFile, size: int) -> Iterator[Piece]:
    """Reads on where the last whole line ended: to read a line's beginning twice is cheaper than to join pieces."""
    offset = 0
    while data := log.read_at(offset, size):
        stop = data.rfind(b"\n") + 1
        if stop:
            yield Piece(data, 0, stop, offset, offset + stop)
            offset += stop
            continue
        if len(data) < size:
            stop, end = len(data), offset + len(data)
        else:
            stop, end = TOO_LONG, _next_line(log, offset + size)
        yield Piece(data, 0, stop, offset, end)
        # A log that grew meanwhile goes on within this line; what was appended is no line of its own.
        if log.read_at(end - 1, 1) != b"\n":
            return
        offset = end


def _next_line(log: LogFile, position: int) -> int:
    """Where the line after the next newline from `position` on starts; the file's end if there is no newline."""
    while data := log.read_at(position, PIECE):
        newline = data.find(b"\n")
        if newline >= 0:
            return position + newline + 1
        position += len(data)
    return position


def _joined(log: LogFile, size: int) -> Iterator[Piece]:
    """For what cannot be read twice: the incomplete line at the end of a read is put before the next read."""
    offset = 0
    rest = b""
    head = b""  # The beginning of a line that is too long, while the rest of it is skipped.
    skipped = 0
    while data := log.read(size):
        start = 0
        if head:
            start = data.find(b"\n") + 1
            if not start:
                skipped += len(data)
                continue
            end = offset + skipped + start
            yield Piece(head, 0, len(head), offset, end)
            offset = end
            head = b""
        elif rest:
            data = rest + data
        stop = data.rfind(b"\n") + 1
        if stop > start:
            yield Piece(data, start, stop, offset, offset + stop - start)
            offset += stop - start
        rest = data[stop:] if stop else data
        if len(rest) >= TOO_LONG:
            head, skipped, rest = rest[:TOO_LONG], len(rest), b""
    if head:
        yield Piece(head, 0, len(head), offset, offset + skipped)
    elif rest:
        yield Piece(rest, 0, len(rest), offset, offset + len(rest))
