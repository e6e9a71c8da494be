"""The replay: what a log and its rotated predecessors hold since a moment, up to where following takes over.

Following starts first, at a line's start on an open descriptor; the replay then reads, on the same file, up to exactly
there. So there is no gap and no overlap, and live lines are not kept waiting. Whether the lines are all there were is
the *coverage*: the table's unexplained rows may be removed only with it, so in doubt it is refused, with the reason.
Imports `file` and what it needs of its neighbours.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.generations import Predecessor, lineage
from pbs_fast.sources.file.plain import FollowedFile, TruncatedError, line_start
from pbs_fast.sources.file.position import display
from pbs_fast.sources.file.search import BLOCK, SLACK, StampOf, ends_before, find_start, first_stamp
from pbs_fast.sources.file.source import BUDGET, GRACE, FileSource
from pbs_fast.sources.framing import frame
from pbs_fast.sources.lines import PIECE, Piece


class Replayed(NamedTuple):
    """Whole lines of the past."""

    piece: Piece
    reference: int
    """Last-modified time of the file they stand in, in seconds since the epoch: what years are judged from."""
    path: str


class Coverage(NamedTuple):
    """Was everything handed out that was logged since the window's start?"""

    complete: bool
    reason: str
    """In words, for the log: how far back it reached, or why it fell short."""


