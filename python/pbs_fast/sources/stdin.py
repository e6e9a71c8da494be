"""The standard input source, `--watchlog=-`: lines as a syslog daemon, multilog or a shell pipes them in.

Its end is a clean end: nothing will come again, and what is unfinished then is thrown away, because half an address is
another address. It has no past, so it never covers a window. The descriptor belongs to whoever started us and may be a
terminal that a shell shares, so it is not switched to non-blocking: it is read only when it is said to be readable.
Imports of the package: errors and its neighbours.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
from collections import Counter

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.search import StampOf
from pbs_fast.sources.file.source import BUDGET
from pbs_fast.sources.framing import frame
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.notices import Notice
from pbs_fast.sources.protocol import Before, NoPast, Wishes

#: A Linux pipe holds 64 KiB unless it was told otherwise.
_CHUNK = 65_536
#: Nothing comes without the descriptor saying so; the timer is for systems on which it does not.
_TIMEOUT = 30.0


class StdinSource:
    """Reads a descriptor, by default 0, to its end. Does not own it."""

    name = "standard input"
    modified = None
    uncovered: str | None = "standard input has no past: what was written before cannot be read again"

    def __init__(self, wishes: Wishes, fd: int = 0) -> None:
        self.counters: Counter[str] = Counter()
        """`partial_lost` (an unfinished last line), `nul_bytes`, `read_errors`."""
        self.behind = False
        self.ended = False
        self.trouble: Notice | None = None
        self._say = wishes.on_notice
        self._fd = fd
        self._offset = 0
        self._rest = b""
        self._discarding = False

    def open(self) -> None:
        """Raises SourceError when standard input is closed or a directory."""
        try:
            # Closed by whoever started us: the number may by now be a file of our own, a table even.
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

    def position(self) -> None:
        """None: what was read is gone."""
        return

    def replay(self, since: float, stamp_of: StampOf, now: float) -> NoPast:  # noqa: ARG002 - the protocol's signature
        return NoPast(self.uncovered or "")

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """The whole lines among what is there; `ended` afterwards when that was all there will ever be."""
        pieces: list[Piece] = []
        self.behind = False
        while not self.ended and self._readable():
            if budget <= 0:
                self.behind = True
                break
            try:
                fresh = os.read(self._fd, _CHUNK)
            except OSError as error:
                # Somebody else's O_NONBLOCK, and somebody else read what there was.
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    self._failed(error)
                break
            if not fresh:
                self._end()
                break
            budget -= len(fresh)
            pieces += self._framed(self._rest + fresh)
        return pieces

    def filenos(self) -> list[int]:
        return [] if self.ended else [self._fd]

    def timeout(self) -> float:
        return 0.0 if self.behind else _TIMEOUT

    def close(self) -> None:
        """Nothing: the descriptor is not ours."""

    def _framed(self, data: bytes) -> list[Piece]:
        framed = frame(data, 0, self._offset, self._discarding)
        self._offset += framed.consumed
        self._rest = data[framed.consumed :]
        self._discarding = framed.discarding
        self.counters["nul_bytes"] += framed.nul
        return framed.pieces

    def _readable(self) -> bool:
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(0))

    def _failed(self, error: OSError) -> None:
        self.counters["read_errors"] += 1
        self._say(Notice("read-error", self.name, f"{self.name}: {error.strerror}; taken as its end"))
        self._end()

    def _end(self) -> None:
        self.ended = True
        self.counters["partial_lost"] += bool(self._rest)
