"""One open FIFO or character device. What was read is gone from it, so its unfinished line is kept in memory.

When the last writer closes its end, the unfinished line is dropped: the next writer's first words would be joined.
"""

from __future__ import annotations

import os
from collections import Counter

from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.lines import Piece, cut

#: Default capacity of a Linux pipe, in bytes (pipe(7)).
CHUNK = 65_536


class Fifo(Followed):
    """A descriptor opened with O_NONBLOCK that is read in order."""

    started = True

    def __init__(self, fd: int, name: str, counters: Counter[str]) -> None:
        super().__init__(fd, name, counters)
        self.selectable = False
        """A writer is connected and silent; without one, select() would return at once for ever."""
        self._rest = b""

    @property
    def partial(self) -> int:
        return len(self._rest)

    def read(self, limit: int | None = None) -> list[Piece]:  # noqa: ARG002 - only seekable files have a limit
        self.at_end = self.selectable = False
        try:
            fresh = os.read(self.fd, CHUNK)
        except BlockingIOError:
            self.at_end = self.selectable = True
            return []
        if not fresh:
            self.at_end = True
            self._counters["partial_lost"] += bool(self._rest)
            self.offset += len(self._rest)
            self._rest, self._discarding = b"", False
            return []
        data = self._rest + fresh
        found = cut(data, 0, self.offset, self._discarding)
        self.offset += found.consumed
        self._rest = data[found.consumed :]
        self._discarding = found.discarding
        self._counters["nul_bytes"] += found.nul
        return found.pieces

    def is_finished(self, *, moved_on: bool, waited: bool, crowded: bool) -> bool:  # noqa: ARG002
        return not self.selectable
