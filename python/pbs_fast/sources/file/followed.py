"""What a plain file, a FIFO and a compressed file have in common while they are followed."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.position import Identity, Position
from pbs_fast.sources.lines import Piece


class Followed(ABC):
    """One open log and how far it was read. Owns the descriptor. What a kind cannot do keeps its default here."""

    seekable = False
    """It can be read at any offset, so it may be truncated, copied, and compressed under our eyes."""
    selectable = False
    """The descriptor becomes readable when there is more, and only then."""
    static = False
    """A copy: nobody writes to it, so it is closed at its end."""
    fault: SourceError | None = None
    """Why it gives nothing more, or nothing for now."""

    def __init__(self, fd: int, name: str, counters: Counter[str]) -> None:
        self.fd = fd
        self.name = name
        """The path it was opened by; after a rotation, what messages call it."""
        status = os.fstat(fd)
        self.identity = Identity.of(status)
        self.opened_mtime = status.st_mtime_ns
        """When it was last written before it was opened, or rewound, in nanoseconds since the epoch."""
        self.offset = 0
        """Bytes of text that were handed out in whole lines or skipped; always the start of a line."""
        self.at_end = False
        """The last read reached the end (or its limit): reading again at once would give nothing."""
        self.active_at = 0.0
        """When it last gave something, in seconds of the source's clock."""
        self.watch: int | None = None
        """Its inotify watch."""
        self._discarding = False
        self._counters = counters

    @property
    @abstractmethod
    def partial(self) -> int:
        """Bytes of the unfinished line after the offset."""

    @property
    def text(self) -> bytes:
        """The first bytes after a hole at the start, as far as read, at most SAMPLE; they tell it from other files."""
        return b""

    @property
    def begins_with(self) -> tuple[int, bytes]:
        """The length of a hole at its start and up to SAMPLE bytes of the text after it, now; no text if unreadable."""
        return 0, b""

    @property
    def started(self) -> bool:
        """Its writer is known to use it."""
        return self.offset > 0

    @property
    def position(self) -> Position | None:
        """Where to resume; None where what was read cannot be read again."""
        return None

    @abstractmethod
    def read(self, limit: int | None = None) -> list[Piece]:
        """Whole lines of the next chunk, up to byte `limit` of a seekable file; empty at the end. Raises OSError."""

    @abstractmethod
    def is_finished(self, *, moved_on: bool, waited: bool, crowded: bool) -> bool:
        """At its end, will it give nothing more? `moved_on`: the writer uses the next file. `waited`: nothing came for
        the grace time. `crowded`: too many files are open."""

    def close(self) -> None:
        os.close(self.fd)
