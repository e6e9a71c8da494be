"""One open regular file, read line by line from an offset that is trusted only while the file's bytes confirm it.

Each read compares the file's first bytes and the bytes before the offset with those read earlier. A truncated file is
therefore noticed before any of its new bytes is handed out, even if it has grown past the offset again. Sizes and times
are not used: network file systems report them late. An unfinished line is read again, never kept.
"""

from __future__ import annotations

import errno
import os
from collections import Counter

from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.file.position import SAMPLE, Position, first_text
from pbs_fast.sources.lines import TOO_LONG, Piece, cut

#: Bytes per read. 64 KiB to 1 MiB scan equally fast; one of this size stays in the second-level cache.
CHUNK = 262_144


class TruncatedError(Exception):
    """`file` no longer holds what was read from it."""

    def __init__(self, file: PlainFile) -> None:
        self.file = file


class PlainFile(Followed):
    """A regular file, which may still be written to."""

    seekable = True
    text = b""
    partial = 0

    def __init__(self, fd: int, name: str, counters: Counter[str], *, chunk: int = CHUNK) -> None:
        super().__init__(fd, name, counters)
        self.head = b""
        self.tail = b""
        self.hole = 0
        """NULs before the text."""
        self._chunk = max(chunk, 1)

    def start_at(self, position: Position) -> None:
        """Resume at a position that it `holds`."""
        self.offset, self.head, self.tail = position.offset, position.head, position.tail
        self.hole, self.text = position.hole, position.text
        if self.offset and not self.text:  # from an older checkpoint, or not known
            self.hole, text = self.begins_with
            self.text = text[: max(0, self.offset - self.hole)]
        self.partial, self._discarding, self.at_end = 0, position.discarding, False

    def start_at_offset(self, offset: int, *, discarding: bool = False) -> None:
        """Resume at `offset`, the start of a line (with `discarding`, inside one whose rest is dropped).

        Raises OSError, and TruncatedError when the file is shorter.
        """
        head = os.pread(self.fd, min(SAMPLE, offset), 0)
        tail = os.pread(self.fd, min(SAMPLE, offset), max(0, offset - SAMPLE))
        if len(tail) < min(SAMPLE, offset):
            raise TruncatedError(self)
        self.start_at(Position(self.identity, offset, head, tail, discarding))

    def rewind(self) -> None:
        """Start again at the first byte: the content is new."""
        self.start_at(Position(self.identity, 0, b"", b""))
        self.opened_mtime = os.fstat(self.fd).st_mtime_ns

    def holds(self, position: Position) -> bool:
        """Does it contain what was read up to `position`? Raises OSError."""
        return position.fits(self.fd)

    @property
    def position(self) -> Position:
        # Before a whole line was read, the first bytes identify the file all the same: they only grow.
        head = self.head[: self.offset] if self.offset else self.head or self._first_bytes()
        hole, text = (self.hole, self.text) if self.text else self.begins_with
        text = text[: max(0, self.offset - hole)] or text
        place = (self.identity, self.offset, head, self.tail, self._discarding)
        return Position(*place, os.fstat(self.fd).st_mtime_ns, hole=hole, text=text)

    @property
    def begins_with(self) -> tuple[int, bytes]:
        try:
            return first_text(self.fd)
        except OSError:
            return 0, b""

    def _first_bytes(self) -> bytes:
        try:
            return os.pread(self.fd, SAMPLE, 0)
        except OSError:
            return b""

    def read(self, limit: int | None = None) -> list[Piece]:
        """As in `Followed`; also raises TruncatedError when what was read before is no longer there."""
        self.at_end = False
        if os.pread(self.fd, len(self.head), 0) != self.head:
            raise TruncatedError(self)
        if self.hole and os.pread(self.fd, len(self.text), self.hole) != self.text:
            raise TruncatedError(self)
        seen = len(self.tail)
        want = self._chunk + self.partial
        if limit is not None:
            want = max(0, min(want, limit - self.offset))
        base = self.offset - seen
        data = os.pread(self.fd, seen + want, base)
        if data[:seen] != self.tail or len(data) < min(seen + want, seen + self.partial):
            raise TruncatedError(self)
        found = cut(data, seen, self.offset, self._discarding)
        if base == 0 and len(self.head) < SAMPLE:
            self.head = data[:SAMPLE]
        if len(self.text) < SAMPLE:
            self._sample(data, base)
        self.tail = data[max(0, found.consumed - SAMPLE) : found.consumed]
        self.offset = base + found.consumed
        self._discarding = found.discarding
        self.partial = len(data) - found.consumed
        self.at_end = len(data) < seen + want or (limit is not None and base + len(data) >= limit)
        if found.nul:
            self._counters["nul_bytes"] += found.nul
            if found.nul >= self._chunk and not self.at_end:
                self._leap()
        return found.pieces

    def _sample(self, data: bytes, base: int) -> None:
        """Keep the first SAMPLE bytes of the text; `data`, at byte `base`, starts before the first one missing."""
        if not self.text:
            text = data.lstrip(b"\0")
            self.hole, self.text = (base + len(data) - len(text) if text else 0), text[:SAMPLE]
        elif (missing := SAMPLE - len(self.text)) > 0:
            after = self.hole + len(self.text) - base
            self.text += data[after : after + missing]

    def _leap(self) -> None:
        """Skip the rest of a hole without reading it: it may be gigabytes long."""
        if not hasattr(os, "SEEK_DATA"):  # OpenBSD
            return
        try:
            target = os.lseek(self.fd, self.offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.EINVAL):  # only hole to the end; not supported by the file system
                return
            raise
        if target > self.offset + SAMPLE:
            self._counters["nul_bytes"] += target - self.offset
            self.start_at_offset(target)

    def is_finished(self, *, moved_on: bool, waited: bool, crowded: bool) -> bool:
        return self.static or crowded or (moved_on and waited)


def line_start(fd: int, end: int) -> tuple[int, bool]:
    """Where the unfinished line before byte `end` of a regular file starts (`end` itself after a newline).

    If that line has TOO_LONG bytes or more: (end, True), and it must be dropped. Raises OSError.
    """
    low = max(0, end - TOO_LONG)
    data = os.pread(fd, end - low, low)[: end - low]
    newline = data.rfind(b"\n")
    if newline >= 0:
        return low + newline + 1, False
    return (0, False) if low == 0 else (end, True)
