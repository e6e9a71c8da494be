"""The rotated files of a log as a directory listing shows them, and which of them hold unread lines.

Three events leave such files: copytruncate makes a copy, a file is created and rotated away between two polls, and a
checkpoint names a file that was rotated later. Each may be compressed by now. The contents decide, not the name or the
inode number; names only give an order. A plain file that cannot be read is ignored. A compressed one is compared with
what was read by its text, so the caller reports one that cannot be read.
"""
# ruff: noqa: PTH116 - one module, os, for descriptors and for paths that are no UTF-8

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.archive import Archive, open_archive
from pbs_fast.sources.file.names import RotatedName, siblings
from pbs_fast.sources.file.plain import PlainFile
from pbs_fast.sources.file.position import Identity, Position, first_text

#: How every log is opened: a FIFO must not block, a terminal must not become our controlling terminal.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

#: Listings of a directory in which a file vanishes before it is opened, as when its compressor finishes.
_TRIES = 5


class RotatedFile(NamedTuple):
    """A rotated file as one listing found it."""

    name: str
    number: int | None
    """The N of `NAME.N`."""
    compressed: bool
    identity: Identity
    mtime_ns: int
    size: int
    text: bytes
    """The first bytes of a plain file after a hole at its start, at most SAMPLE; b"" for a compressed one."""


def list_rotated(path: str) -> list[RotatedFile]:
    """The rotated files of the log `path` now, each in one form (plain or compressed). Raises nothing."""
    for _ in range(_TRIES):
        found = []
        for sibling in siblings(path):
            try:
                if (one := _inspect(sibling)) is not None:
                    found.append(one)
            except OSError:
                if not os.path.lexists(sibling.path):
                    break
        else:
            return found
    return found


class Seen:
    """The rotated files that existed at some moment: none of them holds a new line."""

    def __init__(self, files: Iterable[RotatedFile] = ()) -> None:
        self.texts: dict[Identity, bytes] = {}
        """The first bytes of text of the plain ones."""
        self._compressed: set[tuple[Identity, int, int]] = set()
        for file in files:
            self.add(file)

    def add(self, file: RotatedFile) -> None:
        if file.compressed:
            self._compressed.add((file.identity, file.mtime_ns, file.size))
        else:
            self.texts[file.identity] = file.text

    def holds(self, file: RotatedFile) -> bool:
        """Did this file exist? An inode number that was reused shows by other first bytes, or by size and time."""
        if file.compressed:
            return (file.identity, file.mtime_ns, file.size) in self._compressed
        known = self.texts.get(file.identity)
        # One that was empty and has text now is new: it was written to, or the inode number was reused.
        return known is not None and (file.text.startswith(known) if known else not file.text)


class Since(NamedTuple):
    """Tells files that were created after another one: their numbers are lower, or they were written later."""

    number: int | None
    mtime_ns: int

    def precedes(self, file: RotatedFile) -> bool:
        # Numbers are right even if the clock was set back or a compressor did not keep the time.
        if self.number is not None and file.number is not None:
            return file.number < self.number
        return file.mtime_ns >= self.mtime_ns


def begun_since(files: Sequence[RotatedFile], seen: Seen, known: set[Identity], since: Since) -> list[RotatedFile]:
    """Those of `files` that are neither in `seen` nor in `known` and were created after `since`, oldest first.

    They were created and rotated away between two polls, or are new forms of files that were read (see `alike`).
    """
    found = [one for one in files if one.identity not in known and not seen.holds(one) and since.precedes(one)]
    if all(one.number is not None for one in found):
        return sorted(found, key=lambda one: -(one.number or 0))
    return sorted(found, key=lambda one: (one.mtime_ns, one.name))


def newest(files: Sequence[RotatedFile], most: int) -> list[RotatedFile]:
    """The `most` newest of `files`, which are in the order of `begun_since`, in that order.

    Modification times are wrong if the files were touched, and then the dates in their names may be right, so half of
    the result are the newest by name.
    """
    by_order = list(files[-most:])
    if all(one.number is not None for one in files):
        return by_order
    by_name = sorted(files, key=lambda one: one.name)[-(most // 2) :]
    others = [one for one in by_order if one not in by_name]
    kept = {one.name for one in (*by_name, *others[len(by_name) - most :])}
    return [one for one in files if one.name in kept]


def alike(text: bytes, others: Iterable[bytes]) -> bool:
    """Does a file with these first bytes of text have the same contents as one of the others?"""
    return any(other and (text.startswith(other) or other.startswith(text)) for other in others) if text else False


def copy_of(
    files: Iterable[RotatedFile], position: Position, counters: Counter[str], chunk: int, *, same: bool = False
) -> tuple[RotatedFile, PlainFile | Archive] | None:
    """The rotated file that holds what was read up to `position`, opened there; None if there is none.

    With `same` it is the file itself if it exists, else a plain copy, else a compressed one.
    """
    ordered = sorted(files, key=lambda one: (one.compressed, (one.identity != position.identity) is same))
    for one in ordered:
        itself = one.identity == position.identity
        # Without text read, any file would match.
        if (itself and not same) or (not itself and not position.text):
            continue
        file = _open_archive(one.name, counters, chunk) if one.compressed else open_rotated(one.name, counters, chunk)
        if file is None:
            continue
        with suppress(OSError):
            if (one.compressed or file.identity == one.identity) and file.holds(position):
                file.start_at(position)
                return one, file
        file.close()
    return None


def packed_hole(
    files: Iterable[RotatedFile], position: Position, read: Sequence[bytes], counters: Counter[str], chunk: int
) -> tuple[RotatedFile, Archive] | None:
    """The compressed form of a file of which only a hole was read; None if there is none.

    Only the size of the hole identifies it, and that its text is not one of those that were `read`. It is opened at its
    start, because no line of it was handed out.
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


def open_rotated(name: str, counters: Counter[str], chunk: int) -> PlainFile | None:
    """A plain rotated file, opened for reading; None if it is not a regular file or cannot be opened."""
    try:
        fd = os.open(name, OPEN_FLAGS)
    except OSError:  # rotated again or removed since it was found
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return PlainFile(fd, name, counters, chunk=chunk)


def _open_archive(name: str, counters: Counter[str], chunk: int) -> Archive | None:
    try:
        return open_archive(name, counters, chunk)
    except SourceError:
        return None


def _inspect(sibling: RotatedName) -> RotatedFile | None:
    """None for anything but a regular file. Raises OSError."""
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
    return RotatedFile(
        sibling.path, sibling.number, sibling.compressed, identity, status.st_mtime_ns, status.st_size, text
    )
