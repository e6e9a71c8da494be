"""One rotated file that was compressed before it was read to its end: its remaining lines.

Offsets count bytes of text, so a position taken in the plain file holds here too. The text before it is skipped in
bounded steps, and the samples of the position must match. A file that is cut off may still be written by its
compressor, so the rest is waited for.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from contextlib import suppress
from enum import Enum, auto
from functools import cached_property

from pbs_fast.errors import SourceError
from pbs_fast.sources.compressed import CutOffError
from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.file.position import LONGEST_HOLE, SAMPLE, STRIDE, Position, display
from pbs_fast.sources.lines import Piece, cut
from pbs_fast.sources.open import LogReader, cannot_read, open_log


class State(Enum):
    """How far an archive is."""

    READING = auto()
    CUT_OFF = auto()
    """Its compressed data end too early: `fault` says where. Tried again."""
    ENDED = auto()
    DAMAGED = auto()
    """It gives nothing more, for the reason in `fault`."""


class Archive(Followed):
    """A compressed file; `open_archive` makes it."""

    def __init__(self, log: LogReader, counters: Counter[str], chunk: int) -> None:
        super().__init__(log.fileno(), log.name, counters)
        self.head = b""
        """The first SAMPLE bytes of its text, or all of a shorter one."""
        self._log, self._chunk = log, max(chunk, SAMPLE)
        self._state = State.READING
        self._target: Position | None = None
        """The text before this position is still to be skipped."""
        self._before = b""
        """The last bytes before the offset, at most SAMPLE."""
        self._rest = b""
        """Text after the offset that was decompressed and not handed out."""
        try:
            while len(self.head) < SAMPLE and (text := log.read(SAMPLE - len(self.head))):
                self.head += text
        except CutOffError as error:
            self._state, self.fault = State.CUT_OFF, error
        self._rest = self.head

    @property
    def partial(self) -> int:
        return len(self._rest)

    @cached_property
    def begins_with(self) -> tuple[int, bytes]:
        # A hole is read through a second descriptor, so that the offset of the first one does not move. That is rare.
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
        return self.begins_with[1]

    def holds(self, position: Position) -> bool:
        """Does it start like the file in which `position` was taken?"""
        return bool(position.text) and self.head.startswith(position.head) and self.text.startswith(position.text)

    def start_at(self, position: Position) -> None:
        """Resume at a position that it `holds`; the bytes before it are compared when reading gets there."""
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

    def read(self, limit: int | None = None) -> list[Piece]:  # noqa: ARG002 - only seekable files have a limit
        """As in `Followed`; empty also while text is skipped. Raises nothing: see `fault`."""
        self.at_end = self._state in (State.ENDED, State.DAMAGED)
        if self.at_end:
            return []
        try:
            if self._target is not None:
                self._skip(self._target)
                return []
            fresh = self._log.read(self._chunk)
            self._enter(State.READING if fresh else State.ENDED)
        except CutOffError as error:
            self._enter(State.CUT_OFF, error)
            fresh = b""  # what `head` holds is handed out nevertheless
        except SourceError as error:
            self._enter(State.DAMAGED, error)
            return []
        data = self._rest + fresh
        found = cut(data, 0, self.offset, self._discarding)
        self.offset += found.consumed
        self._rest = data[found.consumed :]
        self._before = (self._before + data[: found.consumed])[-SAMPLE:]
        self._discarding = found.discarding
        self._counters["nul_bytes"] += found.nul
        self._counters["unpacked_bytes"] += found.consumed
        return found.pieces

    def is_finished(self, *, moved_on: bool, waited: bool, crowded: bool) -> bool:  # noqa: ARG002 - nobody writes to it
        if self._state is State.ENDED:
            return moved_on
        return waited or self._state is State.DAMAGED

    def close(self) -> None:
        self._log.close()

    def _enter(self, state: State, fault: SourceError | None = None) -> None:
        self._state, self.fault = state, fault
        self.at_end = state is not State.READING

    def _skip(self, target: Position) -> None:
        """Go one step towards `target`. Raises SourceError if this is not the file in which it was taken.

        If the text ends before it, all text that is here was read, and the writer went on in the plain file.
        """
        want = min(self._chunk, target.offset - self.offset)
        text = self._rest[:want] or self._log.read(want)
        self._rest = self._rest[want:]
        self.offset += len(text)
        self._before = (self._before + text)[-SAMPLE:]
        if not text:
            self._target = None
            self._enter(State.ENDED)
        elif self.offset == target.offset and self._before != target.tail:
            raise SourceError(f"{display(self.name)} does not hold what was read up to byte {target.offset}")
        elif self.offset == target.offset:
            self._target, self._discarding = None, target.discarding


def open_archive(name: str, counters: Counter[str], chunk: int) -> Archive:
    """Open a compressed file and read the first bytes of its text.

    Raises SourceError, in one line, if it is gone, not readable, damaged, or compressed in an unknown way.
    """
    try:
        regular = stat.S_ISREG(os.stat(name).st_mode)  # noqa: PTH116 - names are text of any bytes
    except OSError as error:
        raise cannot_read(display(name), error) from error
    if not regular:
        raise SourceError(f"{display(name)} is not a regular file")
    log = open_log(name)
    if log.compression is None:
        log.close()
        raise SourceError(f"{display(name)} is compressed in an unknown way; use gzip, xz, zstd or bzip2")
    try:
        return Archive(log, counters, chunk)
    except BaseException:
        log.close()
        raise
