"""The file source: follows one path through rotation, truncation, absence and return.

It hands out whole lines as `Piece`s, each once, in the order in which they were written:

- a rotated file is read to its end before any byte of the newer file, and stays open for a grace time, so lines that a
  writer still adds to it are handed out when they come;
- lines that cannot be read are counted and reported, never guessed;
- whatever the path names, the source goes on: it waits as long as needed, and reports that once.
"""
# ruff: noqa: PTH116, PTH120 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import errno
import os
import stat
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import Enum, auto

from pbs_fast.sources.file.fifo import Fifo
from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.file.listing import OPEN_FLAGS
from pbs_fast.sources.file.plain import CHUNK, PlainFile, TruncatedError, line_start
from pbs_fast.sources.file.position import Identity, Position, display, refusal
from pbs_fast.sources.file.rotated import RotatedFiles
from pbs_fast.sources.lines import Piece
from pbs_fast.sources.protocol import BUDGET, Kind, Notice, Start
from pbs_fast.sources.wakeup import Backoff, Hints

#: Seconds a rotated file is still read after its last line: its writer uses it until logrotate signals the writer, in
#: the same run, after rotating the other logs of the group.
GRACE = 60.0

#: Seconds for which a path may name nothing during a rotation before that is reported.
MISSING_AFTER = 5.0


class State(Enum):
    """What the source knows of its path."""

    NEW = auto()
    """Nothing was found yet: `start` says where to begin."""
    ON_PATH = auto()
    """The path named the current file at the last poll."""
    OFF_PATH = auto()
    """It did not; the current file, if any, was moved away."""


class PathStatus:
    """What the last polls found at one path."""

    def __init__(self, path: str, say: Callable[[Notice], object]) -> None:
        self.trouble: Notice | None = None
        """Why there is nothing to follow at the path; None while there is."""
        self._path = path
        self._say = say
        self._absent_since: float | None = None

    def missing(self, now: float, *, following: bool) -> None:
        """The path names nothing. `following`: the file that it named is still read, as during a rotation."""
        if self._absent_since is None:
            self._absent_since = now
        if not following or now - self._absent_since >= MISSING_AFTER:
            self._trouble("missing", f"{display(self._path)} does not exist; waiting for it")

    def unreadable(self, error: OSError | ValueError) -> None:
        reason = refusal(self._path, error) if isinstance(error, OSError) else f"{display(self._path)}: {error}"
        self._trouble("unreadable", f"{reason}; waiting for it")

    def not_a_log(self) -> None:
        self._trouble("not-a-log", f"{display(self._path)} is not a file, pipe or terminal; waiting for a log there")

    def here(self) -> None:
        if self.trouble is not None:
            self._say(Notice("found", self._path, f"{display(self._path)} is there; following it"))
        self.trouble = self._absent_since = None

    def _trouble(self, kind: Kind, text: str) -> None:
        if self.trouble is None or self.trouble.kind != kind:
            self.trouble = Notice(kind, self._path, text)
            self._say(self.trouble)


