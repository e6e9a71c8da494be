"""The file source: follows one path through rotation, truncation, absence and return.

Hands out whole lines, each once, in the order they were written, as `Piece`s. Invariants:

- a descriptor is kept until its file was read to the end and a grace time has passed, so the end of a rotated file is
  never lost; an older file is read to its end before a byte of the newer is handed out. What a writer that was not
  told of the rotation adds to the old file afterwards is handed out when it comes;
- what cannot be had is counted and said, never guessed;
- no look at the path ends the source: it waits, for as long as it takes, and says so once.

Knows no formats and no addresses; imports nothing of the package outside `sources` and `errors`.
"""
# ruff: noqa: PTH116, PTH120 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import errno
import os
import stat
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Literal

from pbs_fast.sources.file.fifo import FollowedStream
from pbs_fast.sources.file.missed import OPEN_FLAGS
from pbs_fast.sources.file.plain import CHUNK, FollowedFile, TruncatedError, line_start
from pbs_fast.sources.file.position import Identity, Position, display
from pbs_fast.sources.file.rotated import Followed, OldFiles
from pbs_fast.sources.file.status import Presence
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.notices import Kind, Notice
from pbs_fast.sources.wakeup import Backoff, Hints, Pause

Start = Literal["replay", "begin", "end"] | Position

#: Bytes one poll hands out at most, about: 1 MiB is 8,000 lines, a millisecond in the native matcher, ten in the other.
BUDGET = 1_048_576

#: Seconds a rotated file is still read after its last line: a writer keeps to it until it is told, which logrotate does
#: within the same run, after it has rotated the other logs of the group.
GRACE = 60.0


