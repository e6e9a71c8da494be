"""The rotated files that are older than a log, opened and sorted by their contents, for the replay."""

from __future__ import annotations

import os
import stat
from bisect import insort
from contextlib import suppress
from dataclasses import dataclass, field

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.names import RotatedName, listable, siblings
from pbs_fast.sources.file.position import Identity, display
from pbs_fast.sources.file.search import BLOCK, first_timestamp
from pbs_fast.sources.open import LogReader, open_log
from pbs_fast.sources.protocol import TimestampOf

#: Bytes of text by which a copy or a compressed form of a file is recognised.
_HEAD = 1024

#: Listings of a directory while its files are renamed or compressed; each rename costs one at most.
_TRIES = 20

#: Older files that are kept open. There may be more than a process may have descriptors; the newest are kept, because
#: the next rotation renames or compresses those.
MOST_OPEN = 64

#: First bytes by which heads are looked up, so that thousands of files are not all compared with each other.
_KEY = 40


@dataclass(slots=True)
class OlderFile:
    """A rotated file, open at its start; closed until its turn comes if there are more than MOST_OPEN newer ones."""

    sibling: RotatedName
    log: LogReader
    text: bytes
    """Its beginning, which of a compressed file was used up by reading it; b"" after it was closed."""
    first: int
    """Its first readable timestamp, in seconds since the epoch."""
    reference: int
    """Its last-modified time, from which years are inferred."""
    identity: Identity
    is_open: bool = True

    def set_aside(self) -> None:
        """Close it until its turn comes."""
        if self.is_open:
            self.log.close()
            self.is_open, self.text = False, b""

    def reopen(self, path: str) -> None:
        """Open it again if it was closed, under its current name among the files of `path`. Raises SourceError."""
        if self.is_open:
            return
        # A rotation since then has most likely renamed it to the next number.
        for name in (self.sibling.path, *(each.path for each in siblings(path))):
            with suppress(OSError, SourceError):
                log = open_log(name)
                if Identity.of(os.fstat(log.fileno())) == self.identity:
                    self.log, self.is_open = log, True
                    return
                log.close()
        raise SourceError(f"{display(self.sibling.path)} is gone, and its lines were not read")


@dataclass(slots=True)
class OlderFiles:
    """The files to be replayed before the current one, oldest first, and the reasons not to trust them."""

    files: list[OlderFile] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """N of every readable `NAME.N`, needed or not."""
    faults: list[tuple[float, str]] = field(default_factory=list)
    """(last-modified time, reason) of files that could not be read or understood."""

    def add(self, file: OlderFile, target: int) -> None:
        """Insert a file in order, and drop all files before the last one that starts at `target` or earlier."""
        insort(self.files, file, key=lambda each: (each.first, each.reference))
        while len(self.files) > 1 and self.files[1].first <= target:
            self.files.pop(0).log.close()
        if len(self.files) > MOST_OPEN:
            self.files[-MOST_OPEN - 1].set_aside()
            oldest_open = self.files[-MOST_OPEN]
            if (file.first, file.reference) < (oldest_open.first, oldest_open.reference):
                file.set_aside()

    def close(self) -> None:
        for file in self.files:
            file.log.close()


class _Heads:
    """First bytes of files that were seen."""

    def __init__(self, head: bytes) -> None:
        self._by_key: dict[bytes, list[bytes]] = {}
        self._short: list[bytes] = []
        self.add(head)

    def add(self, head: bytes) -> None:
        if len(head) >= _KEY:
            self._by_key.setdefault(head[:_KEY], []).append(head)
        elif head:
            self._short.append(head)

    def hold(self, head: bytes) -> bool:
        """Does a file that starts like this have the contents of another one?"""
        if not head:
            return False
        long = [self._by_key.get(head[:_KEY], [])] if len(head) >= _KEY else self._by_key.values()
        return any(head.startswith(other) or other.startswith(head) for some in (self._short, *long) for other in some)


def older_files(path: str, current: Identity | None, head: bytes, target: int, timestamp_of: TimestampOf) -> OlderFiles:
    """Open the rotated files of the log `path` back to `target` (seconds since the epoch).

    `current` and `head` (first bytes of text) are those of the followed file, which is left out. Raises nothing.
    """
    for _ in range(_TRIES):
        found = OlderFiles()
        if _collect(found, path, current, head, target, timestamp_of):
            break
        found.close()
    return found


def _collect(
    found: OlderFiles, path: str, current: Identity | None, head: bytes, target: int, timestamp_of: TimestampOf
) -> bool:
    """Open all of them; False if one vanished meanwhile, because it was renamed or its compressor finished."""
    if (error := listable(path)) is not None:
        found.faults.append((float("inf"), f"the directory of {display(path)} cannot be listed: {error.strerror}"))
    heads = _Heads(head[:_HEAD])
    # Plain files first: of two with the same text the plain one is used.
    for sibling in sorted(siblings(path), key=lambda each: (each.compressed, each.path)):
        if not _add(found, sibling, current, heads, target, timestamp_of):
            return False
    return True


def _add(
    found: OlderFiles,
    sibling: RotatedName,
    current: Identity | None,
    heads: _Heads,
    target: int,
    timestamp_of: TimestampOf,
) -> bool:
    """Open one of them, or note why not; False if it is gone."""
    name = display(sibling.path)
    try:
        status = os.stat(sibling.path)  # noqa: PTH116
        identity = Identity.of(status)
        if not stat.S_ISREG(status.st_mode) or identity == current:
            return True
        log = open_log(sibling.path)
    except (OSError, SourceError) as error:
        if not os.path.lexists(sibling.path):
            return False
        found.faults.append((_mtime(sibling.path), f"{name}: {getattr(error, 'strerror', None) or error}"))
        return True
    reference = int(status.st_mtime)
    try:
        text = _beginning(log)
    except SourceError as error:
        log.close()
        found.faults.append((status.st_mtime, str(error)))
        return True
    begins = text.lstrip(b"\0")[:_HEAD]
    first = first_timestamp(text, lambda line: timestamp_of(line, reference))
    alike = heads.hold(begins)
    if first is None and begins and not alike:
        found.faults.append((status.st_mtime, f"{name} holds no line with a timestamp"))
    elif sibling.number is not None:
        found.numbers.add(sibling.number)
    if first is None or alike:
        log.close()
        return True
    heads.add(begins)
    found.add(OlderFile(sibling, log, text, first, reference, identity), target)
    return True


def _beginning(log: LogReader) -> bytes:
    """The first BLOCK bytes of text, or all of a shorter one. Raises SourceError."""
    text = b""
    while len(text) < BLOCK and (data := log.read(BLOCK - len(text))):
        text += data
    return text


def _mtime(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return float("inf")
