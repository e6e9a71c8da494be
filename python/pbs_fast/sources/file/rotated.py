"""The rotated files that are still followed: read to their end and kept open for the grace time, oldest first.

A file gets here when the path names another one, when it was created and rotated away between two polls, when a
truncation left a copy, or when a checkpoint names a file that was rotated later. Each file is listed once, so no line
is read twice; a file that was compressed in the meantime is read from there.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.archive import Archive, open_archive
from pbs_fast.sources.file.followed import Followed
from pbs_fast.sources.file.listing import (
    RotatedFile,
    Seen,
    Since,
    alike,
    begun_since,
    copy_of,
    list_rotated,
    newest,
    open_rotated,
    packed_hole,
)
from pbs_fast.sources.file.plain import PlainFile
from pbs_fast.sources.file.position import Identity, Position, display
from pbs_fast.sources.protocol import Kind
from pbs_fast.sources.wakeup import Hints

#: Rotated files that are held open for what their writers may still add, and as many again that are still to be read.
#: More come only if a log is rotated at each poll, or a directory is full of files that seem to be new.
MOST_OPEN = 64

#: Positions kept of closed files, in case one returns under the log's name or is found at a restart.
PAST = 16


class RotatedFiles:
    """The rotated files of one path. `counters` are its source's."""

    def __init__(
        self,
        path: str,
        counters: Counter[str],
        clock: Callable[[], float],
        grace: float,
        chunk: int,
        say: Callable[[Kind, str], object],
        hints: Hints,
    ) -> None:
        self.files: list[Followed] = []
        """In the order in which they are to be read."""
        self._path, self._counters, self._clock, self._grace, self._chunk = path, counters, clock, grace, chunk
        self._say, self._hints = say, hints
        self._past: deque[Position] = deque(maxlen=PAST)
        self._seen = Seen()
        self._archived: set[Identity] = set()
        """Open files that were removed after they were compressed, as far as that was noticed."""

    def enlist(self, file: Followed, before: Followed | None = None) -> None:
        """Add a file, as the newest or before another one."""
        file.active_at = self._clock()
        file.at_end = False
        self.files.insert(self.files.index(before) if before in self.files else len(self.files), file)

    def reclaim(self, identity: Identity) -> Followed | None:
        """Remove and return the file with this identity: it was renamed away and back again."""
        back = next((file for file in self.files if file.identity == identity), None)
        if back is not None:
            self.files.remove(back)
        return back

    def note_existing(self) -> None:
        """Remember which rotated files exist now: they hold no new line."""
        self._seen = Seen(list_rotated(self._path))

    def rotated(self, old: Followed, current: Followed) -> None:
        """The path names `current` instead of `old`."""
        self.enlist(old)
        existing = list_rotated(self._path)
        if old.seekable:
            number = next((one.number for one in existing if one.identity == old.identity), None)
            self._overtaken(existing, Since(number, old.opened_mtime), self._seen, current)
        self._seen = Seen(existing)

    def truncated(self, file: PlainFile, *, on_path: bool) -> Followed | None:
        """Rewind `file`, which no longer holds what was read; return the copy with the unread lines, if there is one.

        `on_path`: the path names it. Otherwise the next rotation looks for files that were overtaken.
        """
        before, since, partial = file.position, Since(None, file.opened_mtime), file.partial
        if not file.text:  # the text that is there now is not what was read
            before = replace(before, hole=0, text=b"")
        existing = list_rotated(self._path)
        found = copy_of(existing, before, self._counters, self._chunk)
        file.rewind()
        self._past.append(before)
        if found is None:
            self._counters["partial_lost"] += partial > 0
        else:
            one, copy = found
            copy.static = True
            if not one.compressed:
                self._counters["copied_bytes"] += max(0, one.size - copy.offset)
            self._seen.add(one)
            self.enlist(copy, before=file)
            since = Since(one.number, since.mtime_ns)
        if on_path:
            self._overtaken(existing, since, self._seen, file, texts=[before.text])
            self._seen = Seen(existing)
        return None if found is None else found[1]

    def resume(self, start: Position, current: PlainFile | None) -> None:
        """Resume at `start`: in the files that were open then, and in those created since.

        `current` is set to its position. Files that are gone are counted and reported. Call it once. Raises OSError.
        """
        self._past.extend(start.closed)
        existing = list_rotated(self._path)
        since: Since | None = None
        places = (start, *start.others)
        for position in places:
            if current is not None and current.identity == position.identity and current.holds(position):
                current.start_at(position)
                since = None
                continue
            found = copy_of(existing, position, self._counters, self._chunk, same=True)
            if found is None and position.head and not position.text:
                read = [one.text for one in (*places, *start.closed)]
                found = packed_hole(existing, position, read, self._counters, self._chunk)
            if found is not None:
                one, file = found
                file.static = file.identity != position.identity
                self.enlist(file)
                since = Since(one.number, one.mtime_ns)
                # Only the next younger one was written after the copy: the number may be another file's now.
                younger = begun_since(existing, Seen(), {one.identity}, since)[:1]
            else:
                if position.head:
                    self._lost(
                        f"{display(self._path)}: the file that was read up to byte {position.offset} is gone; lines "
                        "written to it after that are lost"
                    )
                since = Since(None, position.mtime_ns)
                younger = existing
            self._rewritten(younger, position, places)
        if since is not None:
            self._overtaken(existing, since, Seen(), current)

    def _rewritten(self, existing: Sequence[RotatedFile], left: Position, places: Sequence[Position]) -> None:
        """Enlist the file of `left` if it was truncated and then rotated: its contents are new.

        A file that was, or is a copy of, another one of `places` only reuses the inode number, and comes in its turn.
        """
        if [one.identity for one in places].count(left.identity) > 1:
            return
        for one in existing:
            if one.identity != left.identity or one.compressed or alike(one.text, [place.text for place in places]):
                continue
            if (file := open_rotated(one.name, self._counters, self._chunk)) is not None:
                with suppress(OSError):
                    self.return_to(file)
                self.enlist(file)
            return

    def position(self, current: Followed | None) -> Position | None:
        """How far all files were read, for `resume`; None if there is none to return to."""
        # The oldest first: one at its end may still be written to, or was written to since the last poll.
        places = [place for file in (*self.files, current) if file is not None and (place := file.position) is not None]
        return replace(places[0], others=tuple(places[1:]), closed=tuple(self._past)) if places else None

    def return_to(self, file: PlainFile | Archive) -> None:
        """Resume a newly opened file where it, or the file it is a copy of, was left before. Raises OSError."""
        for past in sorted(self._past, key=lambda past: -past.offset):
            if past.text and past.offset and file.holds(past):
                file.start_at(past)
                return

    def finished(self, old: Followed, current: Followed | None) -> bool:
        """Will a file that is at its end give nothing more?"""
        return old.is_finished(
            # While the new file is empty, the writer has not moved to it, and a checkpoint names the old one.
            moved_on=current is not None and current.started,
            waited=self._clock() - old.active_at >= self._grace,
            crowded=len(self.files) > MOST_OPEN,
        )

    def drop_surplus(self) -> None:
        """Close the oldest files if too many are open; their unread lines are lost."""
        while len(self.files) > 2 * MOST_OPEN:
            if not self.files[0].at_end:
                self._lost(
                    f"{display(self.files[0].name)}: more than {2 * MOST_OPEN} rotated files are still to be read; the "
                    "unread lines of this one, the oldest, are lost"
                )
            self.retire(self.files[0])

    def retire(self, old: Followed) -> None:
        """Close a finished file; its unfinished line is lost, and all unread lines if it is damaged."""
        self.files.remove(old)
        self._archived.discard(old.identity)
        self._hints.forget(old.watch)
        if old.fault is not None:
            self._lost(f"{old.fault}; lines after byte {old.offset} of its text are lost")
        else:
            self._counters["partial_lost"] += old.partial > 0
        if (position := old.position) is not None:
            self._past.append(position)
        old.close()

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.files = []

    def _overtaken(
        self,
        existing: Sequence[RotatedFile],
        since: Since,
        seen: Seen,
        current: Followed | None,
        texts: Sequence[bytes] = (),
    ) -> None:
        """Enlist the files that were created and rotated away again since the last poll.

        `texts` are the first bytes of text of files that were read and are no longer listed.
        """
        listed = [file for file in (*self.files, current) if file is not None]
        held = [file for file in listed if file.seekable]
        read = [*texts, *seen.texts.values(), *(file.text for file in listed)]
        # Open files that were removed after compression: each has an archive, which nobody needs.
        removed = [one for one in held if os.fstat(one.fd).st_nlink == 0 and one.identity not in self._archived]
        begun = begun_since(existing, seen, {file.identity for file in listed}, since)
        if len(begun) > MOST_OPEN:
            begun = newest(begun, MOST_OPEN)
            self._lost(
                f"{display(self._path)}: more than {MOST_OPEN} rotated files seem to be new since the last read; only "
                "the newest are read, lines of the others are lost"
            )
        for found in begun:
            file: PlainFile | Archive | None = None
            if not found.compressed:
                if not alike(found.text, read):
                    file = open_rotated(found.name, self._counters, self._chunk)
            else:
                try:
                    archive = open_archive(found.name, self._counters, self._chunk)
                except SourceError as error:
                    if removed:
                        self._archived.add(removed.pop(0).identity)
                    else:
                        self._lost(f"{error}; it was rotated and compressed before it was read, and its lines are lost")
                    continue
                # Of an open file, less may have been read than its archive's first bytes.
                same = [one for one in held if alike(archive.text, [one.begins_with[1]])]
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
                read.append(found.text or file.text)

    def _lost(self, text: str) -> None:
        self._counters["lost"] += 1
        self._say("lost", text)
