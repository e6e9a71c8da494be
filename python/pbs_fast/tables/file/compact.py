"""Files that never shrink by themselves are built anew, small, once they are far larger than their rows need.

The cost: smtpds restart once, as after any replacement (Postfix looks at the link count before each connection:
dict_changed_name), and a session already open reads the old file, which nobody changes any more, until it ends. So it
happens at a heartbeat, at most once an hour, and only for large files.

Invariant: when the new file cannot be built (a full disk), the old one still takes changes in place.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod

from pbs_fast.errors import TableError
from pbs_fast.tables.file.base import FileTable
from pbs_fast.tables.file.states import FileState

log = logging.getLogger(__name__)

#: A file of more than this many times the bytes that its rows need is compacted.
BLOAT_FACTOR = 8
#: Needs below this are counted as this many bytes, so that small files are never compacted.
LEAST_BYTES = 1 << 20
#: The least time between two compactions of a table that is in use, in seconds.
COMPACT_SECONDS = 3600.0


class CompactedTable(FileTable):
    """A table changed in place that knows how large its file has to be."""

    _compacted = float("-inf")
    """When compaction was last tried, on the monotonic clock."""

    def heartbeat(self) -> None:
        super().heartbeat()
        now = time.monotonic()
        if self._state is not FileState.CURRENT or now < self._compacted + COMPACT_SECONDS:
            return
        size, need = self._file.stat().st_size, max(self._needed(), LEAST_BYTES)
        if size <= BLOAT_FACTOR * need and not self._mtimes.half_used:
            return
        self._compacted = now
        try:
            self._replace()
        except TableError as error:
            # Until the new file is complete the old one stays open, and it was current.
            if self._is_open():
                self._state = FileState.CURRENT
            log.warning("%s; the file keeps its %d bytes (its rows need %d)", error, size, need)
            return
        log.info("%s: rebuilt, from %d bytes; its rows need %d", self._file, size, need)

    @abstractmethod
    def _needed(self) -> int:
        """Bytes that a file with these rows needs. Raises TableError when the file cannot be looked at."""

    @abstractmethod
    def _is_open(self) -> bool:
        """Whether the file in place is open for changes."""