class Replay:
    """Reads the past of `source`, in bounded steps.

    `source` must be new and made with `start="replay"`; making the Replay makes its first look. `since` is the window's
    start in seconds since the epoch. `stamp_of(line, reference)` reads a line's stamp, as `Matcher.stamp` does. Lines
    from up to SLACK seconds before `since` come too. The source may be polled at any time in between.
    """

    def __init__(self, source: FileSource, since: float, stamp_of: StampOf, *, now: float | None = None) -> None:
        self.source = source
        self.done = False
        self._since, self._target = since, int(since) - SLACK
        self._stamp_of = stamp_of
        self._faults: list[str] = []
        self._current: FollowedFile | None = None
        self._end = 0
        self._reference = 0
        self._first: int | None = None
        self._predecessors: list[Predecessor] = []
        self._adopted: tuple[Predecessor | None, int] = (None, 0)
        """The predecessor that the source follows too, and from which byte on."""
        source.open()
        self._plan(time.time() if now is None else now)
        self._run = self._lines()

    def step(self, budget: int = BUDGET) -> list[Replayed]:
        """The next lines, about `budget` bytes at most; perhaps none although not `done`. Raises nothing."""
        found: list[Replayed] = []
        spent = 0
        while spent < budget:
            got = next(self._run, None)
            if got is None:
                self.done = True
                break
            found += got
            spent += sum(one.piece.stop - one.piece.start for one in got) or PIECE
        return found

    @property
    def coverage(self) -> Coverage:
        """Final once `done`; until then not complete."""
        if not self.done:
            return Coverage(False, f"the replay of {display(self.source.path)} has not ended")
        if self._faults:
            return Coverage(False, self._faults[0])
        oldest, name = self._first, self.source.path
        if self._predecessors:
            oldest, name = self._predecessors[0].first, self._predecessors[0].sibling.path
        if oldest is None:
            return Coverage(False, f"{display(name)} holds no line with a stamp, and no older file is beside it")
        when = datetime.fromtimestamp(oldest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if oldest > self._since:
            return Coverage(
                False, f"{display(name)} begins at {when}, within the window, and no older file is beside it"
            )
        return Coverage(True, f"read back to {display(name)}, which begins at {when}")

    def close(self) -> None:
        """Give up what is still to be read; the source is not touched."""
        self._run = iter(())
        if self._current is not None:
            self._current.close()
            self._current = None
        for file in self._predecessors:
            file.log.close()

    # -- planning ---------------------------------------------------------------------------------------------------

    def _plan(self, now: float) -> None:
        live, path = self.source.current, self.source.path
        head = b""
        if isinstance(live, FollowedFile):
            # A descriptor of its own: the follower may close its one before the replay is through.
            self._current = FollowedFile(os.dup(live.fd), path, self.source.counters)
            self._end = live.offset
            self._reference = int(os.fstat(live.fd).st_mtime)
            text = os.pread(live.fd, min(BLOCK, self._end), 0)
            self._first = first_stamp(text, self._stamp(self._reference))
            head = text.lstrip(b"\0")
            if self._first is not None and self._first <= self._target:
                return
        elif live is not None:
            self._faults.append(f"{display(path)} is a pipe: what was written to it before is gone")
            return
        elif self.source.trouble is not None:
            self._faults.append(self.source.trouble.text)
        found = lineage(path, live.identity if live else None, head, self._target, self._stamp_of)
        self._predecessors = found.files
        self._judge(found.faults, found.numbers)
        if found.files and (live is None or now - found.files[-1].reference < GRACE):
            self._adopt(found.files[-1])

    def _judge(self, faults: list[tuple[float, str]], numbers: set[int]) -> None:
        """What breaks the chain between the current file and the one that reaches back to the window's start."""
        if self._first is not None and self._first <= self._since:
            return
        self._faults += [reason for changed, reason in faults if changed >= self._since]
        reach = [file for file in self._predecessors if file.first > self._since]
        reach += [file for file in self._predecessors if file.first <= self._since][-1:]
        needed = [file.sibling.number for file in reach if file.sibling.number is not None]
        lowest = 0 if 0 in numbers else 1
        for number in range(lowest, max(needed, default=lowest)):
            if number not in numbers:
                self._faults.append(f"{display(self.source.path)}.{number} is missing between files that are there")

    def _adopt(self, newest: Predecessor) -> None:
        """A file that was rotated just now may still be written to: the source follows it too, from where we stop."""
        if not newest.log.seekable:
            return
        file = FollowedFile(os.dup(newest.log.fileno()), newest.sibling.path, self.source.counters)
        try:
            offset, discarding = line_start(file.fd, os.fstat(file.fd).st_size)
            file.start_at_offset(offset, discarding=discarding)
        except (OSError, TruncatedError):
            file.close()
            return
        self._adopted = (newest, offset)
        self.source.adopt(file)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _lines(self) -> Iterator[list[Replayed]]:
        for file in self._predecessors:
            name = file.sibling.path
            try:
                if file.log.seekable:
                    followed = FollowedFile(os.dup(file.log.fileno()), name, self.source.counters)
                    adopted, end = self._adopted
                    if adopted is not file:
                        end = os.fstat(followed.fd).st_size
                    yield from self._plain(followed, end, file.reference)
                    self.source.counters["partial_lost"] += adopted is not file and followed.partial > 0
                else:
                    yield from self._compressed(file)
            except SourceError as error:
                self._faults.append(str(error))
            except OSError as error:
                self._faults.append(f"{display(name)}: {error.strerror}")
            finally:
                file.log.close()
        if self._current is not None:
            current, self._current = self._current, None
            try:
                yield from self._plain(current, self._end, self._reference)
            except OSError as error:
                self._faults.append(f"{display(self.source.path)}: {error.strerror}")

    def _plain(self, file: FollowedFile, end: int, reference: int) -> Iterator[list[Replayed]]:
        """The window's lines of a plain file before byte `end`. Closes the file. Raises OSError."""
        try:
            file.start_at_offset(find_start(file.fd, end, self._target, self._stamp(reference)))
            while file.offset < end:
                pieces = file.read(end)
                yield [Replayed(piece, reference, file.name) for piece in pieces]
                if file.at_end:
                    break
        except TruncatedError:
            self._faults.append(f"{display(file.name)} was truncated while it was replayed")
        finally:
            file.close()

    def _compressed(self, file: Predecessor) -> Iterator[list[Replayed]]:
        """The window's lines of a compressed file. Raises SourceError."""
        stamp = self._stamp(file.reference)
        data, offset, discarding, begun = file.text, 0, False, False
        while True:
            framed = frame(data, 0, offset, discarding)
            offset += framed.consumed
            discarding = framed.discarding
            begun = begun or not ends_before(data[: framed.consumed], self._target, stamp)
            yield [Replayed(piece, file.reference, file.sibling.path) for piece in framed.pieces] if begun else []
            rest = data[framed.consumed :]
            fresh = file.log.read(PIECE)
            if not fresh:
                self.source.counters["partial_lost"] += bool(rest)
                return
            data = rest + fresh

    def _stamp(self, reference: int) -> Callable[[bytes], int | None]:
        return lambda line: self._stamp_of(line, reference)


def replay(
    path: str | bytes | os.PathLike[str], since: float, stamp_of: StampOf, *, now: float | None = None
) -> Replay:
    """A new source for `path` with its replay; the source is `Replay.source`. For options of the source make both."""
    return Replay(FileSource(path, start="replay"), since, stamp_of, now=now)
