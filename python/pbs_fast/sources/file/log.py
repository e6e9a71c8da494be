"""A file as a `Source`: the file source with its past and with what stands before the place where following begins.

Imports `file`, `replay` and `protocol`.
"""

from __future__ import annotations

import os
from contextlib import suppress

from pbs_fast.sources.file.replay import Replay
from pbs_fast.sources.file.search import StampOf
from pbs_fast.sources.file.source import FileSource
from pbs_fast.sources.protocol import Before, Wishes

#: Bytes of `before`, so that a record which its writer cut there is known when the rest of it comes: more than the
#: longest line.
_BEFORE = 65_536


class FileLog(FileSource):
    """One file, followed."""

    ended = False
    pending = False
    uncovered: str | None = None

    def __init__(self, path: str, wishes: Wishes) -> None:
        super().__init__(path, start=wishes.start, hints=wishes.hints, on_notice=wishes.on_notice)

    @property
    def name(self) -> str:
        return self.path

    @property
    def modified(self) -> int | None:
        return None if self.current is None else int(os.fstat(self.current.fd).st_mtime)

    def before(self) -> Before | None:
        if self.current is None or self.current.offset == 0:
            return None
        begin = max(0, self.current.offset - _BEFORE)
        with suppress(OSError):
            data = os.pread(self.current.fd, self.current.offset - begin, begin)
            start = data.find(b"\n") + 1 if begin else 0
            return Before(data, start, int(os.fstat(self.current.fd).st_mtime))
        return None

    def replay(self, since: float, stamp_of: StampOf, now: float) -> Replay:
        return Replay(self, since, stamp_of, now=now)
