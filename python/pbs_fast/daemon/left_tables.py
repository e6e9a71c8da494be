"""Empties tables that an earlier configuration left, once their rows have ended: for hosts without a reaper's timer.

After a change of type the MTA may go on reading the old file, whose rows nobody ends any more. So it is named at the
start and emptied when `reap` would empty it. Imports events and tables.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pbs_fast.errors import TableError
from pbs_fast.tables import HEARTBEAT, TableOptions, TableSpec
from pbs_fast.tables.leftover import Leftover, directories, leftovers
from pbs_fast.tables.owner import owner_file
from pbs_fast.tables.reap import reap_leftover
from pbs_fast.util.text import duration


class LeftTables:
    """Looks each HEARTBEAT; what it finds is logged once."""

    def __init__(
        self,
        specs: Sequence[TableSpec],
        options: TableOptions,
        grace: int,
        warn: Callable[[str], None],
        info: Callable[[str], None],
    ) -> None:
        """`specs` are the tables in use; `grace` holds where a table's last owner left none."""
        self._specs = specs
        self._places = directories(specs)
        self._options, self._grace = options, grace
        self._warn, self._info = warn, info
        self._logged: set[tuple[Path, str]] = set()
        self._emptied: dict[Path, int] = {}
        """Table -> when its owner was last alive (ns since the epoch) when it was emptied: nobody wrote to it since."""
        self.due = 0.0
        """When `flush` is worth calling next, on time.monotonic's clock."""

    def flush(self) -> None:
        """Look, and empty what is due. Raises nothing: what cannot be emptied is logged once and tried again."""
        if time.monotonic() < self.due:
            return
        self.due = time.monotonic() + HEARTBEAT
        for left in leftovers(self._places, self._specs):
            file = left.spec.file
            if file is not None and self._emptied.get(file) != _pulse(file):
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
                f"{spec}: left by an earlier configuration; it gets no new rows and will be emptied in "
                f"{duration(done.wait)}; the MTA's configuration must name {named}",
            )
        elif done.state == "asks":
            self._once(file, done.state, f"{spec}: left by an earlier configuration; pbs-fast clear empties it")
        elif done.state == "emptied":
            self._emptied[file] = _pulse(file)
            if done.removed:
                self._info(f"{spec}: left by an earlier configuration; emptied, {done.removed} rows removed")

    def _once(self, file: Path, state: str, text: str) -> None:
        if (file, state) not in self._logged:
            self._logged.add((file, state))
            self._warn(text)


def _pulse(file: Path) -> int:
    try:
        return owner_file(file).stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
