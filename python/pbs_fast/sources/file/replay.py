"""A file as a `Source`, and its replay: the lines of a log and its rotated files since a moment, up to the live ones.

Following starts first, at the start of a line in an open file; the replay then reads the same file up to exactly that
place. So there is no gap and no overlap, and live lines do not wait. The *coverage* says whether all lines of the
window were read. Only then are unexplained rows of the table removed, so when in doubt it is denied, with a reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.generations import OlderFile, older_files
from pbs_fast.sources.file.plain import PlainFile, TruncatedError, line_start
from pbs_fast.sources.file.position import display
from pbs_fast.sources.file.search import BLOCK, SLACK, ends_before, find_start, first_timestamp
from pbs_fast.sources.file.source import GRACE, FileSource
from pbs_fast.sources.lines import PIECE, cut
from pbs_fast.sources.protocol import BUDGET, Before, Coverage, Replayed, SourceOptions, TimestampOf, not_covering
from pbs_fast.util.text import utc

#: Bytes returned by `before`, enough to recognise a record that its writer cut there: more than the longest line.
_BEFORE = 65_536

_NO_OLDER = "there is no older rotated file"


class Replay:
    """Reads the past of `source`, in bounded steps.

    `source` must be new and made with `start="replay"`; it is opened here. `since` is the window's start and `now` its
    end, in seconds since the epoch. `timestamp_of(line, reference)` reads a line's timestamp, as `Matcher.timestamp`
    does. Lines from up to SLACK seconds before `since` come too. The source may be polled at any time in between.
    """

    def __init__(
        self, source: FileSource, since: float, timestamp_of: TimestampOf, *, now: float | None = None
    ) -> None:
        self.source = source
        self.done = False
        self._since, self._target = since, int(since) - SLACK
        self._stamp_of = timestamp_of
        self._faults: list[str] = []
        self._current: PlainFile | None = None
        self._end = 0
        self._reference = 0
        self._first: int | None = None
        self._older: list[OlderFile] = []
        self._adopted: tuple[OlderFile | None, int] = (None, 0)
        """The rotated file that the source follows too, and from which byte on."""
        self._now = time.time() if now is None else now
        source.open()
        self._plan()
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
        if self._older:
            oldest, name = self._older[0].first, self._older[0].sibling.path
        if oldest is None:
            return Coverage(False, f"{display(name)} holds no line with a timestamp, and {_NO_OLDER}")
        if oldest > self._since:
            reason = not_covering(display(name), oldest, self._since, self._now)
            return Coverage(False, f"{reason}, and {_NO_OLDER}")
        when = utc(oldest)
        return Coverage(True, f"read back to {display(name)}, which starts at {when}")

    def close(self) -> None:
        """Stop reading; the source is not touched."""
        self._run = iter(())
        if self._current is not None:
            self._current.close()
            self._current = None
        for file in self._older:
            file.log.close()

    # -- planning ---------------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        live, path = self.source.current, self.source.path
        head = b""
        if live is not None and live.seekable:
            # A second descriptor: the source may close the first one before the replay ends.
            self._current = PlainFile(os.dup(live.fd), path, self.source.counters)
            self._end = live.offset
            self._reference = int(os.fstat(live.fd).st_mtime)
            text = os.pread(live.fd, min(BLOCK, self._end), 0)
            self._first = first_timestamp(text, self._timestamp(self._reference))
            head = text.lstrip(b"\0")
            if self._first is not None and self._first <= self._target:
                return
        elif live is not None:
            self._faults.append(f"{display(path)} is a pipe: earlier lines cannot be read again")
            return
        elif self.source.trouble is not None:
            self._faults.append(self.source.trouble.text)
        found = older_files(path, live.identity if live else None, head, self._target, self._stamp_of)
        self._older = found.files
        self._judge(found.faults, found.numbers)
        if found.files and (live is None or self._now - found.files[-1].reference < GRACE):
            self._adopt(found.files[-1])

    def _judge(self, faults: list[tuple[float, str]], numbers: set[int]) -> None:
        """Note what breaks the chain from the current file back to the one that covers the window's start."""
        if self._first is not None and self._first <= self._since:
            return
        self._faults += [reason for changed, reason in faults if changed >= self._since]
        reach = [file for file in self._older if file.first > self._since]
        reach += [file for file in self._older if file.first <= self._since][-1:]
        needed = [file.sibling.number for file in reach if file.sibling.number is not None]
        lowest = 0 if 0 in numbers else 1
        for number in range(lowest, max(needed, default=lowest)):
            if number not in numbers:
                self._faults.append(f"{display(self.source.path)}.{number} is missing between existing rotated files")

    def _adopt(self, newest: OlderFile) -> None:
        """Let the source follow a file that was rotated just now, from where the replay ends: it may still grow."""
        if not newest.log.seekable:
            return
        file = PlainFile(os.dup(newest.log.fileno()), newest.sibling.path, self.source.counters)
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
        for file in self._older:
            name = file.sibling.path
            try:
                file.reopen(self.source.path)
                if file.log.seekable:
                    followed = PlainFile(os.dup(file.log.fileno()), name, self.source.counters)
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

    def _plain(self, file: PlainFile, end: int, reference: int) -> Iterator[list[Replayed]]:
        """The window's lines of a plain file before byte `end`. Closes the file. Raises OSError."""
        try:
            file.start_at_offset(find_start(file.fd, end, self._target, self._timestamp(reference)))
            while file.offset < end:
                pieces = file.read(end)
                yield [Replayed(piece, reference, file.name) for piece in pieces]
                if file.at_end:
                    break
        except TruncatedError:
            self._faults.append(f"{display(file.name)} was truncated while it was replayed")
        finally:
            file.close()

    def _compressed(self, file: OlderFile) -> Iterator[list[Replayed]]:
        """The window's lines of a compressed file. Raises SourceError."""
        timestamp = self._timestamp(file.reference)
        data, offset, discarding, begun = file.text, 0, False, False
        while True:
            found = cut(data, 0, offset, discarding)
            offset += found.consumed
            discarding = found.discarding
            begun = begun or not ends_before(data[: found.consumed], self._target, timestamp)
            yield [Replayed(piece, file.reference, file.sibling.path) for piece in found.pieces] if begun else []
            rest = data[found.consumed :]
            fresh = file.log.read(PIECE)
            if not fresh:
                self.source.counters["partial_lost"] += bool(rest)
                return
            data = rest + fresh

    def _timestamp(self, reference: int) -> Callable[[bytes], int | None]:
        return lambda line: self._stamp_of(line, reference)


class FileLog(FileSource):
    """A followed file as a `Source`."""

    ended = False
    pending = False
    uncovered: str | None = None

    def __init__(self, path: str, source_options: SourceOptions) -> None:
        super().__init__(
            path, start=source_options.start, hints=source_options.hints, on_notice=source_options.on_notice
        )
        self.name = self.path

    @property
    def modified(self) -> int | None:
        with suppress(OSError):  # a network file system that went away must not end the daemon
            return None if self.current is None else int(os.fstat(self.current.fd).st_mtime)
        return None

    def before(self) -> Before | None:
        if self.current is None or self.current.offset == 0:
            return None
        begin = max(0, self.current.offset - _BEFORE)
        with suppress(OSError):
            data = os.pread(self.current.fd, self.current.offset - begin, begin)
            start = data.find(b"\n") + 1 if begin else 0
            return Before(data, start, int(os.fstat(self.current.fd).st_mtime))
        return None

    def replay(self, since: float, timestamp_of: TimestampOf, now: float) -> Replay:
        return Replay(self, since, timestamp_of, now=now)
