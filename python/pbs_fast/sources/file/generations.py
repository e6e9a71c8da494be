"""The rotated files that come before a log, opened and put in order by what they hold.

Imports `identity`, `opening`, `siblings`, `window`.
"""

from __future__ import annotations

import os
import stat
from bisect import insort
from contextlib import suppress
from dataclasses import dataclass, field

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.names import Sibling, listable, siblings
from pbs_fast.sources.file.position import Identity, display
from pbs_fast.sources.file.search import BLOCK, first_stamp
from pbs_fast.sources.open import LogFile, open_log
from pbs_fast.sources.protocol import StampOf

#: Bytes of text that tell one log from another, and a copy or a compressed twin from a predecessor.
_HEAD = 1024

#: Looks at a directory whose files are renamed or compressed under our eyes; each rename costs one at most.
_LOOKS = 20


#: Predecessors that are kept open. A site that rotates at each look has more than it may have descriptors; the newest
#: are kept, as the next rotation renames or compresses those.
MOST_OPEN = 64

#: First bytes by which heads are looked up, so that thousands of files are not each compared with each.
_KEY = 40


@dataclass(slots=True)
class Predecessor:
    """A rotated file, open at its start; closed meanwhile where there are more than MOST_OPEN newer ones."""

    sibling: Sibling
    log: LogFile
    text: bytes
    """What was read of it already (of a compressed file; of a plain one a copy); nothing while it is closed."""
    first: int
    """Its first readable stamp."""
    reference: int
    """Its last-modified time: what years are judged from."""
    identity: Identity
    is_open: bool = True

    def set_aside(self) -> None:
        """Close it until its turn comes."""
        if self.is_open:
            self.log.close()
            self.is_open, self.text = False, b""

    def reopen(self, path: str) -> None:
        """Open it again if it was closed, under the name that it has now beside the log `path`. Raises SourceError."""
        if self.is_open:
            return
        # A rotation since then has most likely given it the next number.
        for name in (self.sibling.path, *(each.path for each in siblings(path))):
            with suppress(OSError, SourceError):
                log = open_log(name)
                if Identity.of(os.fstat(log.fileno())) == self.identity:
                    self.log, self.is_open = log, True
                    return
                log.close()
        raise SourceError(f"{display(self.sibling.path)} is gone, and its lines were not read")


@dataclass(slots=True)
class Lineage:
    """The files to be replayed before the current one, oldest first, and what stands against trusting them."""

    files: list[Predecessor] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """N of every `NAME.N` that was there and could be read, needed or not."""
    faults: list[tuple[float, str]] = field(default_factory=list)
    """(last-modified time, reason) of files that could not be read or understood."""

    def add(self, file: Predecessor, target: int) -> None:
        """Keep a file in its place, and none before the last that begins at `target` or earlier."""
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
        """Does a file that begins so hold what another one holds?"""
        if not head:
            return False
        long = [self._by_key.get(head[:_KEY], [])] if len(head) >= _KEY else self._by_key.values()
        return any(head.startswith(other) or other.startswith(head) for some in (self._short, *long) for other in some)


def lineage(path: str, current: Identity | None, head: bytes, target: int, stamp_of: StampOf) -> Lineage:
    """Open the predecessors of the log `path` that reach back to `target` (seconds since the epoch).

    `current` and `head` (first bytes of text) are the followed file's, which is none of them. Raises nothing.
    """
    for _ in range(_LOOKS):
        found = Lineage()
        if _collect(found, path, current, head, target, stamp_of):
            break
        found.close()
    return found


def _collect(found: Lineage, path: str, current: Identity | None, head: bytes, target: int, stamp_of: StampOf) -> bool:
    """Open all predecessors; False when one vanished meanwhile, as when it is renamed or its compressor is done."""
    if (error := listable(path)) is not None:
        found.faults.append((float("inf"), f"the directory of {display(path)} cannot be listed: {error.strerror}"))
    heads = _Heads(head[:_HEAD])
    # Plain files first: of two with the same text the plain one is taken.
    for sibling in sorted(siblings(path), key=lambda each: (each.compressed, each.path)):
        if not _add(found, sibling, current, heads, target, stamp_of):
            return False
    return True


def _add(
    found: Lineage, sibling: Sibling, current: Identity | None, heads: _Heads, target: int, stamp_of: StampOf
) -> bool:
    """Open one of them, or note why not; False when it is gone."""
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
        found.faults.append((_mtime(sibling.path), f"{name}: {_reason(error)}"))
        return True
    reference = int(status.st_mtime)
    try:
        text = _beginning(log)
    except SourceError as error:
        log.close()
        found.faults.append((status.st_mtime, str(error)))
        return True
    begins = text.lstrip(b"\0")[:_HEAD]
    first = first_stamp(text, lambda line: stamp_of(line, reference))
    alike = heads.hold(begins)
    if first is None and begins and not alike:
        found.faults.append((status.st_mtime, f"{name} holds no line with a stamp"))
    elif sibling.number is not None:
        found.numbers.add(sibling.number)
    if first is None or alike:
        log.close()
        return True
    heads.add(begins)
    found.add(Predecessor(sibling, log, text, first, reference, identity), target)
    return True


def _beginning(log: LogFile) -> bytes:
    """The first BLOCK bytes of text, or all there is. Raises SourceError."""
    text = b""
    while len(text) < BLOCK and (data := log.read(BLOCK - len(text))):
        text += data
    return text


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


def _mtime(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return float("inf")
