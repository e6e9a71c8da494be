"""The standard input source, `--watchlog=-`: lines piped in by a syslog daemon, multilog or a shell.

At its end an unfinished line is dropped, because half an address is another address. It has no past, so it never covers
a window. The descriptor is inherited and may be a terminal that a shell shares, so it is not made non-blocking: it is
read only when poll(2) reports it as readable.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections import Counter

from pbs_fast.errors import SourceError
from pbs_fast.sources.lines import Piece, cut
from pbs_fast.sources.protocol import BUDGET, Before, NoPast, Notice, SourceOptions, TimestampOf

#: Default capacity of a Linux pipe, in bytes (pipe(7)).
_CHUNK = 65_536
#: Seconds between two polls; needed only on systems where poll(2) does not report the descriptor.
_TIMEOUT = 30.0


class StdinSource:
    """Reads a descriptor, by default 0, to its end. Never closes it."""

    name = "standard input"
    modified = None
    uncovered: str | None = "standard input has no past: earlier lines cannot be read again"

    def __init__(self, source_options: SourceOptions, fd: int = 0) -> None:
        self.counters: Counter[str] = Counter()
        """`partial_lost` (an unfinished last line), `nul_bytes`, `read_errors`."""
        self.behind = False
        self.ended = False
        self.trouble: Notice | None = None
        self._say = source_options.on_notice
        self._fd = fd
        self._offset = 0
        self._rest = b""
        self._discarding = False

    def open(self) -> None:
        """Raises SourceError if standard input is closed or a directory."""
        try:
            # If it was closed at the start, the number may by now be a file that we opened, even a table.
            closed = self._fd == 0 and sys.stdin is None
            mode = None if closed else os.fstat(self._fd).st_mode
        except OSError:
            mode = None
        if mode is None:
            raise SourceError("standard input is closed; give it a pipe, or name a log with --watchlog=FILE")
        if stat.S_ISDIR(mode):
            raise SourceError("standard input is a directory; give it a pipe or a log file")

    @property
    def pending(self) -> bool:
        return not self.ended

    def before(self) -> Before | None:
        return None

    @property
    def behind_bytes(self) -> None:
        """None: nobody knows what will come."""

    def position(self) -> None:
        """None: what was read cannot be read again."""

    def replay(self, since: float, timestamp_of: TimestampOf, now: float) -> NoPast:  # noqa: ARG002 - the protocol's signature
        return NoPast(self.uncovered or "")

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """The whole lines that are ready; sets `ended` at the end of the input."""
        pieces: list[Piece] = []
        self.behind = False
        while not self.ended and self._readable():
            if budget <= 0:
                self.behind = True
                break
            try:
                fresh = os.read(self._fd, _CHUNK)
            except OSError as error:
                # Another process set O_NONBLOCK and read the data first.
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    self.counters["read_errors"] += 1
                    self._say(Notice("read-error", self.name, f"{self.name}: {error.strerror}; treated as its end"))
                    self._end()
                break
            if not fresh:
                self._end()
                break
            budget -= len(fresh)
            pieces += self._found(self._rest + fresh)
        return pieces

    def filenos(self) -> list[int]:
        return [] if self.ended else [self._fd]

    def timeout(self) -> float:
        return 0.0 if self.behind else _TIMEOUT

    def close(self) -> None:
        """Do nothing: the descriptor is inherited."""

    def _found(self, data: bytes) -> list[Piece]:
        found = cut(data, 0, self._offset, self._discarding)
        self._offset += found.consumed
        self._rest = data[found.consumed :]
        self._discarding = found.discarding
        self.counters["nul_bytes"] += found.nul
        return found.pieces

    def _readable(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(0))

    def _end(self) -> None:
        self.ended = True
        self.counters["partial_lost"] += bool(self._rest)