class FileSource:
    """Follows `path` (text or bytes; a symbolic link is followed anew at each look). Not for several threads at once.

    `start` says where the file that is there at the first look is begun: `begin`, `end` (behind its last whole line),
    `replay` (as `end`; `sources.replay` reads what is before) or the Position of an earlier run, which is looked for
    among the rotated files too. A file that comes later is read from its first byte.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        *,
        start: Start = "begin",
        on_notice: Callable[[Notice], object] | None = None,
        hints: Hints | None = None,
        grace: float = GRACE,
        chunk: int = CHUNK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = os.fsdecode(path)
        self.notices: deque[Notice] = deque(maxlen=1000)
        """What was said, where `on_notice` is not given."""
        self.counters: Counter[str] = Counter()
        """`rotated`, `truncated`, `copied_bytes` (read from a copy after a truncation), `overtaken` (files that were
        begun and rotated away while nobody looked), `unpacked_bytes` (text read from files that were compressed before
        they were read), `lost` (truncations without a copy, files that are gone or damaged), `partial_lost` (unfinished
        lines), `nul_bytes`, `read_errors`.
        """
        self.behind = False
        """The last poll left something that can be read at once."""
        self._start = start
        self._say_to = on_notice or self.notices.append
        self._hints = hints or Hints()
        self._own_hints = hints is None
        self._chunk, self._clock = chunk, clock
        self._backoff = Backoff()
        self._current: Followed | None = None
        self._old = OldFiles(self.path, self.counters, clock, grace, chunk, self._say)
        self._first = True
        self._on_path = False
        """The path named the current file at the last look."""
        self._presence = Presence(self.path, self._say_to)
        self._pause = Pause()
        self._failing: set[Identity] = set()
        self._watched: set[str] = set()

    # -- what the daemon calls ------------------------------------------------------------------------------------

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """What can be read now, about `budget` bytes at most; `behind` says whether there is more. Raises nothing."""
        if self._own_hints:
            self._hints.drain()
        self.behind = False
        self._look()
        pieces: list[Piece] = []
        limit = self._limit()
        for old in list(self._old.files):
            budget -= self._drain(old, pieces, budget, None)
            if not old.at_end:
                self.behind = True
                return self._polled(pieces)
            if self._old.finished(old, self._current):
                self._hints.forget(old.watch)
                self._old.retire(old)
        if (current := self._current) is not None:
            self._drain(current, pieces, budget, limit)
            self.behind = self.behind or not current.at_end
        return self._polled(pieces)

    def filenos(self) -> list[int]:
        """Descriptors that become readable when there may be something; the timer (`timeout`) holds in any case."""
        fds = [self._current.fd] if isinstance(self._current, FollowedStream) and self._current.selectable else []
        hint = self._hints.fileno() if self._own_hints else None
        return fds if hint is None else [*fds, hint]

    def timeout(self) -> float:
        """Seconds after which the next poll is due although no descriptor is ready."""
        return 0.0 if self.behind else self._backoff.pause

    def wait(self, timeout: float | None = None, others: Iterable[int] = ()) -> list[int]:
        """Sleep until a poll is worth while, or one of `others` is readable, or for `timeout` seconds.

        Returns which of `others` are readable.
        """
        pause = self.timeout() if timeout is None else min(timeout, self.timeout())
        return self._pause.wait(self.filenos(), pause, others)

    @property
    def trouble(self) -> Notice | None:
        """Why there is nothing to follow at the path, as of the last look; None while there is."""
        return self._presence.trouble

    def position(self) -> Position | None:
        """How far the lines were handed out, for a checkpoint; None when there is nothing to come back to."""
        return self._old.position(self._current)

    def close(self) -> None:
        self._old.close()
        if self._current is not None:
            self._current.close()
            self._current = None
        if self._own_hints:
            self._hints.close()

    # -- what the replay calls ------------------------------------------------------------------------------------

    @property
    def current(self) -> Followed | None:
        """The file that is followed now."""
        return self._current

    def open(self) -> None:
        """Make the first look now, so that following begins here and `trouble` is known. Raises nothing."""
        self._look()

    def adopt(self, file: FollowedFile) -> None:
        """Go on reading a rotated file that some writer may still hold, before the current one."""
        self._old.enlist(file)

    # -- the path --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Does the path name the file we follow? If not, open what it names."""
        self._on_path = False
        try:
            status = os.stat(self.path)
            if self._current is None or (status.st_dev, status.st_ino) != self._current.identity:
                self._watch_directories()
                if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)):
                    self._presence.not_a_log()
                    return
                self._switch(os.open(self.path, OPEN_FLAGS))
            self._on_path = True
            self._presence.here()
        except (FileNotFoundError, NotADirectoryError):
            self._watch_directories()
            self._presence.missing(self._clock(), following=self._current is not None)
            # What comes now is new; but a checkpoint's files may be among the rotated ones.
            if self._first:
                self._first = False
                if isinstance(self._start, Position):
                    self._old.resume(self._start, None)
        except (OSError, ValueError) as error:
            self._presence.unreadable(error)

    def _switch(self, fd: int) -> None:
        """The path names another file than before. Raises OSError, and then nothing has changed."""
        try:
            followed = self._opened(fd)
        except BaseException:
            os.close(fd)
            raise
        if (back := self._old.taken_back(followed.identity)) is not None:
            followed.close()
            followed = back
        before, self._current = self._current, followed
        if followed.watch is None:
            followed.watch = self._hints.watch_file(followed.fd)
        if before is not None:
            self.counters["rotated"] += 1
            self._say("rotated", f"{display(self.path)} was rotated: reading the old file to its end, then the new one")
            self._old.rotated(before, followed)
        else:
            self._old.look_around()
        self._first = False

    def _opened(self, fd: int) -> Followed:
        """The file behind a new descriptor, set to where it is to be begun."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return FollowedStream(fd, self.path, self.counters)
        file = FollowedFile(fd, self.path, self.counters, chunk=self._chunk)
        if not self._first:
            self._old.return_to(file)
        elif isinstance(self._start, Position):
            self._old.resume(self._start, file)
        elif self._start != "begin":
            offset, discarding = line_start(fd, os.fstat(fd).st_size)
            try:
                file.start_at_offset(offset, discarding=discarding)
            except TruncatedError:  # just now: all that it holds is new
                file.rewind()
        return file

    # -- reading ----------------------------------------------------------------------------------------------------

    def _limit(self) -> int | None:
        """How far the new file may be read beside an old one.

        What stood in it before the old one was read to its end was written after all that its writer wrote to the old.
        """
        if self._old.files and isinstance(self._current, FollowedFile):
            return os.fstat(self._current.fd).st_size
        return None

    def _drain(self, file: Followed, pieces: list[Piece], budget: int, limit: int | None) -> int:
        """Read until the end or the budget is met; the bytes handed out."""
        spent, file.at_end = 0, False
        try:
            while spent < budget and not file.at_end:
                before = file.offset
                pieces += file.read(limit)
                spent += file.offset - before or 1
            self._failing.discard(file.identity)
        except TruncatedError:
            if isinstance(file, FollowedFile):
                self._truncated(file)
                self.behind = True
        except OSError as error:
            self._failed(file, error)
        if spent > 1:
            file.active_at = self._clock()
        return spent

    def _truncated(self, file: FollowedFile) -> None:
        self.counters["truncated"] += 1
        text = f"{display(file.name)} was truncated after byte {file.offset} was read; reading it from its start"
        copy = self._old.truncated(file, on_path=self._on_path and file is self._current)
        if copy is None:
            self.counters["lost"] += 1
            self._say("truncated", f"{text}; lines that were written but not yet read are lost")
        else:
            self._say("truncated", f"{text}; the rest of the old lines is read from {display(copy.name)}")

    def _failed(self, file: Followed, error: OSError) -> None:
        file.at_end = True  # try again at the next look, not at once
        self.counters["read_errors"] += 1
        if file.identity not in self._failing:
            self._failing.add(file.identity)
            self._say("read-error", f"reading {display(file.name)}: {error.strerror}; trying again")
        if error.errno == errno.ESTALE and file is self._current:
            self._current = None
            if isinstance(file, FollowedFile):
                self._start, self._first = file.position, True
            file.close()

    def _polled(self, pieces: list[Piece]) -> list[Piece]:
        self._pause.looked()
        if pieces or self.behind:
            self._backoff.something(hinted=self._current is not None and self._current.watch in self._hints.told)
        else:
            self._backoff.nothing(absent=self._current is None)
        return pieces

    def _watch_directories(self) -> None:
        for path in (self.path, os.path.realpath(self.path)):
            directory = os.path.dirname(path)
            if directory not in self._watched and self._hints.watch_directory(directory) is not None:
                self._watched.add(directory)

    def _say(self, kind: Kind, text: str) -> None:
        self._say_to(Notice(kind, self.path, text))
