"""Empties tables that an earlier configuration left, once their rows have ended: for hosts without a reaper's timer.

After a change of type the MTA may go on reading the old file, whose rows nobody removes. So it is logged at the
start and emptied when `reap` would empty it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from pbs_fast.errors import PbsError, TableError
from pbs_fast.legacy.place import DEBIAN, UPSTREAM, advice, left_behind
from pbs_fast.tables import HEARTBEAT, TableOptions, TableSpec, list_rows
from pbs_fast.tables.leftover import Leftover, directories, leftovers
from pbs_fast.tables.owner import owner_file
from pbs_fast.tables.reap import reap_leftover

log = logging.getLogger(__name__)


class LeftTables:
    """Checks each HEARTBEAT; what it finds is logged once."""

    def __init__(self, specs: Sequence[TableSpec], options: TableOptions, grace: int) -> None:
        """`specs` are the tables in use; `grace` is used for tables whose record has none."""
        self._specs = specs
        self._places = directories(specs)
        self._options, self._grace = options, grace
        self._logged: set[tuple[Path, str]] = set()
        self._emptied: dict[Path, int] = {}
        """Table -> its last heartbeat when it was emptied (ns since the epoch); equal as long as nobody wrote to it."""
        self.due = 0.0
        """When `flush` is worth calling next, on time.monotonic's clock."""

    def name_old_program(self) -> None:
        """Warn of rows in a default table of pop-before-smtp, at the start: nothing removes them any more.

        Not while that program may still run: then its table changes within the grace time, or holds no row.
        """
        for spec, file in left_behind((UPSTREAM, DEBIAN), None):
            if any(each.file is not None and each.file.resolve() == file.resolve() for each in self._specs):
                continue
            try:
                if time.time() - file.stat().st_mtime < self._grace or not list_rows(spec):
                    continue
            except (OSError, PbsError):
                # What cannot be read may hold rows.
                pass
            log.warning(f"pop-before-smtp: {advice(spec, file)}")

    def flush(self) -> None:
        """Empty the tables that are due. Raises nothing: failures are logged once and retried."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + HEARTBEAT
        for left in leftovers(self._places, self._specs):
            file = left.spec.file
            if file is not None and self._emptied.get(file) != _heartbeat(file):
                self._reap(left, file)

    def _reap(self, left: Leftover, file: Path) -> None:
        spec = left.spec.full
        try:
            done = reap_leftover(left, self._options, grace=self._grace)
        except TableError as error:
            self._once(file, "error", f"{spec}, left by an earlier configuration, cannot be emptied: {error}")
            return
        if done.state == "waiting":
            named = ", ".join(map(str, self._specs))
            self._once(
                file,
                done.state,
                f"{spec}: left by an earlier configuration; it gets no new rows and {done.due}; the MTA's "
                f"configuration must name {named}",
            )
        elif done.state == "asks":
            self._once(file, done.state, f"{spec}: left by an earlier configuration; pbs-fast clear empties it")
        elif done.state == "emptied":
            self._emptied[file] = _heartbeat(file)
            if done.removed:
                log.info(f"{spec}: left by an earlier configuration; emptied, {done.removed} rows removed")

    def _once(self, file: Path, state: str, text: str) -> None:
        if (file, state) not in self._logged:
            self._logged.add((file, state))
            log.warning(text)


def _heartbeat(file: Path) -> int:
    try:
        return owner_file(file).stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
