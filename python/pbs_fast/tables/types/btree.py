"""`btree:`: a new file renamed into place for each change, never changed in place.

A change in place kills smtpd (measured: `error reading …: Unknown error -30986`), because smtpd maps some of its pages
and caches others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pbs_fast.tables.types.bdb import BdbTable, db, encoded


class BtreeTable(BdbTable):
    """Rebuilt and renamed at each change: 0.05 s for 100 000 rows."""

    method = db.DB_BTREE
    method_name = "btree"

    def _build(self, target: Path, rows: Mapping[str, bytes]) -> None:
        self._write_new(target, encoded(rows.items()), db.DB())
