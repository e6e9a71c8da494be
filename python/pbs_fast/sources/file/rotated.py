"""The files a log was before: read to their end and kept open through the grace time, oldest first.

How files get here: the path names another one now; a file that was begun and rotated away between two looks is found
beside the log; a truncation left a copy; a checkpoint names a file that was rotated since. Each file is listed once, so
no line is read twice; what was compressed meanwhile is read from there. Imports `follow_archive`, `follow_beside`,
`follow_file`, `follow_stream`, `identity`, `notices`.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.archive import FollowedArchive, open_archive
from pbs_fast.sources.file.fifo import FollowedStream
from pbs_fast.sources.file.missed import (
    Beside,
    Seen,
    Since,
    alike,
    begun_since,
    copy_of,
    look,
    open_beside,
    packed_hole,
)
from pbs_fast.sources.file.plain import FollowedFile
from pbs_fast.sources.file.position import Identity, Position, display
from pbs_fast.sources.notices import Kind

Followed = FollowedFile | FollowedStream | FollowedArchive

#: Positions kept of files that were closed, should one of them come back under the log's name or be found at a restart.
PAST = 16


class OldFiles:
    """The old files of one path. `counters` are its source's."""

    def __init__(
        self,
        path: str,
        counters: Counter[str],
        clock: Callable[[], float],
        grace: float,
        chunk: int,
        say: Callable[[Kind, str], object],
    ) -> None:
        self.files: list[Followed] = []
        """In the order in which they are to be read."""
        self._path, self._counters, self._clock, self._grace, self._chunk = path, counters, clock, grace, chunk
        self._say = say
        self._past: deque[Position] = deque(maxlen=PAST)
        self._seen = Seen()
        self._archived: set[Identity] = set()
        """Files that are held open and that were removed once they were compressed, as far as that was seen."""

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
        self._seen = Seen(look(self._path))

    def rotated(self, old: Followed, current: Followed) -> None:
        """The path names `current` instead of `old`."""
        self.enlist(old)
        beside = look(self._path)
        if isinstance(old, FollowedFile):
            number = next((one.number for one in beside if one.identity == old.identity), None)
            self._overtaken(beside, Since(number, old.opened_mtime), self._seen, current)
        self._seen = Seen(beside)

    def truncated(self, file: FollowedFile, *, on_path: bool) -> Followed | None:
        """Rewind `file`, which no longer holds what was read; the copy that the rest is read from, if there is one.

        `on_path`: it is the current file and the path names it; else the next rotation looks for what was overtaken.
        """
        before, since, partial = file.position, Since(None, file.opened_mtime), file.partial
        if not file.text:  # what stands there now is no more what was read
            before = replace(before, hole=0, text=b"")
        beside = look(self._path)
        found = copy_of(beside, before, self._counters, self._chunk)
        file.rewind()
        self._past.append(before)
        if found is None:
            self._counters["partial_lost"] += partial > 0
        else:
            one, copy = found
            if isinstance(copy, FollowedFile):
                copy.static = True
                self._counters["copied_bytes"] += max(0, one.size - copy.offset)
            self._seen.add(one)
            self.enlist(copy, before=file)
            since = Since(one.number, since.mtime_ns)
        if on_path:
            self._overtaken(beside, since, self._seen, file, texts=[before.text])
            self._seen = Seen(beside)
        return None if found is None else found[1]

    def resume(self, start: Position, current: FollowedFile | None) -> None:
        """Go on where `start` was taken: in the files that were open then, and in those begun since.

        `current` is set to where it was left. What is gone is counted and said. Call it once. Raises OSError.
        """
        self._past.extend(start.closed)
        beside = look(self._path)
        since: Since | None = None
        places = (start, *start.others)
        for position in places:
            if current is not None and current.identity == position.identity and position.fits(current.fd):
                current.start_at(position)
                since = None
                continue
            found = copy_of(beside, position, self._counters, self._chunk, same=True)
            if found is None and position.head and not position.text:
                read = [one.text for one in (*places, *start.closed)]
                found = packed_hole(beside, position, read, self._counters, self._chunk)
            if found is not None:
                one, file = found
                if isinstance(file, FollowedFile):
                    file.static = file.identity != position.identity
                self.enlist(file)
                since = Since(one.number, one.mtime_ns)
                # Only the next younger one is what was written behind the copy: the number may be another file's now.
                younger = begun_since(beside, Seen(), {one.identity}, since)[:1]
            else:
                if position.head:
                    self._lost(
                        f"{display(self._path)}: the file that was read up to byte {position.offset} is gone, and what "
                        "was written to it behind that is lost"
                    )
                since = Since(None, position.mtime_ns)
                younger = beside
            self._rewritten(younger, position, places)
        if since is not None:
            self._overtaken(beside, since, Seen(), current)

    def _rewritten(self, beside: Sequence[Beside], left: Position, places: Sequence[Position]) -> None:
        """Enlist the file of `left` when it was truncated and then rotated: what it holds was written since.

        What was, or is a copy of, another one of `places` has only got its number, and comes in its own turn.
        """
        if [one.identity for one in places].count(left.identity) > 1:
            return
        for one in beside:
            if one.identity != left.identity or one.compressed or alike(one.text, [place.text for place in places]):
                continue
            if (file := open_beside(one.name, self._counters, self._chunk)) is not None:
                with suppress(OSError):
                    self.return_to(file)
                self.enlist(file)
            return

    def position(self, current: Followed | None) -> Position | None:
        """How far all files were read, for `resume`; None when there is none to come back to."""
        files = [file for file in (*self.files, current) if file is not None and not isinstance(file, FollowedStream)]
        if not files:
            return None
        # The oldest first: one at its end may still be written to, or have been since the last look.
        first, *others = [file.position for file in files]
        return replace(first, others=tuple(others), closed=tuple(self._past))

    def return_to(self, file: FollowedFile | FollowedArchive) -> None:
        """Go on in a newly opened file where it, or what it is a copy of, was left before. Raises OSError."""
        for past in sorted(self._past, key=lambda past: -past.offset):
            if not past.text or not past.offset:
                continue
            if file.holds(past) if isinstance(file, FollowedArchive) else past.fits(file.fd):
                file.start_at(past)
                return

    def finished(self, old: Followed, current: Followed | None) -> bool:
        """Will an old file that is at its end give nothing more?"""
        if isinstance(old, FollowedStream):
            return not old.selectable
        # While the new file is empty, the writer has not moved to it, and it is the old one that a checkpoint names.
        moved_on = current is not None and (current.offset > 0 or isinstance(current, FollowedStream))
        waited = self._clock() - old.active_at >= self._grace
        if isinstance(old, FollowedArchive):
            # One that is cut off may not be finished by its compressor.
            return (old.done and (moved_on or old.fault is not None)) or (not old.done and waited)
        return old.static or (moved_on and waited)

    def retire(self, old: Followed) -> None:
        """Close a file that is finished; its unfinished line is lost, and of a damaged one all that was not read."""
        self.files.remove(old)
        self._archived.discard(old.identity)
        if isinstance(old, FollowedArchive) and old.fault is not None:
            self._lost(f"{old.fault}; lines behind byte {old.offset} of its text are lost")
        else:
            self._counters["partial_lost"] += old.partial > 0
        if not isinstance(old, FollowedStream):
            self._past.append(old.position)
        old.close()

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.files = []

    def _overtaken(
        self, beside: Sequence[Beside], since: Since, seen: Seen, current: Followed | None, texts: Sequence[bytes] = ()
    ) -> None:
        """Enlist the files that were begun and rotated away again before we looked.

        `texts` are the first bytes of text of files that were read and are not listed any more.
        """
        listed = [file for file in (*self.files, current) if file is not None]
        held = [file for file in listed if isinstance(file, FollowedFile)]
        read = [*texts, *seen.texts.values(), *(file.text for file in listed if not isinstance(file, FollowedStream))]
        # What became of files that we hold open and that were removed: one archive each, which nobody needs.
        removed = [one for one in held if os.fstat(one.fd).st_nlink == 0 and one.identity not in self._archived]
        for found in begun_since(beside, seen, {file.identity for file in listed}, since):
            file: FollowedFile | FollowedArchive | None = None
            if not found.compressed:
                if not alike(found.text, read):
                    file = open_beside(found.name, self._counters, self._chunk)
            else:
                try:
                    archive = open_archive(found.name, self._counters, self._chunk)
                except SourceError as error:
                    if removed:
                        self._archived.add(removed.pop(0).identity)
                    else:
                        self._lost(f"{error}; it was rotated and compressed before it was read, and its lines are lost")
                    continue
                # Of a file that is held open, less may have been read than its archive's first bytes.
                same = [one for one in held if alike(archive.text, [one.begins_with()[1]])]
                self._archived.update(one.identity for one in same)
                removed = [one for one in removed if one not in same]
                if same or not archive.head or alike(archive.text, read):
                    archive.close()
                else:
                    self._say("rotated", f"reading {display(found.name)}, compressed before it was read")
                    file = archive
            if file is not None:
                self._counters["overtaken"] += 1
                with suppress(OSError):
                    self.return_to(file)
                self.enlist(file)
                read.append(found.text if isinstance(file, FollowedFile) else file.text)

    def _lost(self, text: str) -> None:
        self._counters["lost"] += 1
        self._say("lost", text)
