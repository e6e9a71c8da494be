"""The rotated files that come before a log, opened and put in order by what they hold.

Imports `identity`, `opening`, `siblings`, `window`.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field

from pbs_fast.errors import SourceError
from pbs_fast.sources.file.names import Sibling, listable, siblings
from pbs_fast.sources.file.position import Identity, display
from pbs_fast.sources.file.search import BLOCK, StampOf, first_stamp
from pbs_fast.sources.open import LogFile, open_log

#: Bytes of text that tell one log from another, and a copy or a compressed twin from a predecessor.
_HEAD = 1024

#: Looks at a directory whose files are renamed or compressed under our eyes; each rename costs one at most.
_LOOKS = 20


@dataclass(slots=True)
class Predecessor:
    """A rotated file, open at its start."""

    sibling: Sibling
    log: LogFile
    text: bytes
    """What was read of it already (of a compressed file; of a plain one a copy)."""
    first: int
    """Its first readable stamp."""
    reference: int
    """Its last-modified time: what years are judged from."""
    identity: Identity


@dataclass(slots=True)
class Lineage:
    """The files to be replayed before the current one, oldest first, and what stands against trusting them."""

    files: list[Predecessor] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    """N of every `NAME.N` that was there and could be read, needed or not."""
    faults: list[tuple[float, str]] = field(default_factory=list)
    """(last-modified time, reason) of files that could not be read or understood."""

    def close(self) -> None:
        for file in self.files:
            file.log.close()


def lineage(path: str, current: Identity | None, head: bytes, target: int, stamp_of: StampOf) -> Lineage:
    """Open the predecessors of the log `path` that reach back to `target` (seconds since the epoch).

    `current` and `head` (first bytes of text) are the followed file's, which is none of them. Raises nothing.
    """
    for _ in range(_LOOKS):
        found = Lineage()
        if _collect(found, path, current, head, stamp_of):
            break
        found.close()
    found.files.sort(key=lambda each: (each.first, each.reference))
    while len(found.files) > 1 and found.files[1].first <= target:
        found.files.pop(0).log.close()
    return found


def _collect(found: Lineage, path: str, current: Identity | None, head: bytes, stamp_of: StampOf) -> bool:
    """Open all predecessors; False when one vanished meanwhile, as when it is renamed or its compressor is done."""
    if (error := listable(path)) is not None:
        found.faults.append((float("inf"), f"the directory of {display(path)} cannot be listed: {error.strerror}"))
    heads = [head[:_HEAD]]
    # Plain files first: of two with the same text the plain one is taken.
    for sibling in sorted(siblings(path), key=lambda each: (each.compressed, each.path)):
        if not _add(found, sibling, current, heads, stamp_of):
            return False
    return True


def _add(found: Lineage, sibling: Sibling, current: Identity | None, heads: list[bytes], stamp_of: StampOf) -> bool:
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
    alike = any(begins.startswith(other) or other.startswith(begins) for other in heads if other and begins)
    if first is None and begins and not alike:
        found.faults.append((status.st_mtime, f"{name} holds no line with a stamp"))
    elif sibling.number is not None:
        found.numbers.add(sibling.number)
    if first is None or alike:
        log.close()
        return True
    heads.append(begins)
    found.files.append(Predecessor(sibling, log, text, first, reference, identity))
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
