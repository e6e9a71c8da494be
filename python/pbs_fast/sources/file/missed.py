"""What a follower finds beside its log when it was not looking: the copy that copytruncate left, a file that was begun
and rotated away between two looks, the file that a checkpoint speaks of; plain, or compressed meanwhile.

What a file holds decides, not its name or inode number; names give an order only. A file that cannot be read is none,
unless it is compressed: those are told apart from what was read by their text, and it is said when that cannot be had.
Imports `follow_archive`, `follow_file`, `identity`, `siblings`.
"""
# ruff: noqa: PTH116 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.archive import FollowedArchive, open_archive
from pbs_fast.sources.file.names import Sibling, siblings
from pbs_fast.sources.file.plain import FollowedFile
from pbs_fast.sources.file.position import Identity, Position, first_text

#: How every log is opened: a FIFO must not block, a terminal must not become ours.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

#: Looks at a directory in which a file vanishes between its listing and its opening, as when its compressor is done.
_LOOKS = 5


class Beside(NamedTuple):
    """A rotated file as one look found it."""

    name: str
    number: int | None
    """The N of `NAME.N`."""
    compressed: bool
    identity: Identity
    mtime_ns: int
    size: int
    text: bytes
    """The first bytes of a plain file behind a hole at its start, at most SAMPLE; of a compressed one b""."""


def look(path: str) -> list[Beside]:
    """The rotated files of the log `path` as they are now, none of them in two forms. Raises nothing."""
    for _ in range(_LOOKS):
        found = []
        for sibling in siblings(path):
            try:
                if (one := _look_at(sibling)) is not None:
                    found.append(one)
            except OSError:
                if not os.path.lexists(sibling.path):
                    break
        else:
            return found
    return found


class Seen:
    """The rotated files that were there at some moment: none of them holds a line that is still to come."""

    def __init__(self, files: Iterable[Beside] = ()) -> None:
        self.texts: dict[Identity, bytes] = {}
        """The first bytes of text of the plain ones."""
        self._packed: set[tuple[Identity, int, int]] = set()
        for file in files:
            self.add(file)

    def add(self, file: Beside) -> None:
        if file.compressed:
            self._packed.add((file.identity, file.mtime_ns, file.size))
        else:
            self.texts[file.identity] = file.text

    def holds(self, file: Beside) -> bool:
        """Was this file there? A number that was given to another file since shows by first bytes, or size and time."""
        if file.compressed:
            return (file.identity, file.mtime_ns, file.size) in self._packed
        known = self.texts.get(file.identity)
        # One that was empty and has text now got it since, or the number is another file's.
        return known is not None and (file.text.startswith(known) if known else not file.text)


class Since(NamedTuple):
    """What tells the files that were begun after another one: their numbers are lower, or they were written later."""

    number: int | None
    mtime_ns: int

    def precedes(self, file: Beside) -> bool:
        # The numbers say it also where a clock was set back, or a compressor did not keep the time.
        if self.number is not None and file.number is not None:
            return file.number < self.number
        return file.mtime_ns >= self.mtime_ns


def begun_since(files: Sequence[Beside], seen: Seen, known: set[Identity], since: Since) -> list[Beside]:
    """Those of `files` that are not in `seen` nor in `known` and were begun after `since`, oldest first.

    They were begun and rotated away while nobody looked, or are new forms of files that were read (`alike` tells).
    """
    found = [one for one in files if one.identity not in known and not seen.holds(one) and since.precedes(one)]
    if all(one.number is not None for one in found):
        return sorted(found, key=lambda one: -(one.number or 0))
    return sorted(found, key=lambda one: (one.mtime_ns, one.name))


def alike(text: bytes, others: Iterable[bytes]) -> bool:
    """Does a file with these first bytes of text hold what one of the others holds?"""
    return any(other and (text.startswith(other) or other.startswith(text)) for other in others) if text else False


def copy_of(
    files: Iterable[Beside], position: Position, counters: Counter[str], chunk: int, *, same: bool = False
) -> tuple[Beside, FollowedFile | FollowedArchive] | None:
    """The rotated file that holds what was read up to `position`, opened there; None when there is none.

    With `same` it is the file itself if that is there, else a plain copy, else a compressed one.
    """
    ordered = sorted(files, key=lambda one: (one.compressed, (one.identity != position.identity) is same))
    for one in ordered:
        itself = one.identity == position.identity
        # Where no text was read, any file would do.
        if (itself and not same) or (not itself and not position.text):
            continue
        if not one.compressed and (file := open_beside(one.name, counters, chunk)) is not None:
            if file.identity == one.identity and _fits(position, file.fd):
                file.start_at(position)
                return one, file
            file.close()
        elif one.compressed and (archive := _open_archive(one.name, counters, chunk)) is not None:
            # The bytes before the offset are compared when reading gets there; the first ones hold stamps.
            if archive.holds(position):
                archive.start_at(position)
                return one, archive
            archive.close()
    return None


def packed_hole(
    files: Iterable[Beside], position: Position, read: Sequence[bytes], counters: Counter[str], chunk: int
) -> tuple[Beside, FollowedArchive] | None:
    """The compressed form of a file that was nothing but a hole as far as it was read; None when there is none.

    Nothing tells it but the size of the hole, and that its text is none of those that were `read`. It is opened at its
    start, for no line of it was handed out.
    """
    for one in sorted(files, key=lambda one: one.mtime_ns):
        if not one.compressed or one.mtime_ns < position.mtime_ns:
            continue
        if (archive := _open_archive(one.name, counters, chunk)) is not None:
            hole, text = archive.begins_with
            if hole >= max(position.offset, len(position.head)) and not alike(text, read):
                return one, archive
            archive.close()
    return None


def open_beside(name: str, counters: Counter[str], chunk: int) -> FollowedFile | None:
    """A plain rotated file, opened for reading; None when it is no regular file or cannot be opened."""
    try:
        fd = os.open(name, OPEN_FLAGS)
    except OSError:  # rotated on or removed since it was found
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return FollowedFile(fd, name, counters, chunk=chunk)


def _open_archive(name: str, counters: Counter[str], chunk: int) -> FollowedArchive | None:
    try:
        return open_archive(name, counters, chunk)
    except SourceError:
        return None


def _fits(position: Position, fd: int) -> bool:
    try:
        return position.fits(fd)
    except OSError:
        return False


def _look_at(sibling: Sibling) -> Beside | None:
    """None for what is no regular file. Raises OSError."""
    text = b""
    if sibling.compressed:
        status = os.stat(sibling.path)
    else:
        fd = os.open(sibling.path, OPEN_FLAGS)
        try:
            status = os.fstat(fd)
            text = first_text(fd)[1] if stat.S_ISREG(status.st_mode) else b""
        finally:
            os.close(fd)
    if not stat.S_ISREG(status.st_mode):
        return None
    identity = Identity.of(status)
    return Beside(sibling.path, sibling.number, sibling.compressed, identity, status.st_mtime_ns, status.st_size, text)