class FileSource:
    """Follows `path` (text or bytes; a symbolic link is resolved again at each poll). Not for several threads at once.

    `start` says where to begin in the first file: `begin`, `replay` (after its last whole line; a Replay may read the
    lines before) or the Position of an earlier run, which is searched for among the rotated files too. Later files are
    read from their first byte.
    """

    def __init__(
        self,
        path: str | bytes | os.PathLike[str],
        *,
        start: Start | Position = "begin",
        on_notice: Callable[[Notice], object] | None = None,
        hints: Hints | None = None,
        grace: float = GRACE,
        chunk: int = CHUNK,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = os.fsdecode(path)
        self.notices: deque[Notice] = deque(maxlen=1000)
        """What was reported, if `on_notice` is not given."""
        self.counters: Counter[str] = Counter()
        """`rotated`, `truncated`, `copied_bytes` (read from a copy after a truncation), `overtaken` (files that were
        created and rotated away between two polls), `unpacked_bytes` (text read from files that were compressed before
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
        self._old = RotatedFiles(self.path, self.counters, clock, grace, chunk, self._say, self._hints)
        self._state = State.NEW
        self._presence = PathStatus(self.path, self._say_to)
        self._failing: set[Identity] = set()
        self._watched: set[str] = set()

    def poll(self, budget: int = BUDGET) -> list[Piece]:
        """What can be read now, about `budget` bytes at most; `behind` says whether there is more. Raises nothing."""
        if self._own_hints:
            self._hints.drain()
        self.behind = False
        self._check_path()
        pieces: list[Piece] = []
        limit = self._limit()
        self._old.drop_surplus()
        for old in list(self._old.files):
            budget -= self._drain(old, pieces, budget, None)
            if not old.at_end:
                self.behind = True
                return self._polled(pieces)
            if self._old.finished(old, self._current):
                self._old.retire(old)
        if (current := self._current) is not None:
            self._drain(current, pieces, budget, limit)
            self.behind = self.behind or not current.at_end
        return self._polled(pieces)

    def filenos(self) -> list[int]:
        fds = [self._current.fd] if self._current is not None and self._current.selectable else []
        hint = self._hints.fileno() if self._own_hints else None
        return fds if hint is None else [*fds, hint]

    def timeout(self) -> float:
        return 0.0 if self.behind else self._backoff.pause

    @property
    def trouble(self) -> Notice | None:
        return self._presence.trouble

    @property
    def behind_bytes(self) -> int | None:
        if (current := self._current) is None or not current.seekable:
            return None
        try:
            unread = [os.fstat(file.fd).st_size - file.offset for file in (*self._old.files, current) if file.seekable]
        except OSError:
            return None
        return sum(max(0, each) for each in unread)

    def position(self) -> Position | None:
        return self._old.position(self._current)

    def close(self) -> None:
        self._old.close()
        if self._current is not None:
            self._current.close()
            self._current = None
        if self._own_hints:
            self._hints.close()

    @property
    def current(self) -> Followed | None:
        return self._current

    def open(self) -> None:
        """Open the log now, so that following begins here and `trouble` is known. Raises nothing."""
        self._check_path()

    def adopt(self, file: PlainFile) -> None:
        """Also follow a rotated file that a writer may still use, before the current one."""
        self._old.enlist(file)

    # -- the path --------------------------------------------------------------------------------------------------

    def _check_path(self) -> None:
        """Does the path name the file we follow? If not, open what it names."""
        try:
            status = os.stat(self.path)
            if self._current is None or (status.st_dev, status.st_ino) != self._current.identity:
                self._watch_directories()
                if not (stat.S_ISREG(status.st_mode) or stat.S_ISFIFO(status.st_mode) or stat.S_ISCHR(status.st_mode)):
                    self._off_path()
                    self._presence.not_a_log()
                    return
                self._switch(os.open(self.path, OPEN_FLAGS))
            self._state = State.ON_PATH
            self._presence.here()
        except (FileNotFoundError, NotADirectoryError):
            self._watch_directories()
            self._presence.missing(self._clock(), following=self._current is not None)
            # A file that comes from now on is new; but a checkpoint's files may be among the rotated ones.
            state, self._state = self._state, State.OFF_PATH
            if state is State.NEW and isinstance(self._start, Position):
                self._old.resume(self._start, None)
        except (OSError, ValueError) as error:
            self._off_path()
            self._presence.unreadable(error)

    def _off_path(self) -> None:
        if self._state is not State.NEW:
            self._state = State.OFF_PATH

    def _switch(self, fd: int) -> None:
        """The path names another file than before. If it raises OSError, nothing has changed."""
        try:
            followed = self._opened(fd)
        except BaseException:
            os.close(fd)
            raise
        if (back := self._old.reclaim(followed.identity)) is not None:
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
            self._old.note_existing()

    def _opened(self, fd: int) -> Followed:
        """The file of a new descriptor, set to where reading begins."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return Fifo(fd, self.path, self.counters)
        file = PlainFile(fd, self.path, self.counters, chunk=self._chunk)
        if self._state is not State.NEW:
            self._old.return_to(file)
        elif isinstance(self._start, Position):
            self._old.resume(self._start, file)
        elif self._start != "begin":
            offset, discarding = line_start(fd, os.fstat(fd).st_size)
            try:
                file.start_at_offset(offset, discarding=discarding)
            except TruncatedError:  # just now: all its contents are new
                file.rewind()
        return file

    # -- reading ----------------------------------------------------------------------------------------------------

    def _limit(self) -> int | None:
        """How far the new file may be read while an old one is open: up to its size before the old one was read.

        Its writer wrote that part after its last line to the old file.
        """
        if self._old.files and self._current is not None and self._current.seekable:
            return os.fstat(self._current.fd).st_size
        return None

    def _drain(self, file: Followed, pieces: list[Piece], budget: int, limit: int | None) -> int:
        """Read to the end or until the budget is used; the bytes handed out."""
        spent, file.at_end = 0, False
        try:
            while spent < budget and not file.at_end:
                before = file.offset
                pieces += file.read(limit)
                spent += file.offset - before or 1
            self._failing.discard(file.identity)
        except TruncatedError as error:
            self._truncated(error.file)
            self.behind = True
        except OSError as error:
            self._failed(file, error)
        if spent > 1:
            file.active_at = self._clock()
        return spent

    def _truncated(self, file: PlainFile) -> None:
        self.counters["truncated"] += 1
        text = f"{display(file.name)} was truncated after byte {file.offset} was read; reading it from its start"
        copy = self._old.truncated(file, on_path=self._state is State.ON_PATH and file is self._current)
        if copy is None:
            self.counters["lost"] += 1
            self._say("truncated", f"{text}; lines that were written but not yet read are lost")
        else:
            self._say("truncated", f"{text}; the rest of the old lines is read from {display(copy.name)}")

    def _failed(self, file: Followed, error: OSError) -> None:
        file.at_end = True  # try again at the next poll, not at once
        self.counters["read_errors"] += 1
        if file.identity not in self._failing:
            self._failing.add(file.identity)
            self._say("read-error", f"reading {display(file.name)}: {error.strerror}; trying again")
        if error.errno == errno.ESTALE and file is self._current:
            self._current = None
            if (position := file.position) is not None:
                self._start, self._state = position, State.NEW
            file.close()

    def _polled(self, pieces: list[Piece]) -> list[Piece]:
        if pieces or self.behind:
            self._backoff.something(hinted=self._current is not None and self._current.watch in self._hints.hinted)
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
