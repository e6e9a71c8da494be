"""The files a log was before: read to their end and kept open through the grace time, oldest first.

How files get here: the path names another one now; a file that was begun and rotated away between two looks is found
beside the log; a truncation left a copy; a checkpoint names a file that was rotated since. Each file is listed once, so
no line is read twice. Imports `follow_beside`, `follow_file`, `follow_stream`, `identity`.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable

from pbs_fast.sources.follow_beside import Seen, begun_since, copy_of, moved, open_beside, rewritten
from pbs_fast.sources.follow_file import FollowedFile
from pbs_fast.sources.follow_stream import FollowedStream
from pbs_fast.sources.identity import Identity, Position

Followed = FollowedFile | FollowedStream

#: Positions kept of files that were closed, should one of them come back under the log's name.
PAST = 32


class OldFiles:
    """The old files of one path. `counters` are its source's."""

    def __init__(self, path: str, counters: Counter[str], clock: Callable[[], float], grace: float, chunk: int) -> None:
        self.files: list[Followed] = []
        """In the order in which they are to be read."""
        self._path, self._counters, self._clock, self._grace, self._chunk = path, counters, clock, grace, chunk
        self._past: deque[Position] = deque(maxlen=PAST)
        self._seen = Seen({})

    def enlist(self, file: Followed, before: Followed | None = None) -> None:
        """Add a file, as the newest or before another one."""
        file.active_at = self._clock()
        file.at_end = False
        self.files.insert(self.files.index(before) if before in self.files else len(self.files), file)

    def taken_back(self, identity: Identity) -> Followed | None:
        """Take out the file with this identity: it was renamed away and back again."""
        back = next((file for file in self.files if file.identity == identity), None)
        if back is not None:
            self.files.remove(back)
        return back

    def look_around(self) -> None:
        """Remember which rotated files are there now: they hold nothing that is still to come."""
        self._seen = Seen.now(self._path)

    def rotated(self, old: Followed, current: Followed) -> None:
        """The path names `current` instead of `old`."""
        self.enlist(old)
        if isinstance(old, FollowedFile):
            self._overtaken(old.opened_mtime, self._seen, current)

    def truncated(self, file: FollowedFile, *, on_path: bool) -> FollowedFile | None:
        """Rewind `file`, which no longer holds what was read; the copy that the rest is read from, if there is one.

        `on_path`: it is the current file and the path names it; else the next rotation looks for what was overtaken.
        """
        before, since, partial = file.position, file.opened_mtime, file.partial
        name = copy_of(self._path, before)
        copy = open_beside(name, self._counters, self._chunk) if name is not None else None
        file.rewind()
        self._past.append(before)
        if copy is None:
            self._counters["partial_lost"] += partial > 0
        else:
            copy.start_at(before)
            copy.static = True
            self._counters["copied_bytes"] += max(0, os.fstat(copy.fd).st_size - copy.offset)
            self._seen.add(copy.identity, copy.head)
            self.enlist(copy, before=file)
        if on_path:
            self._overtaken(since, self._seen, file, heads=[before.head] if before.head else [])
            self.look_around()
        return copy

    def resume(self, start: Position, current: FollowedFile | None) -> bool:
        """Enlist the rotated file that `start` was taken in, and those begun after it; is it found?"""
        name, found = moved(self._path, start), True
        if name is None:
            found = False
            # Truncated and then rotated: all that it holds was written after our time.
            name, start = rewritten(self._path, start.identity), Position(start.identity, 0, b"", b"")
        old = open_beside(name, self._counters, self._chunk) if name is not None else None
        if old is not None:
            old.start_at(start)
            old.static = old.identity != start.identity
            self.enlist(old)
            self._overtaken(os.fstat(old.fd).st_mtime_ns, Seen({}), current)
        return found and old is not None

    def return_to(self, file: FollowedFile) -> None:
        """Go on in a newly opened file where it was left, if it was closed before. Raises OSError."""
        for past in self._past:
            if past.identity == file.identity and past.head and past.fits(file.fd):
                file.start_at(past)

    def finished(self, old: Followed, current: Followed | None) -> bool:
        """Will an old file that is at its end give nothing more?"""
        if isinstance(old, FollowedStream):
            return not old.selectable
        if old.static:
            return True
        # While the new file is empty, the writer has not moved to it.
        moved_on = current is not None and (current.offset > 0 or isinstance(current, FollowedStream))
        return moved_on and self._clock() - old.active_at >= self._grace

    def retire(self, old: Followed) -> None:
        """Close a file that is finished; its unfinished line is lost."""
        self.files.remove(old)
        self._counters["partial_lost"] += old.partial > 0
        if isinstance(old, FollowedFile):
            self._past.append(old.position)
        old.close()

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.files = []

    def _overtaken(self, since_ns: int, seen: Seen, current: Followed | None, heads: list[bytes] | None = None) -> None:
        """Enlist the files that were begun and rotated away again before we looked."""
        files = [file for file in (*self.files, current) if file is not None]
        known = {file.identity for file in files}
        read = [*(heads or ()), *(file.head for file in files if isinstance(file, FollowedFile))]
        for name in begun_since(self._path, seen, known, read, since_ns):
            if (between := open_beside(name, self._counters, self._chunk)) is not None:
                self._counters["overtaken"] += 1
                self.enlist(between)
