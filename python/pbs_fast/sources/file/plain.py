"""One open regular file, read line by line from an offset that is trusted only while the file proves it.

Each read covers the bytes before the offset again and compares them, and the file's first bytes before that (where they
are a hole, those of its text too): so a file
that was truncated, and one that was truncated and has grown past the offset since, is noticed before a byte of it is
handed out. Sizes and times are not asked: network file systems report them late. The offset always stands at the start
of a line; an unfinished line is read again, never kept. Imports `framing`, `identity` and `pieces`.
"""

from __future__ import annotations

import errno
import os
from collections import Counter

from pbs_fast.sources.file.position import SAMPLE, Identity, Position, first_text
from pbs_fast.sources.framing import frame
from pbs_fast.sources.lines import TOO_LONG, Piece

#: Bytes a read asks for. 64 KiB to 1 MiB scan equally fast; one of this size stays in the second-level cache.
CHUNK = 262_144


class TruncatedError(Exception):
    """The file no longer holds what was read from it."""


class FollowedFile:
    """A regular file and how far it was read. Owns the descriptor."""

    def __init__(self, fd: int, name: str, counters: Counter[str], *, chunk: int = CHUNK) -> None:
        self.fd = fd
        self.name = name
        """The path it was opened by; after a rotation, what the messages call it."""
        self.identity = Identity.of(os.fstat(fd))
        self.opened_mtime = os.fstat(fd).st_mtime_ns
        self.offset = 0
        self.head = b""
        self.tail = b""
        self.hole = 0
        """NULs before the text."""
        self.text = b""
        """The first bytes behind the hole, as far as read, at most SAMPLE."""
        self.partial = 0
        """Bytes of an unfinished line seen behind the offset."""
        self.rewound = False
        """It was truncated: what stood in it before was read, or is read from a copy."""
        self.at_end = False
        """The last read met the end of the file (or the limit it was given)."""
        self.static = False
        """Nobody writes to it any more: it is closed at its end."""
        self.active_at = 0.0
        """When it last gave something, on the clock of whoever reads it."""
        self.watch: int | None = None
        self._chunk = max(chunk, 1)
        self._discarding = False
        self._counters = counters

    def start_at(self, position: Position) -> None:
        """Go on from a position that fits."""
        self.offset, self.head, self.tail = position.offset, position.head, position.tail
        self.hole, self.text = position.hole, position.text
        if self.offset and not self.text:  # of an older checkpoint, or not known
            self.hole, text = self.begins_with()
            self.text = text[: max(0, self.offset - self.hole)]
        self.partial, self._discarding, self.at_end = 0, position.discarding, False

    def start_at_offset(self, offset: int, *, discarding: bool = False) -> None:
        """Go on from `offset`, the start of a line (with `discarding`, from inside one, which is dropped).

        Raises OSError, and TruncatedError when the file is shorter.
        """
        head = os.pread(self.fd, min(SAMPLE, offset), 0)
        tail = os.pread(self.fd, min(SAMPLE, offset), max(0, offset - SAMPLE))
        if len(tail) < min(SAMPLE, offset):
            raise TruncatedError
        self.start_at(Position(self.identity, offset, head, tail, discarding))

    def rewind(self) -> None:
        """Begin again at the first byte: the content is new."""
        self.start_at(Position(self.identity, 0, b"", b""))
        self.opened_mtime = os.fstat(self.fd).st_mtime_ns
        self.rewound = True

    @property
    def position(self) -> Position:
        # Before a whole line was read, the first bytes tell the file all the same: they only grow.
        head = self.head[: self.offset] if self.offset else self.head or self._first_bytes()
        hole, text = (self.hole, self.text) if self.text else self.begins_with()
        text = text[: max(0, self.offset - hole)] or text
        place = (self.identity, self.offset, head, self.tail, self._discarding)
        return Position(*place, os.fstat(self.fd).st_mtime_ns, hole=hole, text=text)

    def begins_with(self) -> tuple[int, bytes]:
        """The hole and the text, at most SAMPLE bytes, that it begins with now; no text when it cannot be read."""
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
        """The whole lines of the next chunk, of bytes below `limit` only; empty at the end.

        Raises TruncatedError when what was read before is no longer there, and OSError.
        """
        self.at_end = False
        if os.pread(self.fd, len(self.head), 0) != self.head:
            raise TruncatedError
        if self.hole and os.pread(self.fd, len(self.text), self.hole) != self.text:
            raise TruncatedError
        seen = len(self.tail)
        want = self._chunk + self.partial
        if limit is not None:
            want = max(0, min(want, limit - self.offset))
        base = self.offset - seen
        data = os.pread(self.fd, seen + want, base)
        if data[:seen] != self.tail or len(data) < min(seen + want, seen + self.partial):
            raise TruncatedError
        framed = frame(data, seen, self.offset, self._discarding)
        if base == 0 and len(self.head) < SAMPLE:
            self.head = data[:SAMPLE]
        if len(self.text) < SAMPLE:
            self._sample(data, base)
        self.tail = data[max(0, framed.consumed - SAMPLE) : framed.consumed]
        self.offset = base + framed.consumed
        self._discarding = framed.discarding
        self.partial = len(data) - framed.consumed
        self.at_end = len(data) < seen + want or (limit is not None and base + len(data) >= limit)
        if framed.nul:
            self._counters["nul_bytes"] += framed.nul
            if framed.nul >= self._chunk and not self.at_end:
                self._leap()
        return framed.pieces

    def _sample(self, data: bytes, base: int) -> None:
        """Keep the first bytes of the text, of which `data`, at byte `base`, is all that is not yet kept."""
        if not self.text:
            text = data.lstrip(b"\0")
            self.hole, self.text = (base + len(data) - len(text) if text else 0), text[:SAMPLE]
        elif (missing := SAMPLE - len(self.text)) > 0:
            behind = self.hole + len(self.text) - base
            self.text += data[behind : behind + missing]

    def _leap(self) -> None:
        """Cross the rest of a hole without reading it (a hub's log may leave one of gigabytes)."""
        if not hasattr(os, "SEEK_DATA"):  # OpenBSD
            return
        try:
            target = os.lseek(self.fd, self.offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.EINVAL):  # nothing but hole behind; not known to this file system
                return
            raise
        if target > self.offset + SAMPLE:
            self._counters["nul_bytes"] += target - self.offset
            self.start_at_offset(target)

    def close(self) -> None:
        os.close(self.fd)


def line_start(fd: int, end: int) -> tuple[int, bool]:
    """Where the unfinished line before byte `end` of a regular file begins (`end` itself after a newline).

    When that line has TOO_LONG bytes or more: (end, True), and it is to be dropped. Raises OSError.
    """
    low = max(0, end - TOO_LONG)
    data = os.pread(fd, end - low, low)[: end - low]
    newline = data.rfind(b"\n")
    if newline >= 0:
        return low + newline + 1, False
    return (0, False) if low == 0 else (end, True)
