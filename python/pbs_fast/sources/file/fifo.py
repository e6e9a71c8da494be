"""One open FIFO or character device, read line by line. What was read is gone from it, so the unfinished line is kept.

When the last writer closes its end, an unfinished line is thrown away: the next writer's first words would be glued to
it. Imports `framing`, `identity` and `pieces`.
"""

from __future__ import annotations

import os
from collections import Counter

from pbs_fast.sources.file.position import Identity
from pbs_fast.sources.framing import frame
from pbs_fast.sources.lines import Piece

#: A Linux pipe holds 64 KiB unless it was told otherwise.
CHUNK = 65_536


class FollowedStream:
    """A descriptor opened with O_NONBLOCK that is read in order. Owns the descriptor."""

    def __init__(self, fd: int, name: str, counters: Counter[str]) -> None:
        self.fd = fd
        self.name = name
        self.identity = Identity.of(os.fstat(fd))
        self.offset = 0
        """Bytes read since it was opened, up to the start of the unfinished line."""
        self.at_end = False
        """The last read found nothing."""
        self.selectable = False
        """A writer is there and silent, so select() waits for it; without a writer it would return at once for ever."""
        self.active_at = 0.0
        self.watch: int | None = None
        self._rest = b""
        self._discarding = False
        self._counters = counters

    @property
    def partial(self) -> int:
        """Bytes of an unfinished line that are kept."""
        return len(self._rest)

    def read(self, limit: int | None = None) -> list[Piece]:  # noqa: ARG002 - the signature of FollowedFile
        """The whole lines among what can be read now; empty at the end. Raises OSError."""
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
        framed = frame(data, 0, self.offset, self._discarding)
        self.offset += framed.consumed
        self._rest = data[framed.consumed :]
        self._discarding = framed.discarding
        self._counters["nul_bytes"] += framed.nul
        return framed.pieces

    def close(self) -> None:
        os.close(self.fd)
