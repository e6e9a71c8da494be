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

from pbs_fast.sources.follow_beside import OPEN_FLAGS, Seen, begun_since, copy_of, moved, open_beside, rewritten
from pbs_fast.sources.follow_file import CHUNK, FollowedFile, TruncatedError, line_start
from pbs_fast.sources.follow_stream import FollowedStream
from pbs_fast.sources.identity import Identity, Position, display
from pbs_fast.sources.notices import Kind, Notice
from pbs_fast.sources.pieces import Piece
from pbs_fast.sources.presence import Presence
from pbs_fast.sources.wakeup import Backoff, Hints, Pause

Start = Literal["replay", "begin", "end"] | Position
Followed = FollowedFile | FollowedStream

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
        """`rotated`, `truncated`, `copied_bytes` (read from a copy after a truncation), `lost` (truncations without
        such a copy), `partial_lost` (unfinished lines), `nul_bytes`, `read_errors`, `overtaken` (files that were begun
        and rotated away while nobody looked).
        """
        self.behind = False
        """The last poll left something that can be read at once."""
        self._start = start
        self._say_to = on_notice or self.notices.append
        self._hints = hints or Hints()
        self._own_hints = hints is None
        self._grace, self._chunk, self._clock = grace, chunk, clock
        self._backoff = Backoff()
        self._current: Followed | None = None
        self._retiring: list[Followed] = []
        self._past: deque[Position] = deque(maxlen=32)
        self._seen = Seen({})
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
        for old in list(self._retiring):
            budget -= self._drain(old, pieces, budget, None)
            if not old.at_end:
                self.behind = True
                return self._polled(pieces)
            if self._finished(old):
                self._retire(old)
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
        streams = [file for file in (*self._retiring, self._current) if isinstance(file, FollowedFile)]
        if not streams:
            return None
        unread = [file for file in streams if not file.at_end and file is not self._current]
        if unread:
            return unread[0].position
        last = streams[-1]
        # A new file of which nothing was read: the old one's writer may not have moved to it yet.
        untouched = last.offset == 0 and not last.rewound
        return streams[-2].position if untouched and len(streams) > 1 else last.position

    def close(self) -> None:
        for file in (*self._retiring, *([self._current] if self._current else ())):
            file.close()
        self._retiring, self._current = [], None
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
        self._enlist(file)

    # -- the path --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Does the path name the file we follow? If not, open what it names."""
        self._on_path = False
        try:
            status = os.stat(self.path)
            if self._current is None or Identity.of(status) != self._current.identity:
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
            if self._first and self._nothing_to_resume():
                self._first = False  # what comes now is new
        except (OSError, ValueError) as error:
            self._presence.unreadable(error)

    def _nothing_to_resume(self) -> bool:
        """The path names nothing; but a checkpoint's file may be among the rotated ones, now or later."""
        if not isinstance(self._start, Position):
            return True
        name = moved(self.path, self._start)
        if name is not None:
            self._resume_in(name, self._start)
        return name is not None

    def _switch(self, fd: int) -> None:
        """The path names another file than before. Raises OSError, and then nothing has changed."""
        try:
            followed = self._opened(fd)
            seen = Seen.now(self.path)
        except BaseException:
            os.close(fd)
            raise
        back = next((file for file in self._retiring if file.identity == followed.identity), None)
        if back is not None:  # renamed away and back again
            followed.close()
            followed = back
            self._retiring.remove(back)
        old, self._current = self._current, followed
        if followed.watch is None:
            followed.watch = self._hints.watch_file(followed.fd)
        if old is not None:
            self.counters["rotated"] += 1
            self._say("rotated", f"{display(self.path)} was rotated: reading the old file to its end, then the new one")
            self._enlist(old)
            if isinstance(old, FollowedFile):
                self._overtaken(old.opened_mtime, self._seen)
        self._first = False
        self._seen = seen

    def _opened(self, fd: int) -> Followed:
        """The file behind a new descriptor, set to where it is to be begun."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return FollowedStream(fd, self.path, self.counters)
        file = FollowedFile(fd, self.path, self.counters, chunk=self._chunk)
        if not self._first:
            for past in self._past:
                if past.identity == file.identity and past.head and past.fits(fd):
                    file.start_at(past)
        elif isinstance(self._start, Position):
            self._resume(file, self._start)
        elif self._start != "begin":
            offset, discarding = line_start(fd, os.fstat(fd).st_size)
            try:
                file.start_at_offset(offset, discarding=discarding)
            except TruncatedError:  # just now: all that it holds is new
                file.rewind()
        return file

    def _resume(self, file: FollowedFile, start: Position) -> None:
        if start.identity == file.identity and start.fits(file.fd):
            file.start_at(start)
        elif (name := moved(self.path, start)) is not None:
            self._resume_in(name, start, file)
        else:
            self.counters["lost"] += 1
            self._say(
                "lost", f"{display(self.path)}: the place where the last run stopped is gone; reading from its start"
            )
            # Truncated and then rotated: all that it holds was written after our time.
            if (name := rewritten(self.path, start.identity)) is not None:
                self._resume_in(name, Position(start.identity, 0, b"", b""), file)

    def _resume_in(self, name: str, start: Position, current: FollowedFile | None = None) -> None:
        old = open_beside(name, self.counters, self._chunk)
        if old is None:
            return
        old.start_at(start)
        old.static = old.identity != start.identity
        self._enlist(old)
        self._overtaken(os.fstat(old.fd).st_mtime_ns, Seen({}), current)

    # -- rotated and truncated files ------------------------------------------------------------------------------

    def _enlist(self, file: Followed, index: int | None = None) -> None:
        file.active_at = self._clock()
        file.at_end = False
        self._retiring.insert(len(self._retiring) if index is None else index, file)

    def _overtaken(self, since_ns: int, seen: Seen, *more: FollowedFile | None, heads: tuple[bytes, ...] = ()) -> None:
        """Enlist the files that were begun and rotated away again before we looked."""
        files = [file for file in (*self._retiring, self._current, *more) if file is not None]
        known = {file.identity for file in files}
        read = [*heads, *(file.head for file in files if isinstance(file, FollowedFile))]
        for name in begun_since(self.path, seen, known, read, since_ns):
            if (between := open_beside(name, self.counters, self._chunk)) is not None:
                self.counters["overtaken"] += 1
                self._enlist(between)

    def _truncated(self, file: FollowedFile) -> None:
        self.counters["truncated"] += 1
        before, since = file.position, file.opened_mtime
        text = f"{display(file.name)} was truncated after byte {before.offset} was read; reading it from its start"
        name = copy_of(self.path, before)
        copy = open_beside(name, self.counters, self._chunk) if name is not None else None
        self.counters["partial_lost"] += file.partial > 0 and copy is None
        file.rewind()
        self._past.append(before)
        if copy is None:
            self.counters["lost"] += 1
            self._say("truncated", f"{text}; lines that were written but not yet read are lost")
        else:
            copy.start_at(before)
            copy.static = True
            self.counters["copied_bytes"] += max(0, os.fstat(copy.fd).st_size - copy.offset)
            self._say("truncated", f"{text}; the rest of the old lines is read from {display(copy.name)}")
            self._seen.add(copy.identity, copy.head)
            self._enlist(copy, self._retiring.index(file) if file in self._retiring else None)
        if file is self._current and self._on_path:  # else the next switch looks for them
            self._overtaken(since, self._seen, heads=(before.head,) if before.head else ())
            self._seen = Seen.now(self.path)
        self.behind = True

    def _finished(self, old: Followed) -> bool:
        if isinstance(old, FollowedStream):
            return not old.selectable
        if old.static:
            return True
        # While the new file is empty, the writer has not moved to it.
        current = self._current
        moved_on = current is not None and (current.offset > 0 or isinstance(current, FollowedStream))
        return moved_on and self._clock() - old.active_at >= self._grace

    def _retire(self, old: Followed) -> None:
        self._retiring.remove(old)
        self.counters["partial_lost"] += old.partial > 0
        self._hints.forget(old.watch)
        if isinstance(old, FollowedFile):
            self._past.append(old.position)
        old.close()

    # -- reading ----------------------------------------------------------------------------------------------------

    def _limit(self) -> int | None:
        """How far the new file may be read beside an old one.

        What stood in it before the old one was read to its end was written after all that its writer wrote to the old.
        """
        if self._retiring and isinstance(self._current, FollowedFile):
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
        except OSError as error:
            self._failed(file, error)
        if spent > 1:
            file.active_at = self._clock()
        return spent

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
            self._backoff.something()
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
