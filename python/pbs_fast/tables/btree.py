"""`btree:`: a new file renamed into place for each change, never one changed in place.

Changed in place it kills smtpd (measured: `error reading …: Unknown error -30986`), because smtpd maps some of its
pages and caches others. Imports modules of this package only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from pbs_fast.tables.bdb import BdbTable, db, encoded

#: A new file may take at most this part of the time between two changes.
BUSY_SHARE = 0.2


class BtreeTable(BdbTable):
    """Rebuilt and renamed at each change: 0.05 s for 100 000 rows."""

    method = db.DB_BTREE
    method_name = "btree"

    _build_seconds = 0.0

    @property
    def window(self) -> float:
        return max(super().window, self._build_seconds / BUSY_SHARE)

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        start = time.monotonic()
        self._write_new(target, encoded(rows.items()), db.DB())
        self._build_seconds = time.monotonic() - start
