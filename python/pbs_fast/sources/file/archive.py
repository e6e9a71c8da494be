"""One rotated file that was compressed before all of it was read: its text, line by line, from where it was left.

Offsets are those of the text, so a position that was taken in the plain file holds here too. The text before it is
passed over in bounded steps, and its first bytes and those before the offset must be the ones that were read. Nobody
writes to such a file, but its compressor may not be done with it: one that is cut off is waited for. Imports `framing`,
`identity`, `opening`, `compressed` and `pieces`.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from functools import cached_property

from pbs_fast.errors import SourceError
from pbs_fast.sources.compressed import CutOffError
from pbs_fast.sources.file.position import LONGEST_HOLE, SAMPLE, STRIDE, Identity, Position, display
from pbs_fast.sources.framing import frame
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.open import LogFile, cannot_read, open_log


class FollowedArchive:
    """A compressed file and how far its text was read; `open_archive` makes it. Owns the descriptor."""

    def __init__(self, log: LogFile, counters: Counter[str], chunk: int) -> None:
        self.name = log.name
        self.fd = log.fileno()
        self.identity = Identity.of(os.fstat(self.fd))
        self.offset = 0
        """Bytes of text that were passed over or handed out in whole lines."""
        self.at_end = False
        """The last read gave nothing, and the next would give nothing at once."""
        self.done = False
        """It will give nothing more."""
        self.fault: SourceError | None = None
        """Why it gives nothing more, or, while it is not `done`, nothing for the moment."""
        self.active_at = 0.0
        self.watch: int | None = None
        self.head = b""
        """The first bytes of its text, SAMPLE where it has as many."""
        self._log, self._counters, self._chunk = log, counters, max(chunk, SAMPLE)
        self._target: Position | None = None
        self._before = b""
        """The last bytes before the offset, at most SAMPLE."""
        self._rest = b""
        """Text behind the offset that was decompressed and not handed out."""
        self._discarding = False
        try:
            while len(self.head) < SAMPLE and (text := log.read(SAMPLE - len(self.head))):
                self.head += text
        except CutOffError as error:
            self.fault = error
        self._rest = self.head

    @property
    def partial(self) -> int:
        """Bytes of an unfinished line."""
        return len(self._rest)

    @cached_property
    def begins_with(self) -> tuple[int, bytes]:
        """The hole and the text, at most SAMPLE bytes, that it begins with; no text where none can be read.

        A hole is read through a second descriptor, so that reading stays where it is. That is rare.
        """
        text = self.head.lstrip(b"\0")
        hole = len(self.head) - len(text)
        if not hole:
            return 0, text
        hole, text = 0, b""
        with suppress(SourceError), open_log(self.name) as log:
            while len(text) < SAMPLE and hole < LONGEST_HOLE and (data := log.read(STRIDE)):
                fresh = data if text else data.lstrip(b"\0")
                hole += len(data) - len(fresh)
                text += fresh
        return hole, text[:SAMPLE]

    @property
    def text(self) -> bytes:
        """The first bytes behind a hole at the start, at most SAMPLE."""
        return self.begins_with[1]

    def holds(self, position: Position) -> bool:
        """Does it begin as the file did in which `position` was taken?"""
        return bool(position.text) and self.head.startswith(position.head) and self.text.startswith(position.text)

    def start_at(self, position: Position) -> None:
        """Go on from a position that it `holds`; whether all of it fits is seen when reading gets there."""
        self._target = position if position.offset else None

    @property
    def position(self) -> Position:
        if self._target is not None:
            return self._target
        head = self.head[: self.offset] or self.head
        hole, text = self.begins_with
        text = text[: max(0, self.offset - hole)] or text
        place = (self.identity, self.offset, head, self._before, self._discarding)
        return Position(*place, os.fstat(self.fd).st_mtime_ns, hole=hole, text=text)

    def read(self, limit: int | None = None) -> list[Piece]:  # noqa: ARG002 - the signature of FollowedFile
        """The whole lines of the next piece of text; empty at the end, and while text is passed over. Raises nothing.

        When the file is damaged, `done` and `fault` say so.
        """
        self.at_end = self.done
        if self.done:
            return []
        try:
            if self._target is not None:
                self._pass_over(self._target)
                return []
            fresh = self._log.read(self._chunk)
        except CutOffError as error:
            self.fault, self.at_end = error, True
            # What `head` holds is handed out nevertheless.
            fresh = b""
        except SourceError as error:
            self.fault, self.at_end, self.done = error, True, True
            return []
        else:
            self.fault = None
            self.done = self.at_end = not fresh
        data = self._rest + fresh
        framed = frame(data, 0, self.offset, self._discarding)
        self.offset += framed.consumed
        self._rest = data[framed.consumed :]
        self._before = (self._before + data[: framed.consumed])[-SAMPLE:]
        self._discarding = framed.discarding
        self._counters["nul_bytes"] += framed.nul
        self._counters["unpacked_bytes"] += framed.consumed
        return framed.pieces

    def close(self) -> None:
        self._log.close()

    def _pass_over(self, target: Position) -> None:
        """Go one step on towards `target`. Raises SourceError when it turns out not to be the file it was taken in.

        Where the text ends before it, its writer went on in the plain file, and all that is here was read.
        """
        want = min(self._chunk, target.offset - self.offset)
        text = self._rest[:want] or self._log.read(want)
        self._rest = self._rest[want:]
        self.offset += len(text)
        self._before = (self._before + text)[-SAMPLE:]
        if not text:
            self._target, self.done = None, True
        elif self.offset == target.offset and self._before != target.tail:
            raise SourceError(f"{display(self.name)} does not hold what was read up to byte {target.offset}")
        elif self.offset == target.offset:
            self._target, self._discarding = None, target.discarding


def open_archive(name: str, counters: Counter[str], chunk: int) -> FollowedArchive:
    """Open a compressed file and read the first bytes of its text.

    Raises SourceError, in one line, for what is gone, not readable, damaged, or compressed in a way that is not known.
    """
    try:
        regular = stat.S_ISREG(os.stat(name).st_mode)  # noqa: PTH116 - names are text of any bytes
    except OSError as error:
        raise cannot_read(display(name), error) from error
    if not regular:
        raise SourceError(f"{display(name)} is no file")
    log = open_log(name)
    try:
        if log.compression is not None:
            return FollowedArchive(log, counters, chunk)
    except BaseException:
        log.close()
        raise
    log.close()
    raise SourceError(f"{display(name)} is compressed in a way that is not known; use gzip, xz, zstd or bzip2")
