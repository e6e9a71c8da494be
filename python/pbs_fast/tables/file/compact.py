"""Files that never shrink by themselves are built anew, small, once they are far larger than their rows need.

What it costs: smtpds restart once, as after any replacement (Postfix looks at the link count before each connection:
dict_changed_name), and a session already open keeps the view of the old file, which nobody writes any more, until it
ends. So: at a heartbeat, not sooner than an hour after the last time, and only for a file of some size.

Invariant: where the new file cannot be built (a full disk), the old one goes on taking changes in place.
Imports `errors` and `filetable` only.
"""

from __future__ import annotations

import logging
import time
from abc import abstractmethod

from pbs_fast.errors import TableError
from pbs_fast.tables.file.base import FileTable

log = logging.getLogger(__name__)

#: A file of more than this many times the bytes that its rows need is loose.
LOOSE_TIMES = 8
#: Bytes under which nothing is gained; a file of up to LOOSE_TIMES this size stays as it is.
LEAST_BYTES = 1 << 20
#: The least time between two compactions of a table that is in use, in seconds.
COMPACT_SECONDS = 3600.0


class CompactedTable(FileTable):
    """A table changed in place that says how large its file need be."""

    _compacted = float("-inf")
    """When it was last tried, on the monotonic clock."""

    def heartbeat(self) -> None:
        super().heartbeat()
        now = time.monotonic()
        if not self._whole or now < self._compacted + COMPACT_SECONDS:
            return
        size, need = self._file.stat().st_size, max(self._needed(), LEAST_BYTES)
        if size <= LOOSE_TIMES * need:
            return
        self._compacted = now
        try:
            self._replace()
        except TableError as error:
            # Until the new file is complete the old one stays open; it was whole, so it still is.
            self._whole = self._is_open()
            log.warning("%s; it stays %d bytes large, of which its rows need %d", error, size, need)
            return
        log.info("%s was %d bytes large and its rows needed %d: it was built anew", self._file, size, need)

    @abstractmethod
    def _needed(self) -> int:
        """Bytes that a file with these rows needs. Raises TableError when the file cannot be looked at."""

    @abstractmethod
    def _is_open(self) -> bool:
        """Whether the file in place is open for changes."""
