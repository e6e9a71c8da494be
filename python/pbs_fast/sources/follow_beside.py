"""What a follower finds beside its log when it was not looking: the copy that copytruncate left, a file that was begun
and rotated away between two looks, the file that a checkpoint speaks of.

Only plain regular files are taken; what they hold decides, not their names or numbers. A file that cannot be read is
none. Imports `follow_file`, `identity`, `siblings`.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pbs_fast.sources.follow_file import FollowedFile
from pbs_fast.sources.identity import SAMPLE, Identity, Position
from pbs_fast.sources.siblings import siblings

#: How every log is opened: a FIFO must not block, a terminal must not become ours.
OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class Seen:
    """The rotated files that were there at some moment: none of them holds a line that is still to come."""

    def __init__(self, heads: dict[Identity, bytes]) -> None:
        self._heads = heads

    @classmethod
    def now(cls, path: str) -> Seen:
        heads: dict[Identity, bytes] = {}
        for name in _plain(path):
            with _opened(name) as fd:
                if fd is not None:
                    heads[Identity.of(os.fstat(fd))] = os.pread(fd, SAMPLE, 0)
        return cls(heads)

    def add(self, identity: Identity, head: bytes) -> None:
        self._heads[identity] = head

    def holds(self, identity: Identity, head: bytes) -> bool:
        """Was this file there? A number that was given to another file since shows by the first bytes."""
        known = self._heads.get(identity)
        return known is not None and head.startswith(known)


def begun_since(path: str, seen: Seen, known: set[Identity], heads: list[bytes], since_ns: int) -> list[str]:
    """Rotated files that are not in `seen` nor in `known` and were written to at or after `since_ns`, oldest first.

    They were begun and rotated away while nobody looked. Copies of files that were read (their first bytes are in
    `heads`) are none.
    """
    found: list[tuple[int, str]] = []
    for name in _plain(path):
        with _opened(name) as fd:
            if fd is None:
                continue
            status = os.fstat(fd)
            identity, head = Identity.of(status), os.pread(fd, SAMPLE, 0)
            if identity in known or seen.holds(identity, head) or status.st_mtime_ns < since_ns:
                continue
            if not any(read and head.startswith(read) for read in heads):
                found.append((status.st_mtime_ns, name))
    return [name for _, name in sorted(found)]


def copy_of(path: str, position: Position) -> str | None:
    """The rotated file that is a copy of what was read up to `position`; None when there is none."""
    return next(_fitting(path, position, same=False), None)


def moved(path: str, position: Position) -> str | None:
    """The rotated file that is the one, or else is a copy of the one, that `position` was taken in."""
    return next(_fitting(path, position, same=True), None) or copy_of(path, position)


def rewritten(path: str, identity: Identity) -> str | None:
    """The rotated file that has this identity, whatever it holds: it was truncated, or its number was given away."""
    for name in _plain(path):
        with _opened(name) as fd:
            if fd is not None and Identity.of(os.fstat(fd)) == identity:
                return name
    return None


def open_beside(name: str, counters: Counter[str], chunk: int) -> FollowedFile | None:
    """A rotated file, opened for reading; None when it is no regular file or cannot be opened."""
    try:
        fd = os.open(name, OPEN_FLAGS)
    except OSError:  # rotated on or removed since it was found
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        return None
    return FollowedFile(fd, name, counters, chunk=chunk)


def _fitting(path: str, position: Position, *, same: bool) -> Iterator[str]:
    if not position.head and not same:  # nothing was read: any file would do
        return
    for name in _plain(path):
        fits = False
        with _opened(name) as fd:
            if fd is not None and (Identity.of(os.fstat(fd)) == position.identity) is same:
                fits = position.fits(fd)
        if fits:
            yield name


def _plain(path: str) -> list[str]:
    return [sibling.path for sibling in siblings(path) if not sibling.compressed]


@contextmanager
def _opened(name: str) -> Iterator[int | None]:
    """The file open for reading; None when it is none or cannot be opened. A read error ends the block."""
    try:
        fd = os.open(name, OPEN_FLAGS)
    except OSError:
        yield None
        return
    try:
        yield fd if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return
    finally:
        os.close(fd)
